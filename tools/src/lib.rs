//! Preparing, checking and measuring sharded image data.
//!
//! Data flows one way, from images to a folder of shards that `sbam_loader::Dataset` reads:
//!
//! ```text
//! photographs ──image_folder──▶ pack_plan (keys, shuffle, shard_plan) ──▶ pack (crop_ready) ─┐ in parallel,
//! nothing at all ──────────────▶ builtin (draws, paints, encodes) ───────────────────────────┤ kept in order (ordered)
//!                                                                                            ▼
//!                                           shard_writer (shard_file) ──▶ output_folder: complete, or not there
//! ```
//!
//! - [`pack_image_folder`] makes shards of a user's own images; the command `shard_imagenet` is its face, and
//!   [`PackDisplay`] shows its progress.
//! - [`CropReady`] rewrites a JPEG without loss so that a part of it can be decoded alone.
//! - [`builtin_dataset`] makes the built-in data set, once, in a cache ([`default_cache_dir`]).
//! - [`ShardSetWriter`] writes shards and manifest for both.
//!
//! - [`bench_loader`] measures the loader on a data set; the command `loader_bench` is its face.
//!
//! Whatever is made is made beside its place under a lock (`folder_lock`), and renamed into place when complete.
//! Everything that takes long takes a flag that asks it to stop; it then ends with [`Interrupted`] and leaves nothing.

mod builtin;
mod byte_size;
mod cache;
mod cached_pack;
mod crop_ready;
mod folder_lock;
mod image_folder;
mod image_folder_guess;
mod keys;
mod loader_bench;
mod ordered;
mod output_folder;
mod output_path;
mod pack;
mod pack_display;
mod pack_options;
mod pack_plan;
mod process_memory;
mod rewrite_counts;
mod shard_file;
mod shard_plan;
mod shard_writer;
mod stop;
#[cfg(test)]
mod test_folder;

pub use builtin::builtin_dataset;
pub use byte_size::parse_byte_size;
pub use cache::default_cache_dir;
pub use cached_pack::pack_image_folder_into_cache;
pub use crop_ready::{CropReady, CropReadyJpeg, KeptAsIs};
pub use image_folder::{Labels, Split};
pub use image_folder_guess::looks_like_image_folder;
pub use loader_bench::{BenchOptions, BenchReport, Stage, bench_loader};
pub use pack::{OddFile, PackReport, Progress, pack_image_folder};
pub use pack_display::PackDisplay;
pub use pack_options::{OddFiles, PackOptions, Rewrite};
pub use process_memory::{memory_bytes, peak_memory_bytes};
pub use rewrite_counts::RewriteCounts;
pub use shard_plan::ShardSize;
pub use shard_writer::{NewSample, ShardSetWriter};
pub use stop::Interrupted;
