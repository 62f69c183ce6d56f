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
const SIZE: u16 = 160;

/// One shard of photographs that differ; every second one has restart markers.
fn write_shard(folder: &Path) {
    let file = File::create(folder.join("s-0.tar")).unwrap();
    let mut tar = TarWriter::new(Box::new(file), Compression::None).unwrap();
    for number in 0..SAMPLES as u32 {
        let side = u32::from(SIZE);
        let pixels: Vec<u8> = (0..side * side * 3)
            .map(|at| (at.wrapping_mul(at ^ number) >> 7) as u8)
            .collect();
        let mut jpeg = Vec::new();
        let mut encoder = Encoder::new(&mut jpeg, 85);
        encoder.set_sampling_factor(SamplingFactor::F_2_2);
        if number.is_multiple_of(2) {
            encoder.set_restart_interval(5);
        }
        encoder.encode(&pixels, SIZE, SIZE, ColorType::Rgb).unwrap();
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

/// What a loader did in so many epochs, after two that warm up.
struct Count {
    allocations: f64,
    batches: f64,
}

fn count(dataset: &Arc<Dataset>, config: LoaderConfig, epochs: u64) -> Count {
    let mut loader = Loader::start(Arc::clone(dataset), config, None).unwrap();
    let per_epoch = loader.batches_per_epoch();
    for _ in 0..2 * per_epoch {
        loader.next_batch().unwrap().unwrap();
    }
    let region = Region::new(ALLOCATOR);
    for _ in 0..epochs * per_epoch {
        loader.next_batch().unwrap().unwrap();
    }
    let change = region.change();
    Count {
        allocations: (change.allocations + change.reallocations) as f64,
        batches: (epochs * per_epoch) as f64,
    }
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
    let epochs = 10;
    for output in [Output::U8, planar] {
        // A batch has allocations of its own. One for an image would be as many as a batch has images.
        let found = count(&dataset, config(96, output), epochs);
        let for_a_batch = found.allocations / found.batches;
        println!("{output:?}: {for_a_batch:.1} for a batch of 96");
        assert!(for_a_batch < 48.0, "{for_a_batch}");
    }
}
