//! Reads one epoch of a data set, stops half way, and goes on from the saved state.
//!
//! ```text
//! cargo run --release --example read_batches -- SHARDS
//! ```
//! Without SHARDS it reads the built-in data set.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context, Result};
use sbam_augment::{RandomResizedCrop, TrainView};
use sbam_loader::{Dataset, Loader, LoaderConfig, OnError};
use sbam_tools::{builtin_dataset, default_cache_dir};

fn main() -> Result<()> {
    let cache = default_cache_dir()?;
    let shards = match std::env::args().nth(1) {
        Some(shards) => shards,
        None => builtin_dataset(&cache, &AtomicBool::new(false), &mut |_, _| {})?
            .to_string_lossy()
            .into_owned(),
    };
    let dataset = Arc::new(Dataset::open(&shards, &cache, &mut |_, _| {})?);
    println!(
        "{} images in {} shards",
        dataset.len(),
        dataset.manifest.shards.len()
    );

    let config = LoaderConfig {
        seed: 0,
        batch_size: 64,
        global_batch: 64,
        rank: 0,
        world: 1,
        streams: 16,
        window_shards: 8,
        drop_last: false,
        threads: std::thread::available_parallelism()?.get(),
        prefetch_batches: 4,
        out_width: 224,
        out_height: 224,
        view: TrainView {
            crop: RandomResizedCrop {
                scale: [0.2, 1.0],
                ratio: [0.75, 4.0 / 3.0],
            },
            hflip: 0.5,
            ..TrainView::default()
        },
        epochs: 1,
        on_error: OnError::Error,
        verify_crc: false,
    };

    let mut loader = Loader::start(Arc::clone(&dataset), config.clone(), None)?;
    let half = loader.batches_per_epoch().div_ceil(2);
    let started = Instant::now();
    let (mut images, mut state) = (0, None);
    for _ in 0..half {
        let batch = loader.next_batch()?.context("the first half of an epoch")?;
        images += batch.samples().len();
        state = Some(batch.state().clone());
    }
    drop(loader);

    // The state is small and can be saved as JSON; a loader that starts from it gives the same batches.
    let mut loader = Loader::start(dataset, config, state)?;
    while let Some(batch) = loader.next_batch()? {
        images += batch.samples().len();
        if let Some(receipt) = batch.receipt() {
            println!(
                "epoch {}: every image exactly once: {receipt:?}",
                receipt.epoch
            );
        }
    }
    println!(
        "{:.0} images/s",
        images as f64 / started.elapsed().as_secs_f64()
    );
    Ok(())
}
