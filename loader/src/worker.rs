//! What a decode thread does to one slot: decode what its views need, then crop, resize and flip.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use crossbeam::channel::{Receiver, Sender};
use sbam_augment::{CropBox, View};

use crate::byte_budget::Permit;
use crate::config::LoaderConfig;
use crate::dataset::Dataset;
use crate::error::{Error, Result, SampleProblem};
use crate::fetcher::Fetched;
use crate::jpeg::{Decoder, jpeg_size};
use crate::manifest::Sample;
use crate::meters::{Meters, count};
use crate::renderer::Renderer;

/// A slot to fill.
pub(crate) struct Job {
    /// The batch's number since the loader started.
    pub(crate) batch: u64,
    /// The slot's number in the batch.
    pub(crate) slot: usize,
    pub(crate) epoch: u64,
    /// The sample, or nothing for padding.
    pub(crate) sample_index: Option<u64>,
    /// The slot's part of the batch's buffer: the sample's views, one after the other.
    pub(crate) pixels: BytesMut,
    /// Room for the sample's bytes, held until they are decoded.
    pub(crate) room: Option<Permit>,
}

/// A slot that a worker is done with.
pub(crate) struct Done {
    pub(crate) batch: u64,
    pub(crate) slot: usize,
    /// The filled slot, or why the run cannot go on.
    pub(crate) filled: Result<Filled>,
}

/// A slot and what is in it.
pub(crate) struct Filled {
    /// The slot's part of the batch's buffer.
    pub(crate) pixels: BytesMut,
    pub(crate) outcome: Outcome,
}

/// How a slot turned out.
pub(crate) enum Outcome {
    /// The pixels show the views of the sample.
    Good(u64),
    /// The sample cannot be used; the pixels are anything.
    Bad(u64, SampleProblem),
    /// There is no sample; the pixels are anything.
    Padding,
}

/// A thread's own tools and buffers.
pub(crate) struct Worker {
    config: LoaderConfig,
    dataset: Arc<Dataset>,
    meters: Arc<Meters>,
    decoder: Decoder,
    renderer: Renderer,
    /// The views of the sample at hand.
    views: Vec<View>,
}

impl Worker {
    pub(crate) fn new(
        config: &LoaderConfig,
        dataset: &Arc<Dataset>,
        meters: &Arc<Meters>,
    ) -> Result<Self> {
        Ok(Self {
            config: config.clone(),
            dataset: Arc::clone(dataset),
            meters: Arc::clone(meters),
            decoder: Decoder::new(),
            renderer: Renderer::new(config)?,
            views: Vec::with_capacity(config.views as usize),
        })
    }

    /// Fills slots until there are no more, or until nobody wants them.
    pub(crate) fn run(mut self, fetched: &Receiver<Fetched>, done: &Sender<Done>) {
        let mut free_since = Instant::now();
        while let Ok(next) = fetched.recv() {
            self.meters.idle.add_since(free_since);
            if done.send(self.work(next)).is_err() {
                return;
            }
            free_since = Instant::now();
        }
    }

    fn work(&mut self, fetched: Fetched) -> Done {
        let Fetched { job, jpeg } = fetched;
        let (batch, slot) = (job.batch, job.slot);
        let filled = match (job.sample_index, jpeg) {
            (_, Err(error)) => Err(error),
            (None, Ok(_)) => Ok(Filled {
                pixels: job.pixels,
                outcome: Outcome::Padding,
            }),
            (Some(sample_index), Ok(jpeg)) => {
                let mut pixels = job.pixels;
                catch_unwind(AssertUnwindSafe(|| {
                    let outcome =
                        match self.fill(job.epoch, sample_index, &jpeg.bytes, &mut pixels)? {
                            Ok(()) => Outcome::Good(sample_index),
                            Err(problem) => Outcome::Bad(sample_index, problem),
                        };
                    Ok(Filled { pixels, outcome })
                }))
                .unwrap_or_else(|panic| {
                    Err(Error::panicked(&self.dataset, sample_index, panic.as_ref()))
                })
            }
        };
        // The bytes are gone by now, so others may come.
        drop(job.room);
        Done {
            batch,
            slot,
            filled,
        }
    }

    /// Writes a sample's views into `pixels`; the inner error is the sample's fault.
    fn fill(
        &mut self,
        epoch: u64,
        sample_index: u64,
        jpeg: &[u8],
        pixels: &mut [u8],
    ) -> Result<std::result::Result<(), SampleProblem>> {
        let sample = self.dataset.sample(sample_index);
        if let Err(problem) = check(sample, jpeg, self.config.verify_crc) {
            return Ok(Err(problem));
        }
        let (width, height) = (sample.width as u32, sample.height as u32);
        let restart_mcus = sample.restart_mcus as u32;
        self.views.clear();
        self.views
            .extend(self.config.views_of(epoch, sample_index, width, height));
        let image_bytes = self.config.image_bytes();
        let mut partly = true;
        // Views that are far from each other are cheaper to decode one by one.
        let together = if decoded_together(&self.views, restart_mcus) {
            self.views.len()
        } else {
            1
        };
        for (views, pixels) in self
            .views
            .chunks(together)
            .zip(pixels.chunks_exact_mut(together * image_bytes))
        {
            let start = Instant::now();
            let part = match self.decoder.decode_part(jpeg, &around(views), restart_mcus) {
                Ok(part) => part,
                Err(problem) => return Ok(Err(problem)),
            };
            let start = self.meters.decode.add_since(start);
            for (view, pixels) in views.iter().zip(pixels.chunks_exact_mut(image_bytes)) {
                self.renderer.render(&part, view, pixels)?;
            }
            self.meters.render.add_since(start);
            count(&self.meters.decoded_pixels, part.decoded_pixels);
            partly &= part.decoded_pixels < u64::from(width) * u64::from(height);
        }
        count(&self.meters.samples, 1);
        count(&self.meters.images, self.views.len() as u64);
        count(&self.meters.crop_ready_samples, u64::from(restart_mcus > 0));
        count(&self.meters.partly_decoded_samples, partly.into());
        Ok(Ok(()))
    }
}

/// Whether the bytes are those that the manifest describes.
fn check(sample: &Sample, jpeg: &[u8], verify_crc: bool) -> std::result::Result<(), SampleProblem> {
    if verify_crc {
        let found = crc32c::crc32c(jpeg);
        if i64::from(found) != sample.crc32c {
            return Err(SampleProblem::Checksum {
                found,
                expected: sample.crc32c as u32,
            });
        }
    }
    let size = jpeg_size(jpeg)?;
    // The boxes were drawn for the manifest's size.
    let (manifest_width, manifest_height) = (sample.width as u32, sample.height as u32);
    if (size.width, size.height) != (manifest_width, manifest_height) {
        return Err(SampleProblem::SizeDiffers {
            width: size.width,
            height: size.height,
            manifest_width,
            manifest_height,
        });
    }
    Ok(())
}

/// The smallest box around the boxes of all views.
fn around(views: &[View]) -> CropBox {
    let crops = || views.iter().map(|view| view.crop);
    let x = crops().map(|crop| crop.x).min().unwrap_or_default();
    let y = crops().map(|crop| crop.y).min().unwrap_or_default();
    let right = crops().map(|crop| crop.x + crop.width).max();
    let bottom = crops().map(|crop| crop.y + crop.height).max();
    CropBox {
        x,
        y,
        width: right.unwrap_or_default() - x,
        height: bottom.unwrap_or_default() - y,
    }
}

/// Whether one decode for all views is cheaper than one for each.
fn decoded_together(views: &[View], restart_mcus: u32) -> bool {
    let pixels = |crop: CropBox| u64::from(crop.width) * u64::from(crop.height);
    let one_by_one: u64 = views.iter().map(|view| pixels(view.crop)).sum();
    restart_mcus == 0 || pixels(around(views)) <= one_by_one
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(x: u32, y: u32, width: u32, height: u32) -> View {
        View::plain(CropBox {
            x,
            y,
            width,
            height,
        })
    }

    #[test]
    fn views_far_apart_are_decoded_one_by_one() {
        let near = [view(0, 0, 60, 60), view(30, 20, 60, 60)];
        let far = [view(0, 0, 60, 60), view(400, 300, 60, 60)];
        assert_eq!(around(&near), view(0, 0, 90, 80).crop);
        assert!(decoded_together(&near, 4));
        assert!(!decoded_together(&far, 4));
        // Without restart markers everything above a box is read for it.
        assert!(decoded_together(&far, 0));
    }
}
