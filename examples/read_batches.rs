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
use sbam_loader::{Dataset, Loader, LoaderConfig};
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
        drop_last: false,
        epochs: 1,
        ..LoaderConfig::default()
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
