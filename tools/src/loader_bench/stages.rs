//! One stage alone, on threads that do nothing else.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Result;
use sbam_augment::{CHANNELS, CropBox, Resizer, View};
use sbam_loader::{Dataset, Decoder};

use super::report::{BenchReport, StageTimes};
use super::{BenchOptions, Stage};
use crate::process_memory::peak_memory_bytes;

/// Photographs that are decoded in advance to measure resizing: some 40 MB of pixels, far more than caches hold.
const DECODED_AHEAD: u64 = 64;

/// Counts over all threads.
#[derive(Default)]
struct Counts {
    next: AtomicU64,
    read_bytes: AtomicU64,
    decoded_pixels: AtomicU64,
    crop_ready: AtomicU64,
    partly: AtomicU64,
    read_ns: AtomicU64,
    failed: AtomicBool,
}

/// A photograph and the view of it that is measured.
struct Decoded {
    pixels: Vec<u8>,
    width: u32,
    height: u32,
    view: View,
}

pub(super) fn run(
    options: &BenchOptions,
    dataset: &Dataset,
    images: u64,
    stage: Stage,
) -> Result<BenchReport> {
    let decoded = match stage {
        Stage::Resize => decode_ahead(options, dataset)?,
        _ => Vec::new(),
    };
    let counts = Counts::default();
    let failed = Mutex::new(None);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..options.threads {
            scope.spawn(|| {
                let result = match stage {
                    Stage::Resize => resize(options, &decoded, images, &counts),
                    _ => read_and_decode(options, dataset, images, stage, &counts),
                };
                if let Err(error) = result
                    && let Ok(mut failed) = failed.lock()
                {
                    failed.get_or_insert(error);
                    counts.failed.store(true, Ordering::Relaxed);
                }
            });
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    if let Some(error) = failed.into_inner().unwrap_or_default() {
        return Err(error);
    }
    let ms = 1e3 * seconds * options.threads as f64 / images as f64;
    let read_ms = counts.read_ns.into_inner() as f64 / 1e6 / images as f64;
    let read_bytes = counts.read_bytes.into_inner();
    Ok(BenchReport {
        loader: "sbam",
        stage: stage.name(),
        threads: options.threads,
        images,
        seconds,
        images_per_s: images as f64 / seconds,
        mb_per_s: read_bytes as f64 / 1e6 / seconds,
        read_bytes,
        ms_per_image: StageTimes {
            read: read_ms,
            decode: if stage == Stage::Decode {
                ms - read_ms
            } else {
                0.0
            },
            resize: if stage == Stage::Resize { ms } else { 0.0 },
        },
        crop_ready_share: counts.crop_ready.into_inner() as f64 / images as f64,
        partly_decoded_share: counts.partly.into_inner() as f64 / images as f64,
        decoded_pixels_per_image: counts.decoded_pixels.into_inner() as f64 / images as f64,
        queues: None,
        first_batch_s: None,
        peak_memory_bytes: peak_memory_bytes(),
        estimated_memory_bytes: None,
        verdict: format!(
            "the stage {} alone, on threads that do nothing else",
            stage.name()
        ),
        estimate: None,
    })
}

/// The view of image number `image`, and its sample.
fn view_of(options: &BenchOptions, dataset: &Dataset, image: u64) -> (u64, View) {
    let (epoch, sample_index) = (image / dataset.len(), image % dataset.len());
    let sample = dataset.sample(sample_index);
    let (width, height) = (sample.width as u32, sample.height as u32);
    let view = options
        .view
        .draw(options.seed, epoch, sample_index, 0, width, height);
    (sample_index, view)
}

fn read_and_decode(
    options: &BenchOptions,
    dataset: &Dataset,
    images: u64,
    stage: Stage,
    counts: &Counts,
) -> Result<()> {
    let (mut jpeg, mut decoder) = (Vec::new(), Decoder::new());
    loop {
        let image = counts.next.fetch_add(1, Ordering::Relaxed);
        if image >= images || counts.failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (sample_index, view) = view_of(options, dataset, image);
        let started = Instant::now();
        dataset.read(sample_index, &mut jpeg)?;
        counts
            .read_ns
            .fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        counts
            .read_bytes
            .fetch_add(jpeg.len() as u64, Ordering::Relaxed);
        if stage == Stage::Read {
            continue;
        }
        let sample = dataset.sample(sample_index);
        let part = decoder
            .decode_part(&jpeg, &view.crop, sample.restart_mcus as u32)
            .map_err(|problem| dataset.bad_sample(sample_index, problem))?;
        let pixels = part.decoded_pixels;
        counts.decoded_pixels.fetch_add(pixels, Ordering::Relaxed);
        counts
            .crop_ready
            .fetch_add(u64::from(sample.restart_mcus > 0), Ordering::Relaxed);
        let whole = sample.width as u64 * sample.height as u64;
        counts
            .partly
            .fetch_add(u64::from(pixels < whole), Ordering::Relaxed);
    }
}

fn decode_ahead(options: &BenchOptions, dataset: &Dataset) -> Result<Vec<Decoded>> {
    let (mut jpeg, mut decoder) = (Vec::new(), Decoder::new());
    (0..DECODED_AHEAD.min(dataset.len()))
        .map(|image| {
            let (sample_index, view) = view_of(options, dataset, image);
            dataset.read(sample_index, &mut jpeg)?;
            let sample = dataset.sample(sample_index);
            let part = decoder
                .decode_part(&jpeg, &view.crop, sample.restart_mcus as u32)
                .map_err(|problem| dataset.bad_sample(sample_index, problem))?;
            Ok(Decoded {
                pixels: part.rgb.pixels.to_vec(),
                width: part.rgb.width,
                height: part.rgb.height,
                view: View {
                    crop: CropBox {
                        x: view.crop.x - part.place.x,
                        y: view.crop.y - part.place.y,
                        ..view.crop
                    },
                    ..view
                },
            })
        })
        .collect()
}

fn resize(options: &BenchOptions, decoded: &[Decoded], images: u64, counts: &Counts) -> Result<()> {
    let size = options.size;
    let mut resizer = Resizer::new();
    let mut out = vec![0; size as usize * size as usize * CHANNELS];
    loop {
        let image = counts.next.fetch_add(1, Ordering::Relaxed);
        if image >= images {
            return Ok(());
        }
        let photograph = &decoded[(image % decoded.len() as u64) as usize];
        resizer.render(
            &photograph.pixels,
            photograph.width,
            photograph.height,
            &photograph.view,
            &mut out,
            size,
            size,
        )?;
        std::hint::black_box(&out);
    }
}
