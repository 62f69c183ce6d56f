//! Once warm, a loader allocates nothing for an image but what the JPEG library does inside.
//!
//! In a file of its own, because it counts what the whole process allocates.

use std::alloc::System;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use sbam_loader::{Dataset, Decoder, Loader, LoaderConfig, Output};
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

/// Allocations of so many epochs, after two that warm up.
fn allocations_of_epochs(dataset: &Arc<Dataset>, config: LoaderConfig, epochs: u64) -> usize {
    let mut loader = Loader::start(Arc::clone(dataset), config, None).unwrap();
    let per_epoch = loader.batches_per_epoch();
    let mut take = |batches| {
        for _ in 0..batches {
            loader.next_batch().unwrap().unwrap();
        }
    };
    take(2 * per_epoch);
    let region = Region::new(ALLOCATOR);
    take(epochs * per_epoch);
    region.change().allocations + region.change().reallocations
}

/// What the JPEG library allocates for the same samples and boxes.
fn allocations_of_decoding(dataset: &Dataset, config: &LoaderConfig, epochs: u64) -> usize {
    let (mut jpeg, mut decoder) = (Vec::new(), Decoder::new());
    let mut decode = |epoch| {
        for index in 0..dataset.len() {
            let sample = dataset.sample(index);
            dataset.read(index, &mut jpeg).unwrap();
            let view = config
                .view
                .draw(0, epoch, index, 0, SIZE.into(), SIZE.into());
            decoder
                .decode_part(&jpeg, &view.crop, sample.restart_mcus as u32)
                .unwrap();
        }
    };
    decode(0);
    let region = Region::new(ALLOCATOR);
    (2..2 + epochs).for_each(&mut decode);
    region.change().allocations + region.change().reallocations
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
    let images = (epochs * SAMPLES) as f64;
    let library = allocations_of_decoding(&dataset, &config(8, Output::U8), epochs) as f64 / images;
    for output in [Output::U8, planar] {
        // A batch has allocations of its own, so the same images are counted in few large and in many small ones.
        let of_batches = |batch_size: usize| {
            let count = allocations_of_epochs(&dataset, config(batch_size, output), epochs);
            (images / batch_size as f64, count as f64)
        };
        let ((many, in_many), (few, in_few)) = (of_batches(8), of_batches(96));
        let for_a_batch = (in_many - in_few) / (many - few);
        let for_an_image = (in_few - for_a_batch * few) / images;
        println!(
            "{output:?}: {for_a_batch:.1} allocations for a batch, {for_an_image:.3} for an image, of which the JPEG \
             library makes {library:.3}"
        );
        // What is prepared ahead differs a little from count to count.
        assert!(
            (for_an_image - library).abs() < 0.02 * library,
            "{for_an_image} and {library}"
        );
        assert!(for_a_batch < 40.0, "{for_a_batch}");
    }
}
