//! Pre-training: from a configuration to a run folder.
//!
//! ```text
//! cli ─▶ config (defaults < file < --set) ─▶ plan (checked) ─▶ run (data, model, folder) ─▶ train (the loop)
//!
//! train:  Loader ─▶ step (salience ─▶ masks ─▶ micro-batches ─▶ gradients ─▶ optimiser)
//!           │         │
//!           │         ├─▶ metrics, tensorboard      a line per step
//!           │         ├─▶ mask_log                  a row per sample, on a thread of its own
//!           │         └─▶ pictures                  the fixed set, at checkpoints
//!           └──────────── checkpoint                last, when everything before it is on disk
//! ```
//!
//! Everything of a step is a function of seed, data and configuration; nothing depends on threads or
//! time, so that a run that is resumed repeats the run that was not stopped, bit for bit on the CPU.

pub mod allocator;
mod checkpoint;
mod cli;
mod config;
mod data;
mod device;
mod environment;
mod files;
mod forward;
mod images;
mod mask_log;
mod metrics;
mod optimiser;
mod pictures;
mod plan;
mod progress;
mod ranks;
mod run;
mod run_dir;
mod say;
mod schedule;
mod step;
mod stop;
mod summary;
mod tensorboard;
mod train;

pub use cli::main;
