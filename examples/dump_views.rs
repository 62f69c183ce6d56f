//! Writes what the loader makes of every image of a data set, for comparison with other libraries.
//!
//! ```text
//! cargo run --release --example dump_views -- SHARDS OUT.safetensors
//! ```
//! `pixels` u8 `[N, 64, 96, 3]` and `views` i32 `[N, 6]` (sample, x, y, width, height, flip) of the
//! first epoch; `boxes` i32 `[M, 5]` (sample, x, y, width, height) of fifty epochs.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use safetensors::tensor::{Dtype, TensorView};
use sbam_augment::{RandomResizedCrop, TrainView, View};
use sbam_loader::{Dataset, Loader, LoaderConfig};

const HEIGHT: usize = 64;
const WIDTH: usize = 96;
const EPOCHS_OF_BOXES: u64 = 50;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: dump_views SHARDS OUT.safetensors";
    let (shards, out) = (
        arguments.next().context(usage)?,
        arguments.next().context(usage)?,
    );
    let dataset = Arc::new(Dataset::open(
        &shards,
        Path::new(&out).parent().context(usage)?,
        &mut |_, _| {},
    )?);
    let view = TrainView {
        crop: RandomResizedCrop {
            scale: [0.2, 1.0],
            ratio: [0.75, 4.0 / 3.0],
        },
        hflip: 0.5,
        ..TrainView::default()
    };

    let config = LoaderConfig {
        seed: 11,
        batch_size: 8,
        global_batch: 8,
        streams: 4,
        window_shards: 2,
        out_width: WIDTH as u32,
        out_height: HEIGHT as u32,
        view,
        epochs: 1,
        verify_crc: true,
        ..LoaderConfig::default()
    };
    let mut loader = Loader::start(Arc::clone(&dataset), config, None)?;
    let (mut pixels, mut views) = (Vec::new(), Vec::new());
    while let Some(batch) = loader.next_batch()? {
        pixels.extend_from_slice(batch.pixels());
        for sample in batch.samples() {
            views.extend(numbers(sample.sample_index, &sample.view));
            views.push(i32::from(sample.view.flip));
        }
    }

    let mut boxes = Vec::new();
    for epoch in 0..EPOCHS_OF_BOXES {
        for index in 0..dataset.len() {
            let sample = dataset.sample(index);
            let drawn = view.draw(
                11,
                epoch,
                index,
                0,
                sample.width as u32,
                sample.height as u32,
            );
            boxes.extend(numbers(index, &drawn));
        }
    }

    let bytes = |values: &[i32]| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    let (view_bytes, box_bytes) = (bytes(&views), bytes(&boxes));
    let tensors = [
        (
            "pixels",
            TensorView::new(Dtype::U8, vec![views.len() / 6, HEIGHT, WIDTH, 3], &pixels)?,
        ),
        (
            "views",
            TensorView::new(Dtype::I32, vec![views.len() / 6, 6], &view_bytes)?,
        ),
        (
            "boxes",
            TensorView::new(Dtype::I32, vec![boxes.len() / 5, 5], &box_bytes)?,
        ),
    ];
    safetensors::serialize_to_file(tensors, None, Path::new(&out))?;
    Ok(())
}

fn numbers(sample_index: u64, view: &View) -> [i32; 5] {
    let crop = view.crop;
    [
        sample_index as i32,
        crop.x as i32,
        crop.y as i32,
        crop.width as i32,
        crop.height as i32,
    ]
}
