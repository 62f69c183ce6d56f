//! Once warm, a loader allocates nothing for an image.
//!
//! In a file of its own, because it counts what the whole process allocates.

use std::alloc::System;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use sbam_loader::{Dataset, Loader, LoaderConfig, Output};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use webdataset::core::Value;
use webdataset::shard::{Compression, TarWriter};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SAMPLES: u64 = 192;

/// One shard of photographs that differ, in size too; every second one has restart markers.
fn write_shard(folder: &Path) {
    let file = File::create(folder.join("s-0.tar")).unwrap();
    let mut tar = TarWriter::new(Box::new(file), Compression::None).unwrap();
    for number in 0..SAMPLES as u32 {
        let (width, height) = (100 + number as u16 % 7 * 16, 90 + number as u16 % 5 * 20);
        let pixels: Vec<u8> = (0..u32::from(width) * u32::from(height) * 3)
            .map(|at| (at.wrapping_mul(at ^ number) >> 7) as u8)
            .collect();
        let mut jpeg = Vec::new();
        let mut encoder = Encoder::new(&mut jpeg, 85);
        encoder.set_sampling_factor(SamplingFactor::F_2_2);
        if number.is_multiple_of(2) {
            encoder.set_restart_interval(width.div_ceil(16));
        }
        encoder
            .encode(&pixels, width, height, ColorType::Rgb)
            .unwrap();
        let mut sample = webdataset::Sample::with_key(format!("k{number}"));
        sample.insert("jpg", Value::Bytes(jpeg.into()));
        tar.write(&sample).unwrap();
    }
    tar.close().unwrap();
}

fn config(batch_size: usize, output: Output) -> LoaderConfig {
    LoaderConfig {
        batch_size,
        global_batch: batch_size as u64,
        threads: 2,
        out_width: 64,
        out_height: 64,
        output,
        ..LoaderConfig::default()
    }
}

/// How often a loader allocates for a batch of so many images, over ten epochs after two that warm up.
fn allocations_for_a_batch(dataset: &Arc<Dataset>, batch_size: usize, output: Output) -> f64 {
    let config = config(batch_size, output);
    let mut loader = Loader::start(Arc::clone(dataset), config, None).unwrap();
    let per_epoch = loader.batches_per_epoch();
    for _ in 0..2 * per_epoch {
        loader.next_batch().unwrap().unwrap();
    }
    let region = Region::new(ALLOCATOR);
    for _ in 0..10 * per_epoch {
        loader.next_batch().unwrap().unwrap();
    }
    let change = region.change();
    (change.allocations + change.reallocations) as f64 / (10 * per_epoch) as f64
}

#[test]
fn a_warm_loader_allocates_nothing_for_an_image() {
    let folder = tempfile::tempdir().unwrap();
    write_shard(folder.path());
    let spec = folder.path().to_str().unwrap();
    let dataset = Dataset::open(spec, &folder.path().join("cache"), &mut |_, _| {}).unwrap();
    let dataset = Arc::new(dataset);
    assert!((0..SAMPLES).any(|index| dataset.sample(index).restart_mcus > 0));
    let planar = Output::F32 {
        mean: sbam_augment::IMAGENET_MEAN,
        std: sbam_augment::IMAGENET_STD,
        layout: sbam_augment::Layout::Planar,
    };
    for output in [Output::U8, planar] {
        // An epoch and a batch have allocations of their own; one for each image would be four times as many and more.
        let found = allocations_for_a_batch(&dataset, SAMPLES as usize, output);
        println!("{output:?}: {found:.1} for an epoch of one batch of {SAMPLES} images");
        assert!(found < SAMPLES as f64 / 2.0, "{found}");
    }
}
