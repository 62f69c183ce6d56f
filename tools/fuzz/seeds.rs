//! Writes small JPEGs of all kinds into a folder, for the fuzzer to start from.

use std::path::PathBuf;

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

fn main() {
    let folder = PathBuf::from(std::env::args_os().nth(1).expect("usage: seeds FOLDER"));
    std::fs::create_dir_all(&folder).expect("cannot make the folder");
    let samplings = [
        SamplingFactor::F_1_1,
        SamplingFactor::F_2_1,
        SamplingFactor::F_2_2,
        SamplingFactor::F_1_2,
        SamplingFactor::F_4_1,
    ];
    let colours = [
        (ColorType::Luma, 1),
        (ColorType::Rgb, 3),
        (ColorType::Cmyk, 4),
        (ColorType::CmykAsYcck, 4),
    ];
    let mut number = 0;
    for sampling in samplings {
        for (colour, channels) in colours {
            for progressive in [false, true] {
                for restart in [0, 2] {
                    let (width, height) = (37, 21);
                    let pixels: Vec<u8> = (0..width * height * channels)
                        .map(|i| (i * i % 251) as u8)
                        .collect();
                    let file = folder.join(format!("seed-{number}.jpg"));
                    let mut encoder = Encoder::new_file(file, 60).expect("cannot write");
                    encoder.set_sampling_factor(sampling);
                    encoder.set_progressive(progressive);
                    if restart > 0 {
                        encoder.set_restart_interval(restart);
                    }
                    encoder
                        .add_app_segment(1, b"Exif\0\0MM")
                        .expect("it is short");
                    encoder
                        .encode(&pixels, width as u16, height as u16, colour)
                        .expect("cannot encode");
                    number += 1;
                }
            }
        }
    }
}
