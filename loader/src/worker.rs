//! What a worker thread does to one slot: read, decode, crop, resize.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::BytesMut;
use crossbeam::channel::{Receiver, Sender};
use sbam_augment::{Resizer, View};

use crate::config::LoaderConfig;
use crate::dataset::Dataset;
use crate::error::{Error, Result, SampleProblem};
use crate::jpeg::Decoder;

/// Reads a sample's JPEG into a buffer.
pub(crate) type Fetch = Arc<dyn Fn(u64, &mut Vec<u8>) -> Result<()> + Send + Sync>;

/// A slot to fill.
pub(crate) struct Job {
    /// The batch's number since the loader started.
    pub(crate) batch: u64,
    /// The slot's number in the batch.
    pub(crate) slot: usize,
    pub(crate) epoch: u64,
    /// The sample, or nothing for padding.
    pub(crate) sample_index: Option<u64>,
    /// The slot's part of the batch's buffer.
    pub(crate) pixels: BytesMut,
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
    /// The pixels show this view of the sample.
    Good(u64, View),
    /// The sample cannot be used; the pixels are anything.
    Bad(u64, SampleProblem),
    /// There is no sample; the pixels are anything.
    Padding,
}

/// A thread's own tools and buffers.
pub(crate) struct Worker {
    config: LoaderConfig,
    dataset: Arc<Dataset>,
    fetch: Fetch,
    jpeg: Vec<u8>,
    decoder: Decoder,
    resizer: Resizer,
}

impl Worker {
    pub(crate) fn new(config: &LoaderConfig, dataset: &Arc<Dataset>, fetch: &Fetch) -> Self {
        Self {
            config: config.clone(),
            dataset: Arc::clone(dataset),
            fetch: Arc::clone(fetch),
            jpeg: Vec::new(),
            decoder: Decoder::new(),
            resizer: Resizer::new(),
        }
    }

    /// Fills slots until there are no more, or until nobody wants them.
    pub(crate) fn run(mut self, jobs: &Receiver<Job>, done: &Sender<Done>) {
        for job in jobs {
            if done.send(self.work(job)).is_err() {
                return;
            }
        }
    }

    fn work(&mut self, job: Job) -> Done {
        let filled = match job.sample_index {
            None => Ok(Filled {
                pixels: job.pixels,
                outcome: Outcome::Padding,
            }),
            Some(sample_index) => {
                let mut pixels = job.pixels;
                catch_unwind(AssertUnwindSafe(|| {
                    let outcome = match self.fill(job.epoch, sample_index, &mut pixels)? {
                        Ok(view) => Outcome::Good(sample_index, view),
                        Err(problem) => Outcome::Bad(sample_index, problem),
                    };
                    Ok(Filled { pixels, outcome })
                }))
                .unwrap_or_else(|panic| Err(self.panicked(sample_index, panic.as_ref())))
            }
        };
        Done {
            batch: job.batch,
            slot: job.slot,
            filled,
        }
    }

    /// Writes a sample's view into `pixels`; the inner error is the sample's fault.
    fn fill(
        &mut self,
        epoch: u64,
        sample_index: u64,
        pixels: &mut [u8],
    ) -> Result<std::result::Result<View, SampleProblem>> {
        (self.fetch)(sample_index, &mut self.jpeg)?;
        let sample = self.dataset.sample(sample_index);
        if self.config.verify_crc {
            let found = crc32c::crc32c(&self.jpeg);
            if i64::from(found) != sample.crc32c {
                return Ok(Err(SampleProblem::Checksum {
                    found,
                    expected: sample.crc32c as u32,
                }));
            }
        }
        let rgb = match self.decoder.decode(&self.jpeg) {
            Ok(rgb) => rgb,
            Err(problem) => return Ok(Err(problem)),
        };
        let (width, height) = (sample.width as u32, sample.height as u32);
        if (rgb.width, rgb.height) != (width, height) {
            return Ok(Err(SampleProblem::SizeDiffers {
                width: rgb.width,
                height: rgb.height,
                manifest_width: width,
                manifest_height: height,
            }));
        }
        let config = &self.config;
        let view = config
            .view
            .draw(config.seed, epoch, sample_index, 0, width, height);
        self.resizer.render(
            rgb.pixels,
            width,
            height,
            &view,
            pixels,
            config.out_width,
            config.out_height,
        )?;
        Ok(Ok(view))
    }

    fn panicked(&self, sample_index: u64, panic: &(dyn Any + Send)) -> Error {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        let sample = self.dataset.sample(sample_index);
        Error::WorkerPanicked {
            shard: self.dataset.shard(sample_index).name.clone(),
            key: sample.key.clone(),
            offset: sample.offset as u64,
            message: message.to_owned(),
        }
    }
}
