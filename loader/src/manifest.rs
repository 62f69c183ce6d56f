//! What a set of shards holds: one row per sample, and what is known of each shard.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// The most samples a manifest may list. Rows are held in memory, at roughly 100 bytes each.
pub const MAX_SAMPLES: u64 = 1 << 28;
/// The most shards a manifest may list.
pub const MAX_SHARDS: u64 = 1 << 20;
/// The most bytes a key may have: Linux allows no longer path, and tar members are paths.
pub const MAX_KEY_BYTES: u64 = 4096;
/// The largest width and height that a JPEG frame header can state.
const MAX_SIDE: i32 = u16::MAX as i32;
/// The size of a tar header, the least that stands before a member's content.
const TAR_HEADER_BYTES: i64 = 512;

/// One tar file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Its file name, without folder.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// CRC-32C of the whole file.
    pub crc32c: u32,
}

/// One photograph in a shard. Its sample index is its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Position of its shard in [`Manifest::shards`].
    pub shard_index: i32,
    /// Its `WebDataset` key: the member's path up to the first dot of the base name.
    pub key: String,
    /// Where the JPEG's bytes start in the shard.
    pub offset: i64,
    /// How many bytes the JPEG has.
    pub length: i32,
    /// Width in pixels, from the frame header.
    pub width: i32,
    /// Height in pixels, from the frame header.
    pub height: i32,
    /// Class index, if it has one.
    pub label: Option<i32>,
    /// CRC-32C of the JPEG's bytes.
    pub crc32c: i64,
    /// Distance of restart markers in MCUs; 0 where the JPEG is not crop-ready.
    pub restart_mcus: i32,
}

/// What a set of shards holds, in shard order.
///
/// Read and written as one Parquet file beside the shards, see [`Manifest::read`] and [`Manifest::write`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// The shards; samples refer to them by position.
    pub shards: Vec<Shard>,
    /// The samples, ordered by shard and by offset in it.
    pub samples: Vec<Sample>,
    /// Names of the classes by class index; empty when unknown.
    pub class_names: Vec<String>,
    /// The seed the samples were shuffled with when the shards were written, if they were.
    pub seed: Option<u64>,
    /// The tool that wrote the manifest, with its version.
    pub tool: String,
}

impl Manifest {
    /// The manifest's file name beside the shards.
    pub const FILE_NAME: &str = "manifest.parquet";

    /// SHA-256 in hexadecimal digits over what the data set is: shards, samples and class names.
    ///
    /// The tool's version and seed do not enter, nor the encoding of the file, so a manifest made anew from the same
    /// shards has the same hash.
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(b"sbam manifest 1\0");
        let text = |hasher: &mut Sha256, text: &str| {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        hasher.update((self.shards.len() as u64).to_le_bytes());
        for shard in &self.shards {
            text(&mut hasher, &shard.name);
            hasher.update(shard.bytes.to_le_bytes());
            hasher.update(shard.crc32c.to_le_bytes());
        }
        hasher.update((self.samples.len() as u64).to_le_bytes());
        for sample in &self.samples {
            text(&mut hasher, &sample.key);
            // No class index is negative, so -1 stands for no label.
            let numbers = [
                i64::from(sample.shard_index),
                sample.offset,
                i64::from(sample.length),
                i64::from(sample.width),
                i64::from(sample.height),
                sample.label.map_or(-1, i64::from),
                sample.crc32c,
                i64::from(sample.restart_mcus),
            ];
            hasher.update(numbers.map(i64::to_le_bytes).as_flattened());
        }
        hasher.update((self.class_names.len() as u64).to_le_bytes());
        for name in &self.class_names {
            text(&mut hasher, name);
        }
        hex(&hasher.finalize())
    }

    /// The number of samples in each shard.
    pub fn samples_per_shard(&self) -> Vec<u64> {
        let mut counts = vec![0; self.shards.len()];
        for sample in &self.samples {
            if let Some(count) = counts.get_mut(sample.shard_index as usize) {
                *count += 1;
            }
        }
        counts
    }

    /// Checks that everything listed can be true: names are plain and distinct, samples are in order, do not overlap,
    /// lie inside their shards and have possible sizes.
    pub fn check(&self) -> Result<()> {
        limit("shards in a manifest", self.shards.len(), MAX_SHARDS)?;
        limit("samples in a manifest", self.samples.len(), MAX_SAMPLES)?;
        let mut names = HashSet::new();
        for shard in &self.shards {
            let problem = if !is_plain_name(&shard.name) {
                "its name must be a plain file name, without a folder"
            } else if !names.insert(shard.name.as_str()) {
                "its name is listed twice; give every shard its own name"
            } else if i64::try_from(shard.bytes).is_err() {
                "its length is impossible"
            } else {
                continue;
            };
            return Err(Error::ManifestShard {
                shard: shard.name.clone(),
                problem: problem.to_owned(),
            });
        }
        let mut before: Option<&Sample> = None;
        for (row, sample) in self.samples.iter().enumerate() {
            self.check_sample(sample, before)
                .map_err(|problem| Error::ManifestRow {
                    row: row as u64,
                    shard: self
                        .shards
                        .get(sample.shard_index as usize)
                        .map_or_else(|| sample.shard_index.to_string(), |s| s.name.clone()),
                    key: sample.key.chars().take(200).collect(),
                    problem,
                })?;
            before = Some(sample);
        }
        Ok(())
    }

    fn check_sample(
        &self,
        sample: &Sample,
        before: Option<&Sample>,
    ) -> std::result::Result<(), String> {
        let Some(shard) = usize::try_from(sample.shard_index)
            .ok()
            .and_then(|index| self.shards.get(index))
        else {
            return Err(format!(
                "shard_index {} where there are {} shards",
                sample.shard_index,
                self.shards.len()
            ));
        };
        if sample.key.is_empty() || sample.key.len() as u64 > MAX_KEY_BYTES {
            return Err(format!(
                "a key has 1 to {MAX_KEY_BYTES} bytes, this one has {}",
                sample.key.len()
            ));
        }
        let (offset, length) = (sample.offset, i64::from(sample.length));
        if offset < TAR_HEADER_BYTES || length <= 0 {
            return Err(format!("impossible offset {offset} or length {length}"));
        }
        if offset
            .checked_add(length)
            .is_none_or(|end| end as u64 > shard.bytes)
        {
            return Err(format!(
                "{length} bytes at {offset} reach past the shard's end at {}",
                shard.bytes
            ));
        }
        if let Some(before) = before {
            if before.shard_index > sample.shard_index {
                return Err(format!(
                    "shard_index {} follows {}; rows must be in shard order",
                    sample.shard_index, before.shard_index
                ));
            }
            if before.shard_index == sample.shard_index
                && offset < before.offset + i64::from(before.length)
            {
                return Err(format!(
                    "offset {offset} lies before the end of the sample above"
                ));
            }
        }
        if !(1..=MAX_SIDE).contains(&sample.width) || !(1..=MAX_SIDE).contains(&sample.height) {
            return Err(format!(
                "impossible size {}x{}",
                sample.width, sample.height
            ));
        }
        if let Some(label) = sample.label {
            let classes = self.class_names.len();
            if label < 0 || (classes > 0 && label as usize >= classes) {
                return Err(format!(
                    "label {label} where there are {classes} class names"
                ));
            }
        }
        if u32::try_from(sample.crc32c).is_err() || sample.restart_mcus < 0 {
            return Err(format!(
                "impossible crc32c {} or restart_mcus {}",
                sample.crc32c, sample.restart_mcus
            ));
        }
        Ok(())
    }
}

/// A file name that cannot lead out of its folder.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0'])
}

pub(crate) fn limit(what: &'static str, found: usize, limit: u64) -> Result<()> {
    let found = found as u64;
    if found <= limit {
        return Ok(());
    }
    Err(Error::Limit { what, found, limit })
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
