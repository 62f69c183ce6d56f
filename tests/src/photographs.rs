//! A folder of small pictures with something to see in them.

use std::fs;
use std::path::Path;

use jpeg_encoder::{ColorType, Encoder};

/// Writes `count` JPEGs of 56–87 by 48–79 pixels into `root/train/class-0 … class-2`.
///
/// Every picture has a gradient, a disc of its own place and size, and a texture, all from its
/// number: the same call writes the same bytes.
///
/// # Panics
/// If a file cannot be written: there is no test without pictures.
pub fn write_photographs(root: &Path, count: usize) {
    for number in 0..count {
        let class = number % 3;
        let folder = root.join("train").join(format!("class-{class}"));
        fs::create_dir_all(&folder).expect("the folder can be made");
        let (width, height) = (56 + number * 7 % 32, 48 + number * 11 % 32);
        let (x0, y0) = ((number * 13 % width) as f32, (number * 29 % height) as f32);
        let radius = 8.0 + (number * 5 % 17) as f32;
        let mut pixels = Vec::with_capacity(width * height * 3);
        for y in 0..height {
            for x in 0..width {
                let inside = (x as f32 - x0).hypot(y as f32 - y0) < radius;
                let stripe = (x * (class + 1) + y * (number % 5)) / 4 % 2 * 60;
                let base = [x * 200 / width, y * 200 / height, number * 37 % 200];
                pixels.extend(base.map(|level| {
                    if inside {
                        255 - stripe as u8
                    } else {
                        level as u8
                    }
                }));
            }
        }
        let path = folder.join(format!("picture_{number}.JPEG"));
        let encoder = Encoder::new_file(path, 90).expect("the file can be made");
        encoder
            .encode(&pixels, width as u16, height as u16, ColorType::Rgb)
            .expect("the picture is encoded");
    }
}
