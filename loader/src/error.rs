use std::any::Any;
use std::path::{Path, PathBuf};

use crate::dataset::Dataset;

/// Everything that can go wrong between shards on disk and a batch of pixels.
///
/// Messages say what is wrong, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },

    /// The data set named by the user cannot be used.
    #[error("data set {spec:?}: {problem}")]
    Data {
        /// The data set as the user named it.
        spec: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Shards and manifest tell different stories.
    #[error(
        "shard {shard} does not agree with {}: {problem}; remove the manifest, and the shards are described anew",
        manifest.display()
    )]
    ShardDisagrees {
        /// The shard's file name.
        shard: String,
        /// The manifest.
        manifest: PathBuf,
        /// What differs.
        problem: String,
    },

    /// A manifest that is not readable as Parquet.
    #[error("manifest {} is not a readable Parquet file: {reason}; remove it, and it is made anew", path.display())]
    ManifestFile {
        /// The manifest.
        path: PathBuf,
        /// What the Parquet reader said.
        reason: String,
    },
    /// A manifest without one of its columns, or with another type in it.
    #[error("manifest {}, column {column}: expected {expected}, found {found}", path.display())]
    ManifestColumn {
        /// The manifest.
        path: PathBuf,
        /// The column.
        column: &'static str,
        /// The type it should have.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A manifest whose file metadata is missing or wrong.
    #[error("manifest {}, metadata {key}: {problem}; remove it, and it is made anew", path.display())]
    ManifestMetadata {
        /// The manifest.
        path: PathBuf,
        /// The metadata key.
        key: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A row of a manifest that cannot be true.
    #[error("manifest row {row} (shard {shard}, sample {key}): {problem}")]
    ManifestRow {
        /// The row, from 0: the sample index.
        row: u64,
        /// The shard's file name, as far as known.
        shard: String,
        /// The sample's key.
        key: String,
        /// What is wrong.
        problem: String,
    },
    /// A shard entry of a manifest that cannot be true.
    #[error("manifest, shard {shard:?}: {problem}")]
    ManifestShard {
        /// The shard's name as listed.
        shard: String,
        /// What is wrong.
        problem: String,
    },
    /// More of something than this program is prepared to hold.
    #[error("{what}: {found} is over the limit of {limit}")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much there may be.
        limit: u64,
    },

    /// A file that is not a tar archive.
    #[error("shard {}: {problem}", shard.display())]
    NotTar {
        /// The file.
        shard: PathBuf,
        /// What it looks like instead, and what to do.
        problem: String,
    },
    /// A tar archive that is damaged or cut off.
    #[error("shard {} at byte {offset}: {reason}; fetch or write the shard again", shard.display())]
    Tar {
        /// The shard.
        shard: PathBuf,
        /// Where reading stopped.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A member of a shard that does not fit the `WebDataset` layout.
    #[error("shard {}, sample {key} at byte {offset}: {problem}", shard.display())]
    Member {
        /// The shard.
        shard: PathBuf,
        /// The sample's key.
        key: String,
        /// Where the member's content starts.
        offset: u64,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A sample whose photograph cannot be used.
    #[error(
        "shard {shard}, sample {key} at byte {offset}: {problem}; skip such samples with data.on_error = \"skip\""
    )]
    Sample {
        /// The shard.
        shard: String,
        /// The sample's key.
        key: String,
        /// Where the JPEG starts.
        offset: u64,
        /// What is wrong with it.
        problem: SampleProblem,
    },
    /// A shard that ends, or cannot be read, where the manifest has a sample. Never quarantined.
    #[error("shard {}, sample {key} at byte {offset}: {source}; the shard changed or its disk fails, make sure it is complete", shard.display())]
    ShardRead {
        /// The shard.
        shard: PathBuf,
        /// The sample's key.
        key: String,
        /// Where the JPEG should start.
        offset: u64,
        /// Why it could not be read.
        source: std::io::Error,
    },

    /// A loader setting that cannot work.
    #[error("{setting}: {problem}")]
    Config {
        /// The setting or settings.
        setting: &'static str,
        /// What is wrong and what to set.
        problem: String,
    },
    /// A resume state that belongs to another run.
    #[error(
        "cannot resume: {what} is {state} in the saved loader state but {config} now; use the same data and settings, or start a new run"
    )]
    StateDiffers {
        /// What differs.
        what: &'static str,
        /// Its value in the state.
        state: String,
        /// Its value in this run.
        config: String,
    },
    /// A resume state that no loader wrote.
    #[error("cannot resume: the saved loader state is not valid: {problem}")]
    StateInvalid {
        /// What is wrong.
        problem: String,
    },
    /// An epoch whose samples do not add up.
    #[error("epoch {epoch}: {problem}")]
    Receipt {
        /// The epoch.
        epoch: u64,
        /// What does not add up.
        problem: String,
    },

    /// A loader thread panicked on a sample: a bug, never a shorter epoch.
    #[error(
        "shard {shard}, sample {key} at byte {offset}: a loader thread panicked: {message}; this is a bug, please report it"
    )]
    WorkerPanicked {
        /// The shard.
        shard: String,
        /// The sample's key.
        key: String,
        /// Where the JPEG starts.
        offset: u64,
        /// The panic's message.
        message: String,
    },
    /// Loader threads ended before the epoch did: a bug, never a shorter epoch.
    #[error(
        "the loader's threads ended before epoch {epoch} did, at batch {batch}; this is a bug, please report it"
    )]
    ThreadsEnded {
        /// The epoch.
        epoch: u64,
        /// The batch in the epoch that was waited for.
        batch: u64,
    },
    /// A call after an error: the loader has stopped.
    #[error("the loader stopped earlier: {first}")]
    Stopped {
        /// The message of the first error.
        first: String,
    },
    /// Augmentation settings, or a request, that the augmentation refused.
    #[error(transparent)]
    Augment(#[from] sbam_augment::Error),
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// A thread's panic while it worked on a sample.
    pub(crate) fn panicked(dataset: &Dataset, sample_index: u64, panic: &(dyn Any + Send)) -> Self {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        let sample = dataset.sample(sample_index);
        Self::WorkerPanicked {
            shard: dataset.shard(sample_index).name.clone(),
            key: sample.key.clone(),
            offset: sample.offset as u64,
            message: message.to_owned(),
        }
    }
}

/// Why a photograph cannot be used. Its shard, key and byte offset are in the [`Error::Sample`] around it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleProblem {
    /// The bytes do not start like a JPEG.
    #[error("not a JPEG ({found})")]
    NotJpeg {
        /// What they start like.
        found: String,
    },
    /// The file ends too early.
    #[error("JPEG of {length} bytes ends inside its {part}")]
    Truncated {
        /// The length of the file in bytes.
        length: usize,
        /// The part it ends in.
        part: &'static str,
    },
    /// The markers before the scan make no sense.
    #[error("damaged JPEG header at its byte {at}: {reason}")]
    Header {
        /// Where, from the start of the JPEG.
        at: usize,
        /// What is wrong.
        reason: String,
    },
    /// A kind of JPEG that is not decoded.
    #[error("JPEG with {feature}, which is not supported")]
    Unsupported {
        /// What it uses.
        feature: String,
    },
    /// The file ends inside its scan, which has restart markers.
    #[error("JPEG of {length} bytes ends inside its scan, in segment {segment} of {segments}")]
    CutShort {
        /// The length of the file in bytes.
        length: usize,
        /// The segment it ends in, from 1.
        segment: usize,
        /// How many there should be.
        segments: usize,
    },
    /// A restart marker that is missing, superfluous or not the one whose turn it is.
    #[error("damaged JPEG scan at its byte {at}: {reason}")]
    Restart {
        /// Where, from the start of the JPEG.
        at: usize,
        /// What is wrong.
        reason: String,
    },
    /// Entropy-coded data that starts like no code of its table.
    #[error("damaged JPEG scan, about at its byte {at}: an impossible Huffman code")]
    Code {
        /// Where, from the start of the JPEG; the damage itself may be before.
        at: usize,
    },
    /// The JPEG cannot be cut at restart markers, which the manifest says it has.
    #[error(
        "the manifest says {manifest} MCUs between restart markers, but the JPEG has {found}; make the manifest anew"
    )]
    RestartDiffers {
        /// In the JPEG; 0 without markers, or where they do not allow cutting.
        found: u32,
        /// In the manifest.
        manifest: u32,
    },
    /// A box that is empty or does not lie inside the JPEG.
    #[error("the box asked for reaches out of a JPEG of {width}x{height} pixels")]
    BoxOutside {
        /// Width of the JPEG.
        width: u32,
        /// Height of the JPEG.
        height: u32,
    },
    /// More pixels than [`MAX_PIXELS`](crate::MAX_PIXELS).
    #[error("JPEG of {width}x{height} pixels, over the limit of {limit}")]
    TooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The limit in pixels.
        limit: u64,
    },
    /// The decoder gave up.
    #[error("damaged JPEG: {reason}")]
    Decode {
        /// What the decoder said.
        reason: String,
    },
    /// The JPEG's size is not the manifest's.
    #[error(
        "JPEG of {width}x{height} pixels, but the manifest says {manifest_width}x{manifest_height}"
    )]
    SizeDiffers {
        /// Width of the JPEG.
        width: u32,
        /// Height of the JPEG.
        height: u32,
        /// Width in the manifest.
        manifest_width: u32,
        /// Height in the manifest.
        manifest_height: u32,
    },
    /// The bytes are not those that the manifest describes.
    #[error("its bytes have CRC-32C {found:08x}, but the manifest says {expected:08x}")]
    Checksum {
        /// Computed from the bytes.
        found: u32,
        /// From the manifest.
        expected: u32,
    },
}

impl SampleProblem {
    /// A short name of the kind of problem, under which receipts count it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotJpeg { .. } => "not-jpeg",
            Self::Truncated { .. } | Self::CutShort { .. } => "truncated",
            Self::Restart { .. } => "restart-markers",
            Self::RestartDiffers { .. } => "restart-differs",
            Self::Header { .. } => "header",
            Self::Unsupported { .. } => "unsupported",
            Self::TooLarge { .. } => "too-large",
            Self::Decode { .. } | Self::Code { .. } => "damaged",
            Self::SizeDiffers { .. } | Self::BoxOutside { .. } => "size-differs",
            Self::Checksum { .. } => "checksum",
        }
    }
}
