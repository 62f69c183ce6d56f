//! Decodes every photograph of a data set whole with libjpeg-turbo, on one thread; prints one JSON line.
//!
//! ```sh
//! apt-get install cmake nasm
//! cargo run --release -- SHARDS
//! ```

use std::time::Instant;

use sbam_loader::Dataset;
use turbojpeg::{Decompressor, Image, PixelFormat};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let spec = std::env::args().nth(1).ok_or("give the folder of shards")?;
    let cache = std::env::temp_dir().join("sbam-bench");
    let dataset = Dataset::open(&spec, &cache, &mut |_, _| {})?;
    let mut decompressor = Decompressor::new()?;
    let (mut jpeg, mut pixels) = (Vec::new(), Vec::new());
    let started = Instant::now();
    for index in 0..dataset.len() {
        dataset.read(index, &mut jpeg)?;
        let header = decompressor.read_header(&jpeg)?;
        let pitch = header.width * 3;
        pixels.resize(pitch * header.height, 0);
        decompressor.decompress(
            &jpeg,
            Image {
                pixels: &mut pixels[..pitch * header.height],
                width: header.width,
                pitch,
                height: header.height,
                format: PixelFormat::RGB,
            },
        )?;
        std::hint::black_box(&pixels);
    }
    let seconds = started.elapsed().as_secs_f64();
    let line = serde_json::json!({
        "loader": "turbojpeg",
        "images": dataset.len(),
        "images_per_s": dataset.len() as f64 / seconds,
    });
    println!("{line}");
    Ok(())
}
