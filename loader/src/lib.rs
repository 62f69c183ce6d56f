//! Streams photographs from sharded tar files into batches of 8-bit pixels: exact order, exact resume, exact account.
//!
//! A [`Loader`] knows nothing of tensors. What it hands out is decided by the data set, the configuration and the
//! [`LoaderState`] alone, never by threads or timing.
//!
//! | file | holds |
//! |---|---|
//! | `manifest.rs`, `manifest_file.rs` | [`Manifest`]: what the shards hold, and its Parquet file |
//! | `index.rs` | [`index_shards`]: a manifest for shards that came without one |
//! | `dataset.rs`, `shard_files.rs` | [`Dataset`]: manifest and shards together, reading a JPEG's bytes |
//! | `jpeg/` | [`jpeg_size`], [`restart_mcus`], [`Decoder`]: of all of a JPEG or of what a box needs |
//! | `order.rs` | [`Order`]: which sample comes when |
//! | `config.rs`, `schedule.rs` | [`LoaderConfig`], checked, and how an epoch is cut into steps and batches |
//! | `dispatcher.rs`, `fetcher.rs`, `worker.rs` | the threads: order, reading, decoding |
//! | `renderer.rs` | from decoded pixels to an image of the batch |
//! | `buffers.rs`, `jpeg_buffers.rs`, `byte_budget.rs` | what they pass on, used again and again, and its bound |
//! | `memory.rs` | [`MemoryEstimate`]: what a loader will hold |
//! | `meters.rs`, `verdict.rs` | [`LoaderStats`]: what they did; [`Verdict`]: what holds them up |
//! | `loader.rs`, `batch.rs` | [`Loader`]: slots put together into a [`Batch`] |
//! | `state.rs`, `receipt.rs` | [`LoaderState`]: where to go on; [`Receipt`]: proof that every sample came once |
//! | `error.rs` | [`Error`], with the place in the data; [`SampleProblem`] |
//!
//! Data flows one way:
//!
//! ```text
//! manifest ─▶ order ─▶ dispatcher ─▶ fetchers ─▶ workers: draw views ▸ decode boxes ▸ resize ─▶ loader ─▶ batch, state,
//!                        ▲    ▲       pread into        │     into the slot of a batch buffer     │        receipt
//!                        │    └─ byte budget ◀──────────┘                                         │
//!                        └──────────────────────────── buffers ◀──────────────────────────────────┘
//! ```
//!
//! Shards are read with `pread`, so the crate needs a Unix.
//!
//! # Example
//! ```no_run
//! use std::sync::Arc;
//! use sbam_loader::{Dataset, Loader, LoaderConfig};
//!
//! let dataset = Dataset::open("shards/train-{000000..000003}.tar", "cache".as_ref(), &mut |_, _| {})?;
//! let config = LoaderConfig {
//!     batch_size: 64,
//!     global_batch: 256, // four batches are an optimiser step
//!     drop_last: false,
//!     epochs: 1,
//!     ..LoaderConfig::default()
//! };
//! let samples = dataset.len();
//! let mut loader = Loader::start(Arc::new(dataset), config, None)?;
//! while let Some(batch) = loader.next_batch()? {
//!     let pixels: &[u8] = batch.pixels(); // [64, 224, 224, 3]
//!     if let Some(receipt) = batch.receipt() {
//!         receipt.check(samples)?; // every sample exactly once
//!     }
//! }
//! # Ok::<(), sbam_loader::Error>(())
//! ```

mod batch;
mod buffers;
mod byte_budget;
mod config;
mod dataset;
mod dispatcher;
mod error;
mod fetcher;
#[cfg(test)]
mod fixture;
mod index;
mod jpeg;
mod jpeg_buffers;
mod loader;
mod manifest;
mod manifest_file;
mod memory;
mod meters;
mod order;
mod receipt;
mod renderer;
mod schedule;
mod shard_files;
mod state;
mod verdict;
mod worker;

pub use batch::{Batch, BatchSample, SlotKind};
pub use config::{LoaderConfig, MAX_BATCH_BYTES, MAX_THREADS, MAX_VIEWS, OnError, Output};
pub use dataset::Dataset;
pub use error::{Error, Result, SampleProblem};
pub use index::index_shards;
pub use jpeg::{Cut, Cutter, Decoder, JpegSize, MAX_PIXELS, Part, Rgb, jpeg_size, restart_mcus};
pub use loader::Loader;
pub use manifest::{MAX_KEY_BYTES, MAX_SAMPLES, MAX_SHARDS, Manifest, Sample, Shard};
pub use memory::MemoryEstimate;
pub use meters::LoaderStats;
pub use order::{MAX_STREAMS, Order};
pub use receipt::Receipt;
pub use state::{LoaderState, Quarantined};
pub use verdict::Verdict;
