//! Decodes random boxes of every image of a data set, holds them against zune-jpeg's whole decode, and writes views with
//! the pixels they were made of, for comparison with other libraries.
//!
//! ```text
//! cargo run --release --example photograph_boxes -- SHARDS OUT.safetensors SEED
//! ```
//! Any pixel of any box that differs is an error. For the first images, `photograph.I` u8 `[height, width, 3]` is one whole,
//! `view.I` u8 `[224, 224, 3]` a view of it, and `box.I` i32 `[5]` its x, y, width, height and flip.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use safetensors::tensor::{Dtype, TensorView};
use sbam_augment::{CropBox, DrawKey, Draws, Purpose, Resizer, TrainView};
use sbam_loader::{Dataset, Decoder, Part, restart_mcus};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// Boxes of each image.
const BOXES: u32 = 40;
/// Images whose pixels are written.
const WRITTEN: u64 = 48;
const SIDE: u32 = 224;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || {
        arguments
            .next()
            .context("usage: photograph_boxes SHARDS OUT.safetensors SEED")
    };
    let (shards, out, seed) = (next()?, next()?, next()?.parse()?);
    let cache = Path::new(&out).parent().context("OUT has no folder")?;
    let dataset = Dataset::open(&shards, cache, &mut |_, _| {})?;
    let (mut jpeg, mut decoder, mut resizer) = (Vec::new(), Decoder::new(), Resizer::new());
    let mut tensors = BTreeMap::new();
    let (mut boxes, mut crop_ready) = (0, 0);
    for index in 0..dataset.len() {
        dataset.read(index, &mut jpeg)?;
        let sample = dataset.sample(index);
        let (width, height) = (sample.width as u32, sample.height as u32);
        let whole = by_zune(&jpeg).with_context(|| sample.key.clone())?;
        let key = |purpose| DrawKey {
            seed,
            epoch: 0,
            sample_index: index,
            view: 0,
            purpose,
        };
        let mut draws = Draws::new(key(Purpose::BuiltIn));
        let markers = restart_mcus(&jpeg);
        ensure!(
            i64::from(markers) == i64::from(sample.restart_mcus),
            "{}: manifest",
            sample.key
        );
        crop_ready += u64::from(markers > 0);
        for number in 0..BOXES {
            let needed = draw_box(&mut draws, number, width, height);
            let part = decoder.decode_part(&jpeg, &needed, markers)?;
            ensure!(
                same_pixels(&part, &needed, &whole, width),
                "{}: {needed:?} of {width}x{height} differs from the whole",
                sample.key
            );
            boxes += 1;
        }
        ensure!(
            decoder.decode(&jpeg)?.pixels == whole,
            "{}: the whole differs",
            sample.key
        );
        if index < WRITTEN {
            let view = TrainView::default().draw(seed, 0, index, 0, width, height);
            let mut pixels = vec![0; (SIDE * SIDE * 3) as usize];
            resizer.render(&whole, width, height, &view, &mut pixels, SIDE, SIDE)?;
            let crop = view.crop;
            let numbers = [
                crop.x,
                crop.y,
                crop.width,
                crop.height,
                u32::from(view.flip),
            ];
            let numbers: Vec<u8> = numbers
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect();
            let shape = vec![height as usize, width as usize, 3];
            let side = SIDE as usize;
            tensors.insert(format!("photograph.{index}"), (Dtype::U8, shape, whole));
            tensors.insert(
                format!("view.{index}"),
                (Dtype::U8, vec![side, side, 3], pixels),
            );
            tensors.insert(format!("box.{index}"), (Dtype::I32, vec![5], numbers));
        }
    }
    let views = tensors.iter().map(|(name, (kind, shape, bytes))| {
        TensorView::new(*kind, shape.clone(), bytes).map(|view| (name.as_str(), view))
    });
    safetensors::serialize_to_file(views.collect::<Result<Vec<_>, _>>()?, None, Path::new(&out))?;
    println!(
        "{boxes} boxes of {} photographs, {crop_ready} of them crop-ready: no pixel differs from zune-jpeg's whole decode",
        dataset.len()
    );
    Ok(())
}

/// The whole JPEG by zune-jpeg alone.
fn by_zune(jpeg: &[u8]) -> Result<Vec<u8>> {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB);
    Ok(JpegDecoder::new_with_options(ZCursor::new(jpeg), options).decode()?)
}

/// Boxes of any size, every few of one pixel, or at an edge.
fn draw_box(draws: &mut Draws, number: u32, width: u32, height: u32) -> CropBox {
    let mut side = |length: u32, kind: u32| {
        let start = draws.next_u32() % length;
        let size = 1 + draws.next_u32() % (length - start);
        match kind {
            0 => (start, 1),
            1 => (0, size),
            2 => (length - size, size),
            _ => (start, size),
        }
    };
    let (x, box_width) = side(width, number % 5);
    let (y, box_height) = side(height, number / 5 % 5);
    CropBox {
        x,
        y,
        width: box_width,
        height: box_height,
    }
}

fn same_pixels(part: &Part<'_>, needed: &CropBox, whole: &[u8], width: u32) -> bool {
    let row = |pixels: &'_ [u8], x: u32, y: u32, width: u32| {
        let at = (y * width + x) as usize * 3;
        pixels[at..at + needed.width as usize * 3].to_vec()
    };
    (0..needed.height).all(|y| {
        let (x_in_part, y_in_part) = (needed.x - part.place.x, needed.y - part.place.y);
        row(part.rgb.pixels, x_in_part, y_in_part + y, part.rgb.width)
            == row(whole, needed.x, needed.y + y, width)
    })
}
