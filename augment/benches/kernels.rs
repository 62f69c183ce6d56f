//! What an image costs after decoding: crop and resize.
//!
//! ```text
//! cargo bench -p sbam-augment
//! ```

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sbam_augment::{CropBox, DrawKey, Draws, Purpose, Resizer, View};

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

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1));
    targets = resize
}
criterion_main!(benches);
