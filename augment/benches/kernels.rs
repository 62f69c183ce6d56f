//! What an image costs after decoding: crop and resize, colour jitter, normalisation.
//!
//! ```text
//! cargo bench -p sbam-augment
//! ```

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sbam_augment::{
    ColourChange, ColourStep, CropBox, DrawKey, Draws, Layout, Normalize, Purpose, Resizer, View,
};

/// A photograph's size in ImageNet, and the side of a ViT's input.
const WIDTH: u32 = 500;
const HEIGHT: u32 = 375;
const SIDE: u32 = 224;

fn noise(bytes: usize) -> Vec<u8> {
    let mut draws = Draws::new(DrawKey {
        seed: 1,
        epoch: 0,
        sample_index: 0,
        view: 0,
        purpose: Purpose::BuiltIn,
    });
    (0..bytes).map(|_| draws.next_u32() as u8).collect()
}

fn resize(criterion: &mut Criterion) {
    let photograph = noise((WIDTH * HEIGHT * 3) as usize);
    let mut out = vec![0; (SIDE * SIDE * 3) as usize];
    let mut resizer = Resizer::new();
    let mut group = criterion.benchmark_group("resize to 224x224");
    group.throughput(Throughput::Elements(1));
    for (name, width, height, flip) in [
        ("350x270", 350, 270, false),
        ("350x270 flipped", 350, 270, true),
        ("270x350", 270, 350, false),
        ("500x375", 500, 375, false),
        ("200x150", 200, 150, false),
    ] {
        let crop = CropBox {
            x: (WIDTH - width) / 2,
            y: (HEIGHT - height) / 2,
            width,
            height,
        };
        let view = View {
            flip,
            ..View::plain(crop)
        };
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                resizer
                    .render(
                        black_box(&photograph),
                        WIDTH,
                        HEIGHT,
                        &view,
                        &mut out,
                        SIDE,
                        SIDE,
                    )
                    .unwrap();
            });
        });
    }
    group.finish();
}

fn colour(criterion: &mut Criterion) {
    let image = noise((SIDE * SIDE * 3) as usize);
    let none = ColourChange {
        order: ColourStep::ALL,
        brightness: None,
        contrast: None,
        saturation: None,
        hue: None,
    };
    let mut group = criterion.benchmark_group("colours of 224x224");
    group.throughput(Throughput::Elements(1));
    for (name, change) in [
        (
            "brightness",
            ColourChange {
                brightness: Some(1.3),
                ..none
            },
        ),
        (
            "contrast",
            ColourChange {
                contrast: Some(0.7),
                ..none
            },
        ),
        (
            "saturation",
            ColourChange {
                saturation: Some(1.3),
                ..none
            },
        ),
        (
            "hue",
            ColourChange {
                hue: Some(0.1),
                ..none
            },
        ),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || image.clone(),
                |rgb| change.apply(rgb),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn normalise(criterion: &mut Criterion) {
    let image = noise((SIDE * SIDE * 3) as usize);
    let normalise = Normalize::imagenet();
    let mut out = vec![0.0; image.len()];
    let mut group = criterion.benchmark_group("normalise 224x224");
    group.throughput(Throughput::Bytes(out.len() as u64 * 4));
    for layout in [Layout::Interleaved, Layout::Planar] {
        group.bench_function(format!("{layout:?}"), |bencher| {
            bencher.iter(|| {
                normalise
                    .apply(black_box(&image), layout, &mut out)
                    .unwrap();
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1));
    targets = resize, colour, normalise
}
criterion_main!(benches);
