//! Describing shards that came without a manifest.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use webdataset::core::utils::{base_plus_ext, is_shard_metadata};
use webdataset::shard::{RawEntry, TarEntries};

use crate::error::{Error, Result};
use crate::jpeg::{jpeg_size, restart_mcus};
use crate::manifest::{MAX_SAMPLES, MAX_SHARDS, Manifest, Sample, Shard, limit};

/// Read from the disk at a time.
const READ_BYTES: usize = 1 << 20;
/// Tar pads every member to blocks of this size.
const BLOCK: u64 = 512;

/// Reads every shard once and lists what is in it.
///
/// Samples are consecutive members of the same key, which is the path up to the first dot of the base name; `.jpg` and
/// `.jpeg` in any case is the photograph, `.cls` its class index as ASCII digits, anything else is ignored. A shard that
/// is cut off, that is not a tar, or that holds a member that cannot be read is an error with its place.
///
/// `progress` is told the bytes read so far and in total.
pub fn index_shards(shards: &[PathBuf], progress: &mut dyn FnMut(u64, u64)) -> Result<Manifest> {
    limit("shards in a manifest", shards.len(), MAX_SHARDS)?;
    let mut total = 0;
    for shard in shards {
        total += std::fs::metadata(shard)
            .map_err(|e| Error::io("read", shard, e))?
            .len();
    }
    let mut manifest = Manifest {
        tool: concat!("sbam-loader ", env!("CARGO_PKG_VERSION")).to_owned(),
        ..Manifest::default()
    };
    let mut done = 0;
    progress(done, total);
    for path in shards {
        let read = index_shard(path, &mut manifest, &mut |bytes| {
            progress(done + bytes, total);
        })?;
        done += read;
    }
    if manifest.samples.is_empty() {
        return Err(Error::Data {
            spec: shards.first().map_or_else(String::new, |s| s.display().to_string()),
            problem: "no sample with a .jpg or .jpeg member in any shard; make shards with shard_imagenet"
                .to_owned(),
        });
    }
    manifest.check()?;
    Ok(manifest)
}

/// Adds one shard to the manifest and returns its length in bytes.
fn index_shard(path: &Path, manifest: &mut Manifest, progress: &mut dyn FnMut(u64)) -> Result<u64> {
    let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    let tally = Rc::new(Tally::default());
    let mut reader = Tallied {
        inner: BufReader::with_capacity(READ_BYTES, file),
        tally: Rc::clone(&tally),
    };
    let mut group = Group::new(path, manifest.shards.len());
    let mut at = 0;
    let mut entries = TarEntries::new(&mut reader);
    loop {
        // The tar reader slices by what extended headers say, and panics on lengths that make no sense.
        let next = catch_unwind(AssertUnwindSafe(|| entries.next())).map_err(|_| Error::Tar {
            shard: path.to_owned(),
            offset: at,
            reason: "its extended header makes no sense".to_owned(),
        })?;
        let Some(entry) = next else {
            break;
        };
        let entry = entry.map_err(|e| unreadable(path, at, tally.bytes.get(), &e.to_string()))?;
        at = tally.bytes.get();
        progress(at);
        group.add(&entry, at, &mut manifest.samples)?;
        limit("samples in a manifest", manifest.samples.len(), MAX_SAMPLES)?;
    }
    group.finish(&mut manifest.samples)?;
    if tally.at_end.get() {
        return Err(unreadable(
            path,
            at,
            at,
            "it ends without the two empty blocks that end a tar",
        ));
    }
    // Zero blocks may follow; anything else would be samples that nobody sees.
    let mut rest = vec![0; 1 << 16];
    loop {
        let from = tally.bytes.get();
        let n = reader
            .read(&mut rest)
            .map_err(|e| Error::io("read", path, e))?;
        if n == 0 {
            break;
        }
        if let Some(data) = rest[..n].iter().position(|&byte| byte != 0) {
            return Err(Error::Tar {
                shard: path.to_owned(),
                offset: from + data as u64,
                reason: "data follows the end of the archive (archives joined with cat are read only up to there)"
                    .to_owned(),
            });
        }
    }
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| Error::Data {
            spec: path.display().to_string(),
            problem: "its file name is not UTF-8; rename it".to_owned(),
        })?;
    manifest.shards.push(Shard {
        name: name.to_owned(),
        bytes: tally.bytes.get(),
        crc32c: tally.crc32c.get(),
    });
    progress(tally.bytes.get());
    Ok(tally.bytes.get())
}

/// The error for a place where the tar reader gave up: `at` is where the member's header starts, `reached` where it
/// stopped reading.
fn unreadable(path: &Path, at: u64, reached: u64, reason: &str) -> Error {
    // The first header decides whether it is a tar at all.
    if at == 0 && (reached < BLOCK || reason.contains("tar header")) {
        return Error::NotTar {
            shard: path.to_owned(),
            problem: what_it_is(path, reached),
        };
    }
    Error::Tar {
        shard: path.to_owned(),
        offset: at,
        reason: reason.trim_start_matches("malformed input: ").to_owned(),
    }
}

fn what_it_is(path: &Path, bytes: u64) -> String {
    let mut start = Vec::new();
    // Only for the wording of an error that is certain already.
    let read = File::open(path).and_then(|file| file.take(4).read_to_end(&mut start));
    match start.as_slice() {
        [] if bytes == 0 && read.is_ok() => "an empty file, not a tar".to_owned(),
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd] => {
            "a compressed file; only plain tar shards are read so far, unpack it (gunzip, unzstd)"
                .to_owned()
        }
        _ => {
            "not a tar file; give the .tar files that shard_imagenet or webdataset wrote".to_owned()
        }
    }
}

/// What has been read of a file.
#[derive(Default)]
struct Tally {
    bytes: Cell<u64>,
    crc32c: Cell<u32>,
    /// Whether a read found the end of the file.
    at_end: Cell<bool>,
}

/// A reader that keeps count outside, because the tar reader does not give its reader back.
struct Tallied<R> {
    inner: R,
    tally: Rc<Tally>,
}

impl<R: Read> Read for Tallied<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = loop {
            match self.inner.read(buf) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        let tally = &self.tally;
        tally.bytes.set(tally.bytes.get() + n as u64);
        tally
            .crc32c
            .set(crc32c::crc32c_append(tally.crc32c.get(), &buf[..n]));
        if n == 0 && !buf.is_empty() {
            tally.at_end.set(true);
        }
        Ok(n)
    }
}

/// The members of the sample that is being read.
struct Group<'a> {
    shard: &'a Path,
    shard_index: usize,
    key: String,
    photograph: Option<Sample>,
    /// The label and where it stands.
    label: Option<(i32, u64)>,
    /// Keys of this shard that are complete.
    done: HashSet<String>,
}

impl<'a> Group<'a> {
    fn new(shard: &'a Path, shard_index: usize) -> Self {
        Self {
            shard,
            shard_index,
            key: String::new(),
            photograph: None,
            label: None,
            done: HashSet::new(),
        }
    }

    /// Takes in a member whose content, with padding, ends at byte `end`.
    fn add(&mut self, entry: &RawEntry, end: u64, samples: &mut Vec<Sample>) -> Result<()> {
        if is_shard_metadata(&entry.name) {
            return Ok(());
        }
        let Some((key, extension)) = base_plus_ext(&entry.name) else {
            return Ok(());
        };
        let offset = end - (entry.data.len() as u64).next_multiple_of(BLOCK);
        if key != self.key {
            self.finish(samples)?;
            key.clone_into(&mut self.key);
            if self.done.contains(key) {
                return Err(self.problem(
                    offset,
                    "its members are not consecutive, or two samples share this key; write the shard anew with distinct keys",
                ));
            }
        }
        match extension.to_ascii_lowercase().as_str() {
            "jpg" | "jpeg" => self.add_photograph(&entry.data, offset),
            "cls" => self.add_label(&entry.data, offset),
            _ => Ok(()),
        }
    }

    fn add_photograph(&mut self, data: &[u8], offset: u64) -> Result<()> {
        if self.photograph.is_some() {
            return Err(self.problem(offset, "a second JPEG under the same key"));
        }
        let size = jpeg_size(data).map_err(|problem| self.problem(offset, &problem.to_string()))?;
        let length = i32::try_from(data.len())
            .map_err(|_| self.problem(offset, "a JPEG of 2 GiB or more"))?;
        self.photograph = Some(Sample {
            shard_index: self.shard_index as i32,
            key: self.key.clone(),
            offset: offset as i64,
            length,
            width: size.width as i32,
            height: size.height as i32,
            label: None,
            crc32c: i64::from(crc32c::crc32c(data)),
            restart_mcus: restart_mcus(data) as i32,
        });
        Ok(())
    }

    fn add_label(&mut self, data: &[u8], offset: u64) -> Result<()> {
        if self.label.is_some() {
            return Err(self.problem(offset, "a second .cls under the same key"));
        }
        let label = std::str::from_utf8(data)
            .ok()
            .and_then(|text| text.trim().parse::<i32>().ok())
            .filter(|&label| label >= 0)
            .ok_or_else(|| {
                let start = String::from_utf8_lossy(&data[..data.len().min(40)]);
                self.problem(
                    offset,
                    &format!(
                        ".cls holds {start:?}, not a class index (ASCII digits, 0 to 2147483647)"
                    ),
                )
            })?;
        self.label = Some((label, offset));
        Ok(())
    }

    /// Ends the current sample.
    fn finish(&mut self, samples: &mut Vec<Sample>) -> Result<()> {
        let label = self.label.take();
        match (self.photograph.take(), label) {
            (Some(photograph), label) => samples.push(Sample {
                label: label.map(|(label, _)| label),
                ..photograph
            }),
            (None, Some((_, offset))) => {
                return Err(self.problem(
                    offset,
                    "a .cls without a .jpg or .jpeg of the same key beside it",
                ));
            }
            (None, None) => {}
        }
        let key = std::mem::take(&mut self.key);
        if !key.is_empty() {
            self.done.insert(key);
        }
        Ok(())
    }

    fn problem(&self, offset: u64, problem: &str) -> Error {
        Error::Member {
            shard: self.shard.to_owned(),
            key: self.key.clone(),
            offset,
            problem: problem.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
