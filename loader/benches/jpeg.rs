//! What a photograph costs up to its pixels: cutting, and decoding all of it or a part.
//!
//! ```text
//! cargo bench -p sbam-loader
//! ```

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use sbam_augment::CropBox;
use sbam_loader::{Cutter, Decoder, restart_mcus};

/// A photograph's usual size in ImageNet.
const WIDTH: u16 = 500;
const HEIGHT: u16 = 375;
/// 64 pixels at 4:2:0.
const INTERVAL: u16 = 4;
/// A box of the mean size that MAE's recipe draws, in the middle.
const BOX: CropBox = CropBox {
    x: 75,
    y: 52,
    width: 350,
    height: 270,
};

/// Slopes under grain: about 100 kB at this quality, as photographs have.
fn photograph(interval: u16) -> Vec<u8> {
    let mut grain = 1_u32;
    let pixels: Vec<u8> = (0..u32::from(HEIGHT))
        .flat_map(|y| (0..u32::from(WIDTH)).map(move |x| (x, y)))
        .flat_map(|(x, y)| {
            grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let level = 60 + (x + y) / 8 + (grain >> 27);
            [level as u8, (level + x / 9) as u8, (level + y / 7) as u8]
        })
        .collect();
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, 92);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.set_restart_interval(interval);
    encoder
        .encode(&pixels, WIDTH, HEIGHT, ColorType::Rgb)
        .expect("encodes");
    jpeg
}

fn jpeg(criterion: &mut Criterion) {
    let (ordinary, ready) = (photograph(0), photograph(INTERVAL));
    let mut group = criterion.benchmark_group(format!(
        "a photograph of {WIDTH}x{HEIGHT}, {} kB",
        ordinary.len() / 1000
    ));
    group.throughput(Throughput::Elements(1));
    let (mut decoder, mut cutter) = (Decoder::new(), Cutter::new());
    group.bench_function("decode all", |bencher| {
        bencher.iter(|| decoder.decode(black_box(&ordinary)).map(|rgb| rgb.width));
    });
    for (name, jpeg) in [
        ("decode 350x270, ordinary", &ordinary),
        ("decode 350x270, crop-ready", &ready),
    ] {
        let interval = restart_mcus(jpeg);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                decoder
                    .decode_part(black_box(jpeg), &BOX, interval)
                    .map(|part| part.place)
            });
        });
    }
    group.bench_function("cut 350x270", |bencher| {
        bencher.iter(|| {
            cutter
                .cut(black_box(&ready), &BOX, INTERVAL.into())
                .map(|cut| cut.map(|cut| cut.jpeg.len()))
        });
    });
    group.bench_function("look for restart markers", |bencher| {
        bencher.iter(|| restart_mcus(black_box(&ready)));
    });
    group.finish();
}

criterion_group!(benches, jpeg);
criterion_main!(benches);
