//! Pictures of a fixed set of images: input, mask, salience, reconstruction.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use sbam_augment::{DrawKey, Draws, EvalView, Purpose, Resizer};
use sbam_loader::{Dataset, Decoder};
use sbam_model::{Mae, SampleMask, TokenMask};

use crate::config::Strategy;
use crate::files::write_whole;
use crate::images::{MEAN, STD, upload_patches};
use crate::plan::Plan;
use crate::step::salience_rows;

/// Pixels between two pictures.
const GAP: usize = 4;
/// What stands in place of a masked patch.
const MASKED_GREY: u8 = 96;

/// The fixed set: images spread evenly over the data set, seen whole (central crop, no flip).
pub(crate) struct FixedSet {
    sample_indices: Vec<u64>,
    /// `[images, height, width, 3]`
    pixels: Vec<u8>,
}

impl FixedSet {
    /// Reads and renders `count` images; fewer if the data set has fewer. An image that cannot be
    /// decoded is left out: training decides what it means.
    pub(crate) fn read(
        dataset: &Dataset,
        count: usize,
        [height, width]: [usize; 2],
    ) -> Result<Self> {
        let (mut decoder, mut resizer, mut jpeg) = (Decoder::new(), Resizer::new(), Vec::new());
        let count = (count as u64).min(dataset.len());
        let eval = EvalView {
            out_width: width as u32,
            out_height: height as u32,
        };
        let mut set = Self {
            sample_indices: Vec::new(),
            pixels: Vec::new(),
        };
        for number in 0..count {
            let index = number * dataset.len() / count;
            dataset.read(index, &mut jpeg)?;
            let Ok(image) = decoder.decode(&jpeg) else {
                continue;
            };
            let view = eval.view(image.width, image.height);
            let start = set.pixels.len();
            set.pixels.resize(start + height * width * 3, 0);
            resizer.render(
                image.pixels,
                image.width,
                image.height,
                &view,
                &mut set.pixels[start..],
                width as u32,
                height as u32,
            )?;
            set.sample_indices.push(index);
        }
        Ok(set)
    }

    pub(crate) fn contains(&self, sample_index: u64) -> bool {
        self.sample_indices.contains(&sample_index)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sample_indices.is_empty()
    }

    /// Writes the pictures that the model of this moment gives. The noise of a picture's mask never
    /// changes, so that pictures of different steps can be compared.
    pub(crate) fn write_pictures(
        &self,
        path: &Path,
        plan: &Plan,
        model: &Mae,
        device: &Device,
    ) -> Result<()> {
        let model = model.valid();
        let tokens = plan.model.tokens();
        let uniforms: Vec<Vec<f32>> = self
            .sample_indices
            .iter()
            .map(|index| noise(plan.config.seed, *index, tokens))
            .collect();
        let patches = upload_patches(
            &self.pixels,
            plan.height_width(),
            plan.model.patch_size,
            device,
        );
        let masks = match plan.config.mask.strategy {
            Strategy::Random => plan.masking.random(&uniforms),
            Strategy::Salience => {
                let salience = salience_rows(plan, &model, patches.clone())?;
                plan.masking
                    .salient(salience, &uniforms, &vec![1.0; self.sample_indices.len()])
            }
        };
        let token_masks: Vec<&TokenMask> = masks.iter().map(|sample| &sample.mask).collect();
        let output = model.forward(
            patches.clone(),
            &token_masks,
            &vec![0.0; masks.len()],
            plan.length_multiple,
        );
        let host = |tensor: Tensor<3>| -> Vec<f32> {
            tensor.into_data().try_into_vec().expect("values are f32")
        };
        let (input, pred) = (host(patches), host(output.pred));
        let values = plan.model.patch_values();

        let [height, width] = plan.height_width();
        let mut sheet = Sheet::new(
            masks.len(),
            if masks.iter().any(|mask| mask.salience.is_some()) {
                4
            } else {
                3
            },
            height,
            width,
        );
        for (row, mask) in masks.iter().enumerate() {
            let image = &self.pixels[row * height * width * 3..(row + 1) * height * width * 3];
            let part = row * tokens * values..(row + 1) * tokens * values;
            sheet.put(row, 0, image);
            sheet.put(row, 1, &masked_picture(plan, image, mask));
            let last = match &mask.salience {
                Some(salience) => {
                    sheet.put(row, 2, &salience_picture(plan, image, &salience.normalised));
                    3
                }
                None => 2,
            };
            sheet.put(
                row,
                last,
                &reconstruction(plan, image, mask, &input[part.clone()], &pred[part]),
            );
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        write_whole(path, &sheet.to_png()?)
    }
}

fn noise(seed: u64, sample_index: u64, tokens: usize) -> Vec<f32> {
    let mut draws = Draws::new(DrawKey {
        seed,
        epoch: 0,
        sample_index,
        view: 0,
        purpose: Purpose::Picture,
    });
    (0..tokens).map(|_| draws.uniform_f32()).collect()
}

/// Calls `paint` with every pixel's token, place within its patch, and offset in an image.
fn for_each_pixel(plan: &Plan, mut paint: impl FnMut(usize, usize, usize)) {
    let ([height, width], patch, [_, columns]) = (
        plan.height_width(),
        plan.model.patch_size,
        plan.model.grid(),
    );
    for y in 0..height {
        for x in 0..width {
            let token = y / patch * columns + x / patch;
            paint(token, y % patch * patch + x % patch, (y * width + x) * 3);
        }
    }
}

fn masked_picture(plan: &Plan, image: &[u8], mask: &SampleMask) -> Vec<u8> {
    let masked = mask.mask.masked();
    let mut picture = image.to_vec();
    for_each_pixel(plan, |token, _, at| {
        if masked[token] {
            picture[at..at + 3].fill(MASKED_GREY);
        }
    });
    picture
}

/// Normalised salience as a colour from dark blue over red to yellow, over a dimmed image.
fn salience_picture(plan: &Plan, image: &[u8], normalised: &[f32]) -> Vec<u8> {
    let mut picture = image.to_vec();
    for_each_pixel(plan, |token, _, at| {
        let level = normalised[token];
        let colour = [
            (2.0 * level).min(1.0),
            (2.0 * level - 1.0).max(0.0),
            (0.5 - level).max(0.0),
        ];
        for (channel, colour) in colour.into_iter().enumerate() {
            let dimmed = f32::from(image[at + channel]) * 0.25;
            picture[at + channel] = (dimmed + colour * 191.0) as u8;
        }
    });
    picture
}

/// The image with every masked patch replaced by its prediction.
fn reconstruction(
    plan: &Plan,
    image: &[u8],
    mask: &SampleMask,
    input: &[f32],
    pred: &[f32],
) -> Vec<u8> {
    let (masked, values) = (mask.mask.masked(), plan.model.patch_values());
    // A prediction of normalised pixels is shown with the true mean and deviation of its patch.
    let scales: Vec<(f32, f32)> = input
        .chunks(values)
        .map(|patch| {
            if plan.model.norm_pix_loss {
                mean_and_deviation(patch)
            } else {
                (0.0, 1.0)
            }
        })
        .collect();
    let mut picture = image.to_vec();
    for_each_pixel(plan, |token, place, at| {
        if masked[token] {
            let (mean, deviation) = scales[token];
            for channel in 0..3 {
                let value = pred[token * values + place * 3 + channel] * deviation + mean;
                let level = (value * STD[channel] + MEAN[channel]) * 255.0;
                picture[at + channel] = level.round().clamp(0.0, 255.0) as u8;
            }
        }
    });
    picture
}

fn mean_and_deviation(patch: &[f32]) -> (f32, f32) {
    let count = patch.len() as f64;
    let mean = patch.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let variance = patch
        .iter()
        .map(|value| (f64::from(*value) - mean).powi(2))
        .sum::<f64>()
        / (count - 1.0);
    (mean as f32, (variance + 1e-6).sqrt() as f32)
}

/// A grid of pictures of one size on white.
struct Sheet {
    columns: usize,
    rows: usize,
    height: usize,
    width: usize,
    pixels: Vec<u8>,
}

impl Sheet {
    fn new(rows: usize, columns: usize, height: usize, width: usize) -> Self {
        let mut sheet = Self {
            columns,
            rows,
            height,
            width,
            pixels: Vec::new(),
        };
        sheet.pixels = vec![255; sheet.total_width() * sheet.total_height() * 3];
        sheet
    }

    fn total_width(&self) -> usize {
        self.columns * (self.width + GAP) + GAP
    }

    fn total_height(&self) -> usize {
        self.rows * (self.height + GAP) + GAP
    }

    fn put(&mut self, row: usize, column: usize, picture: &[u8]) {
        let (left, top) = (
            GAP + column * (self.width + GAP),
            GAP + row * (self.height + GAP),
        );
        for (y, line) in picture.chunks(self.width * 3).enumerate() {
            let start = ((top + y) * self.total_width() + left) * 3;
            self.pixels[start..start + line.len()].copy_from_slice(line);
        }
    }

    fn to_png(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(
            &mut bytes,
            self.total_width() as u32,
            self.total_height() as u32,
        );
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().context("cannot encode a picture")?;
        writer
            .write_image_data(&self.pixels)
            .context("cannot encode a picture")?;
        writer.finish().context("cannot encode a picture")?;
        Ok(bytes)
    }
}
