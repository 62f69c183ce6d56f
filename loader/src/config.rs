use sbam_augment::{CHANNELS, Layout, Normalize, TrainView, View};

use crate::error::{Error, Result};
use crate::schedule::Schedule;

/// The most worker threads; each holds a decoded photograph.
pub const MAX_THREADS: u64 = 1024;
/// The most bytes of one batch of pixels: 4 GiB.
pub const MAX_BATCH_BYTES: u64 = 1 << 32;

/// The most views of a sample.
pub const MAX_VIEWS: u64 = 64;

/// Samples read ahead for each decode thread.
const FETCHED_AHEAD_PER_THREAD: usize = 8;

/// The most samples that are prepared ahead of the caller, for which channels have room from the start.
const MAX_AHEAD: u64 = 1 << 20;

/// What to do with a sample that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// Stop with an error that names it.
    #[default]
    Error,
    /// Put it on the quarantine list and let an earlier sample of the batch take its slot, with loss weight 0.
    Skip,
}

/// What the numbers of a batch are.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Output {
    /// 8-bit pixels, `[batch, height, width, 3]`: a quarter of the bytes, for devices that normalise themselves.
    #[default]
    U8,
    /// Normalised f32, see [`Normalize`], as [`Batch::normalised`](crate::Batch::normalised) hands them out.
    F32 {
        /// Mean of red, green and blue, of values from 0 to 1.
        mean: [f32; 3],
        /// Their standard deviation.
        std: [f32; 3],
        /// `[batch, height, width, 3]` or `[batch, 3, height, width]`.
        layout: Layout,
    },
}

/// How a [`Loader`](crate::Loader) reads a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct LoaderConfig {
    /// The run's seed: order and views follow from it.
    pub seed: u64,
    /// Images of a batch, which is a micro-batch of one rank.
    pub batch_size: usize,
    /// Images of an optimiser step over all ranks: `batch_size` × accumulate × `world`.
    pub global_batch: u64,
    /// Images made of each sample, every one with draws of its own (repeated augmentation; Hoffer et al., "Augment your
    /// batch", CVPR 2020). Divides `batch_size`: a batch holds `batch_size` / `views` samples, the views of one
    /// side by side.
    pub views: u32,
    /// This process among all, from 0.
    pub rank: u32,
    /// The number of processes. Divides `streams` and `global_batch`.
    pub world: u32,
    /// Parallel sequences the samples are divided into; see [`Order`](crate::Order).
    pub streams: u32,
    /// Shards of a stream whose samples are shuffled together.
    pub window_shards: u32,
    /// Whether samples that do not fill the epoch's last global batch are dropped and counted; else it is padded.
    pub drop_last: bool,
    /// Threads that decode and resize.
    pub threads: usize,
    /// Threads that read from shards.
    pub fetch_threads: usize,
    /// Bytes of encoded photographs in memory, at most (one photograph may be larger).
    pub fetch_ahead_bytes: u64,
    /// Batches that are prepared ahead of the caller, at most.
    pub prefetch_batches: usize,
    /// Width of a batch's images in pixels.
    pub out_width: u32,
    /// Height of a batch's images in pixels.
    pub out_height: u32,
    /// What the numbers of a batch are.
    pub output: Output,
    /// How views are drawn.
    pub view: TrainView,
    /// Epochs to hand out, counted from epoch 0 also when resuming; `u64::MAX` never ends.
    pub epochs: u64,
    /// What to do with a sample that cannot be decoded.
    pub on_error: OnError,
    /// Whether the CRC-32C of every JPEG is compared with the manifest's.
    pub verify_crc: bool,
}

impl Default for LoaderConfig {
    /// One process, batches of 64 images of 224×224, each an optimiser step, views as MAE draws them, a thread for
    /// every core, no end of epochs.
    fn default() -> Self {
        Self {
            seed: 0,
            batch_size: 64,
            global_batch: 64,
            views: 1,
            rank: 0,
            world: 1,
            streams: 16,
            window_shards: 8,
            drop_last: true,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            fetch_threads: 4,
            fetch_ahead_bytes: 64_000_000,
            prefetch_batches: 4,
            out_width: 224,
            out_height: 224,
            output: Output::U8,
            view: TrainView::default(),
            epochs: u64::MAX,
            on_error: OnError::Error,
            verify_crc: false,
        }
    }
}

impl LoaderConfig {
    /// Checks every setting for a data set of `samples` samples, and works out the epoch.
    pub(crate) fn check(&self, samples: u64) -> Result<Schedule> {
        let positive = |setting, value: u64, most: u64| match value {
            0 => Err(Error::Config {
                setting,
                problem: "is 0; set at least 1".to_owned(),
            }),
            _ if value > most => Err(Error::Limit {
                what: setting,
                found: value,
                limit: most,
            }),
            _ => Ok(()),
        };
        positive("threads", self.threads as u64, MAX_THREADS)?;
        positive("fetch_threads", self.fetch_threads as u64, MAX_THREADS)?;
        positive("fetch_ahead_bytes", self.fetch_ahead_bytes, u64::MAX)?;
        positive("views", u64::from(self.views), MAX_VIEWS)?;
        positive("batch_size", self.batch_size as u64, u64::from(u32::MAX))?;
        positive("prefetch_batches", self.prefetch_batches as u64, MAX_AHEAD)?;
        let side = u64::from(u16::MAX);
        positive("output width", u64::from(self.out_width), side)?;
        positive("output height", u64::from(self.out_height), side)?;
        let batch_bytes = (self.image_bytes() as u64).saturating_mul(self.batch_size as u64);
        positive("bytes of a batch", batch_bytes, MAX_BATCH_BYTES)?;
        let ahead = (self.prefetch_batches as u64).saturating_mul(self.batch_size as u64);
        positive("samples prepared ahead", ahead, MAX_AHEAD)?;
        self.view.check()?;
        self.normalize()?;
        Schedule::new(self, samples)
    }

    /// Samples of a batch.
    pub(crate) fn batch_samples(&self) -> usize {
        self.batch_size / self.views as usize
    }

    /// Samples that are read and wait for a decode thread, at most: enough that none runs dry while another sample
    /// takes its time.
    pub fn fetched_ahead(&self) -> usize {
        (FETCHED_AHEAD_PER_THREAD * self.threads).min(self.prefetch_batches * self.batch_samples())
    }

    /// The views of a sample of this size, in their order.
    pub(crate) fn views_of(
        &self,
        epoch: u64,
        sample_index: u64,
        width: u32,
        height: u32,
    ) -> impl Iterator<Item = View> + use<'_> {
        (0..self.views).map(move |view| {
            self.view
                .draw(self.seed, epoch, sample_index, view, width, height)
        })
    }

    /// The numbers of one image.
    pub(crate) fn image_values(&self) -> usize {
        self.out_width as usize * self.out_height as usize * CHANNELS
    }

    /// Bytes of one image.
    pub(crate) fn image_bytes(&self) -> usize {
        let value_bytes = match self.output {
            Output::U8 => size_of::<u8>(),
            Output::F32 { .. } => size_of::<f32>(),
        };
        self.image_values() * value_bytes
    }

    /// How pixels are normalised, if they are.
    pub(crate) fn normalize(&self) -> Result<Option<(Normalize, Layout)>> {
        match self.output {
            Output::U8 => Ok(None),
            Output::F32 { mean, std, layout } => Ok(Some((Normalize::new(mean, std)?, layout))),
        }
    }
}
