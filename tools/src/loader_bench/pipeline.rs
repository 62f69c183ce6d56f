//! The whole loader.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use sbam_loader::{Dataset, Loader, SlotKind, Verdict};

use super::report::{BenchReport, Queues, StageTimes};
use super::{BenchOptions, Stage};
use crate::process_memory::{memory_bytes, peak_memory_bytes};

pub(super) fn run(
    options: &BenchOptions,
    dataset: &Arc<Dataset>,
    images: u64,
    opened: Instant,
) -> Result<BenchReport> {
    let config = options.loader(dataset.len());
    let estimate = config.memory(dataset);
    // The manifest is part of what the process holds by now.
    let base = memory_bytes().map(|bytes| bytes.saturating_sub(estimate.manifest));
    let mut loader = Loader::start(Arc::clone(dataset), config.clone(), None)?;
    let started = Instant::now();
    let (mut done, mut first_batch_s) = (0, None);
    let mut sum = 0_u64;
    while done < images
        && let Some(batch) = loader.next_batch()?
    {
        first_batch_s.get_or_insert_with(|| opened.elapsed().as_secs_f64());
        // Touched, as whoever takes it would.
        sum += u64::from(batch.pixels()[batch.pixels().len() / 2]);
        let samples = batch.samples().iter();
        done += samples.filter(|s| s.kind == SlotKind::Sample).count() as u64;
    }
    let seconds = started.elapsed().as_secs_f64();
    std::hint::black_box(sum);
    let stats = loader.stats();
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let verdict = Verdict::new(&stats, seconds, cores);
    let made = stats.images.max(1) as f64;
    let ms = |time: std::time::Duration| 1e3 * time.as_secs_f64() / made;
    let batches = stats.batches.max(1) as f64;
    let (idle, busy) = (
        stats.idle.as_secs_f64(),
        (stats.decode + stats.render).as_secs_f64(),
    );
    Ok(BenchReport {
        loader: "sbam",
        stage: "all",
        threads: options.threads,
        images: done,
        seconds,
        images_per_s: done as f64 / seconds,
        mb_per_s: stats.read_bytes as f64 / 1e6 / seconds,
        read_bytes: stats.read_bytes,
        ms_per_image: StageTimes {
            read: ms(stats.fetch),
            decode: ms(stats.decode),
            resize: ms(stats.render),
        },
        crop_ready_share: stats.crop_ready_samples as f64 / stats.samples.max(1) as f64,
        partly_decoded_share: stats.partly_decoded_samples as f64 / stats.samples.max(1) as f64,
        decoded_pixels_per_image: stats.decoded_pixels as f64 / made,
        queues: Some(Queues {
            read_samples: stats.fetched_samples_ahead as f64 / batches,
            read_samples_room: config.fetched_ahead(),
            batches: stats.batches_ahead as f64 / batches,
            batches_room: config.prefetch_batches,
            decode_idle_share: idle / (idle + busy).max(f64::MIN_POSITIVE),
            caller_waits_share: stats.caller_waits.as_secs_f64() / seconds,
        }),
        first_batch_s,
        peak_memory_bytes: peak_memory_bytes(),
        estimated_memory_bytes: base.map(|base| base + estimate.total()),
        verdict: verdict.to_string(),
        estimate: Some(estimate),
    })
}

impl Stage {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Read => "read",
            Self::Decode => "decode",
            Self::Resize => "resize",
        }
    }
}
