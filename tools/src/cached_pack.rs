//! Packing a folder of images once, into a cache.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};
use sbam_loader::Manifest;
use walkdir::WalkDir;

use crate::pack::{PackReport, Progress, pack_image_folder};
use crate::pack_options::{PackOptions, Rewrite};
use crate::stop::check;

/// The folder of shards of the images in `input`, packed into `cache_dir` first if it is not there yet.
///
/// Images are packed crop-ready. The packed folder is found again as long as `input` has the same path and the same files
/// (names, sizes and times of change); one that was packed in another way is not taken for it. The report is that of the packing, if there was one.
///
/// # Errors
/// As [`pack_image_folder`].
pub fn pack_image_folder_into_cache(
    input: &Path,
    cache_dir: &Path,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<(PathBuf, Option<PackReport>)> {
    let options = PackOptions::default();
    let fingerprint = fingerprint(input, options.rewrite, stop)?;
    let folder = cache_dir.join("packed").join(format!("{fingerprint:08x}"));
    if folder.join(Manifest::FILE_NAME).is_file() {
        return Ok((folder, None));
    }
    let report = pack_image_folder(input, &folder, &options, stop, progress)?;
    Ok((folder, Some(report)))
}

/// How images are packed, as part of the fingerprint. Raise a number whenever its rewriting gives other bytes.
fn way(rewrite: Rewrite) -> &'static [u8] {
    match rewrite {
        Rewrite::CropReady => b"crop-ready 1",
        Rewrite::KeepBytes => b"keep-bytes 1",
    }
}

/// A number that changes when a file below `input` comes, goes or changes, and with the way of packing.
fn fingerprint(input: &Path, rewrite: Rewrite, stop: &AtomicBool) -> Result<u64> {
    let input = input
        .canonicalize()
        .with_context(|| format!("cannot find {}", input.display()))?;
    let mut sum = Fnv::new();
    sum.add(way(rewrite));
    sum.add(input.as_os_str().as_encoded_bytes());
    let entries = WalkDir::new(&input)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file());
    for entry in entries {
        check(stop)?;
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let changed = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |since| since.as_nanos());
        sum.add(entry.path().as_os_str().as_encoded_bytes());
        sum.add(&metadata.len().to_le_bytes());
        sum.add(&changed.to_le_bytes());
    }
    Ok(sum.0)
}

/// FNV-1a, 64 bits.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().chain(&[0]) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_packed_in_another_way_has_another_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.jpg"), "a").unwrap();
        let stop = AtomicBool::new(false);
        let of = |rewrite| fingerprint(folder.path(), rewrite, &stop).unwrap();
        assert_eq!(of(Rewrite::CropReady), of(Rewrite::CropReady));
        assert_ne!(of(Rewrite::CropReady), of(Rewrite::KeepBytes));
    }
}
