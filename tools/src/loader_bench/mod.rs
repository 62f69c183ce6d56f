//! Measuring the loader: all of it, or one stage alone.

mod pipeline;
mod report;
mod stages;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use sbam_augment::TrainView;
use sbam_loader::{Dataset, LoaderConfig, Output};

pub use report::BenchReport;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// The whole loader, as a trainer uses it.
    #[default]
    All,
    /// Reading samples, and nothing else.
    Read,
    /// Reading, cutting and decoding what a view needs.
    Decode,
    /// Crop, resize and flip of photographs that are decoded already.
    Resize,
}

/// What to measure, and how.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// The data set, as [`Dataset::open`] takes it.
    pub shards: String,
    /// Where a manifest goes that is missing.
    pub cache_dir: PathBuf,
    /// Decode threads.
    pub threads: usize,
    /// Threads that read.
    pub fetch_threads: usize,
    /// Images of a batch.
    pub batch_size: usize,
    /// Batches prepared ahead.
    pub prefetch_batches: usize,
    /// Images made of each sample.
    pub views: u32,
    /// Width and height of the images in pixels.
    pub size: u32,
    /// What the numbers of an image are.
    pub output: Output,
    /// How views are drawn.
    pub view: TrainView,
    /// Images to take; `None`: all samples once.
    pub images: Option<u64>,
    /// Seed of order and views.
    pub seed: u64,
    /// Whether checksums are compared.
    pub verify_checksums: bool,
    /// What is measured.
    pub stage: Stage,
}

/// Measures, after opening the data set.
///
/// # Errors
/// When the data set cannot be opened, or one of its samples not be read or decoded.
pub fn bench_loader(options: &BenchOptions) -> Result<BenchReport> {
    options.check()?;
    let opened = Instant::now();
    let dataset = Dataset::open(&options.shards, &options.cache_dir, &mut |_, _| {})?;
    let dataset = Arc::new(dataset);
    let views = u64::from(options.views.max(1));
    let images = options.images.unwrap_or(dataset.len() * views);
    match options.stage {
        Stage::All => pipeline::run(options, &dataset, images, opened),
        stage => stages::run(options, &dataset, images, stage),
    }
    .with_context(|| format!("cannot measure {}", options.shards))
}

impl BenchOptions {
    /// Checks that the options go together.
    ///
    /// # Errors
    /// When they do not, with what to do.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.images != Some(0),
            "--images 0: measure at least one image"
        );
        let whole_only = self.views != 1 || self.output != Output::U8 || self.verify_checksums;
        ensure!(
            self.stage == Stage::All || !whole_only,
            "--views, --output f32 and --verify-checksums go with the whole loader; leave out --stage"
        );
        Ok(())
    }

    fn loader(&self, samples: u64) -> LoaderConfig {
        // A data set smaller than a batch is measured all the same.
        let most =
            usize::try_from(samples).unwrap_or(usize::MAX).max(1) * self.views.max(1) as usize;
        let batch_size = self.batch_size.min(most);
        LoaderConfig {
            seed: self.seed,
            batch_size,
            global_batch: batch_size as u64,
            views: self.views,
            drop_last: false,
            threads: self.threads,
            fetch_threads: self.fetch_threads,
            prefetch_batches: self.prefetch_batches,
            out_width: self.size,
            out_height: self.size,
            output: self.output,
            view: self.view,
            verify_crc: self.verify_checksums,
            ..LoaderConfig::default()
        }
    }
}
