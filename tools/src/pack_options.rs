//! How to pack a folder of images.

use crate::image_folder::{Labels, Split};
use crate::ordered::available_threads;
use crate::shard_plan::ShardSize;

/// What to do with a file that has a JPEG extension and is not a readable JPEG.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OddFiles {
    /// End with an error that names it.
    #[default]
    Error,
    /// Leave it out and report it.
    Skip,
}

/// What to do with the bytes of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Rewrite {
    /// Rewrite them without loss, so that a crop can be decoded alone ([`CropReady`](crate::CropReady)); images that
    /// cannot be rewritten are kept as they are.
    #[default]
    CropReady,
    /// Keep them.
    KeepBytes,
}

/// How to pack a folder of images.
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// Seed of the global shuffle.
    pub seed: u64,
    /// What to do with the images' bytes.
    pub rewrite: Rewrite,
    /// Size or number of the shards.
    pub shard_size: ShardSize,
    /// Shards are named `PREFIX-000000.tar` and so on. `None`: the split's name, `train` without one.
    pub prefix: Option<String>,
    /// Threads that read, check and rewrite images.
    pub threads: usize,
    /// What to do with unreadable images.
    pub odd_files: OddFiles,
    /// Which part of a data set with the folders `train` and `val` is meant. `None`: `train` if there is one, else the
    /// folder itself.
    pub split: Option<Split>,
    /// Where labels come from.
    pub labels: Labels,
}

impl Default for PackOptions {
    /// Seed 0, crop-ready images, shards of up to 256 MiB, all threads, an error for odd files, labels as the folder has them.
    fn default() -> Self {
        Self {
            seed: 0,
            rewrite: Rewrite::default(),
            shard_size: ShardSize::default(),
            prefix: None,
            threads: available_threads(),
            odd_files: OddFiles::default(),
            split: None,
            labels: Labels::default(),
        }
    }
}
