//! `loader_bench`: how fast the loader is on this machine, and what holds it up.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use sbam_augment::{IMAGENET_MEAN, IMAGENET_STD, Layout, RandomResizedCrop, TrainView};
use sbam_loader::Output;
use sbam_tools::{BenchOptions, Stage, bench_loader, default_cache_dir};

/// Measures the loader on a data set: images/s, what each stage takes, and what would make it faster.
///
/// Views are those of MAE's recipe: RandomResizedCrop with bicubic resampling, and a horizontal flip. Opening the data
/// set is not in the images/s; a manifest that is missing is made first.
#[derive(Parser)]
#[allow(
    clippy::doc_markdown,
    reason = "these comments are the help text, where backticks would show"
)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// Folder of .tar shards, one shard, or a list such as "DIR/train-{000000..000003}.tar"
    #[arg(long, value_name = "DATA")]
    shards: String,

    /// Decode threads [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Images to take, in whole batches, over several epochs if need be [default: all samples once]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    images: Option<u64>,

    /// Numbers of an image: u8 pixels, or f32, normalised by ImageNet's mean and standard deviation
    #[arg(long, default_value = "u8")]
    output: OutputArgument,

    /// Order of f32 numbers: planar is [3, height, width], interleaved [height, width, 3]
    #[arg(long, default_value = "planar")]
    layout: LayoutArgument,

    /// What is measured
    #[arg(long, default_value = "all")]
    stage: StageArgument,

    /// Images of a batch; of a smaller data set, all
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: u32,

    /// Batches prepared ahead
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    prefetch_batches: u32,

    /// Threads that read from shards
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    fetch_threads: u16,

    /// Images made of each sample
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    views: u32,

    /// Width and height of the images in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 224, value_parser = clap::value_parser!(u32).range(1..=65535))]
    size: u32,

    /// Smallest and largest share of a photograph's area in a crop
    #[arg(long, value_name = "LOW,HIGH", value_parser = parse_range, default_value = "0.2,1")]
    scale: Range,

    /// Seed of order and views
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Compare every photograph's CRC-32C with the manifest's
    #[arg(long)]
    verify_checksums: bool,

    /// Print one line of JSON instead
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  loader_bench --shards shards/train --threads 8
  loader_bench --shards shards/train --stage decode --images 10000 --json

Exit codes: 0 done, 1 failed, 2 wrong usage";

#[derive(Clone, Copy, ValueEnum)]
enum OutputArgument {
    /// 8-bit pixels
    U8,
    /// Normalised numbers
    F32,
}

#[derive(Clone, Copy, ValueEnum)]
enum LayoutArgument {
    /// [3, height, width]
    Planar,
    /// [height, width, 3]
    Interleaved,
}

#[derive(Clone, Copy, ValueEnum)]
enum StageArgument {
    /// The whole loader, as a trainer uses it
    All,
    /// Reading samples alone
    Read,
    /// Reading and decoding
    Decode,
    /// Crop, resize and flip of photographs that are decoded already
    Resize,
}

#[derive(Clone, Copy)]
struct Range([f64; 2]);

fn parse_range(text: &str) -> Result<Range, String> {
    let parsed = text
        .split_once(',')
        .and_then(|(low, high)| Some([low.trim().parse().ok()?, high.trim().parse().ok()?]));
    parsed
        .map(Range)
        .ok_or_else(|| "give two numbers, such as 0.2,1".to_owned())
}

/// What programs say of arguments that cannot be.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = arguments.options().and_then(|options| {
        options.check()?;
        Ok(options)
    });
    let (error, code) = match options {
        Ok(options) => match run(&arguments, &options) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => {
                // Settings that do not go together, or not with these samples.
                let wrong = matches!(
                    error.downcast_ref(),
                    Some(sbam_loader::Error::Config { .. })
                );
                (
                    error,
                    if wrong {
                        ExitCode::from(WRONG_USAGE)
                    } else {
                        ExitCode::FAILURE
                    },
                )
            }
        },
        Err(error) => (error, ExitCode::from(WRONG_USAGE)),
    };
    // A closed standard error leaves nobody to tell.
    let _ = writeln!(std::io::stderr(), "loader_bench: {error:#}");
    code
}

fn run(arguments: &Arguments, options: &BenchOptions) -> Result<()> {
    let report = bench_loader(options)?;
    let text = if arguments.json {
        serde_json::to_string(&report)?
    } else {
        report.to_string()
    };
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

impl Arguments {
    fn options(&self) -> Result<BenchOptions> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let view = TrainView {
            crop: RandomResizedCrop {
                scale: self.scale.0,
                ..RandomResizedCrop::default()
            },
            ..TrainView::default()
        };
        view.check().context("--scale")?;
        Ok(BenchOptions {
            shards: self.shards.clone(),
            cache_dir: default_cache_dir()?,
            threads: self.threads.map_or_else(cores, usize::from),
            fetch_threads: usize::from(self.fetch_threads),
            batch_size: self.batch_size as usize,
            prefetch_batches: self.prefetch_batches as usize,
            views: self.views,
            size: self.size,
            output: match self.output {
                OutputArgument::U8 => Output::U8,
                OutputArgument::F32 => Output::F32 {
                    mean: IMAGENET_MEAN,
                    std: IMAGENET_STD,
                    layout: match self.layout {
                        LayoutArgument::Planar => Layout::Planar,
                        LayoutArgument::Interleaved => Layout::Interleaved,
                    },
                },
            },
            view,
            images: self.images,
            seed: self.seed,
            verify_checksums: self.verify_checksums,
            stage: match self.stage {
                StageArgument::All => Stage::All,
                StageArgument::Read => Stage::Read,
                StageArgument::Decode => Stage::Decode,
                StageArgument::Resize => Stage::Resize,
            },
        })
    }
}
