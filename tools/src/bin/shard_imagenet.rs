//! `shard_imagenet`: packs a folder of images into shards.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use indicatif::{DecimalBytes, HumanCount};
use sbam_tools::{
    Labels, OddFiles, PackDisplay, PackOptions, PackReport, Rewrite, ShardSize, Split,
    pack_image_folder, parse_byte_size,
};

/// Packs a folder of JPEG images into tar shards for training.
///
/// Writes shards of the WebDataset format (KEY.jpg with the image, KEY.cls with the class index) in a shuffled order and
/// a manifest.parquet that describes every sample. Images are rewritten without loss, so that training decodes only the
/// part that it needs; --keep-bytes keeps the original bytes. The same images and options give the same bytes, whatever
/// the number of threads. OUT appears when it is complete, and not at all after an error or Ctrl-C.
#[derive(Parser)]
#[allow(
    clippy::doc_markdown,
    reason = "these comments are the help text, where backticks would show"
)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// Folder of images: ROOT/train/CLASS/NAME.JPEG, ROOT/CLASS/NAME.JPEG, or one folder of images without labels
    ///
    /// Files named .jpg or .jpeg, in capitals or not, are images; others are left out. Class indices are those of
    /// torchvision's ImageFolder: the position in the sorted list of folder names.
    input: PathBuf,

    /// Folder to make; must not exist, or be empty
    out: PathBuf,

    /// Seed of the global shuffle
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Most bytes in a shard, such as 256MiB or 100MB; shards are made about equally large [default: 256MiB]
    ///
    /// Shards are planned by the sizes of the files. Rewriting makes most images a little smaller and few larger; should
    /// the images of a shard grow together, the shard is larger by as much.
    #[arg(long, value_name = "SIZE", value_parser = parse_byte_size, conflicts_with = "shard_count")]
    shard_bytes: Option<u64>,

    /// Number of shards
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    shard_count: Option<u32>,

    /// Rewrite JPEGs without loss, so that a part can be decoded alone [default]
    ///
    /// Progressive files become baseline, restart markers are put about 64 pixels apart, Huffman tables are optimised.
    /// Every decoder gives the same pixels; this is checked for each image. Metadata stays, without sRGB profiles and
    /// what lies behind the end of the image. Images that cannot be rewritten are kept as they are and reported.
    #[arg(long, conflicts_with = "keep_bytes")]
    crop_ready: bool,

    /// Keep the original bytes of all images
    #[arg(long)]
    keep_bytes: bool,

    /// Shards are named PREFIX-000000.tar and so on [default: the split's name, else train]
    #[arg(long, value_parser = parse_prefix)]
    prefix: Option<String>,

    /// Which folder of INPUT to take [default: train if there is one, else INPUT itself]
    #[arg(long)]
    split: Option<SplitArgument>,

    /// Where labels come from
    #[arg(long, default_value = "auto")]
    labels: LabelsArgument,

    /// What to do with .jpg and .jpeg files that are not readable JPEGs
    #[arg(long, value_name = "POLICY", default_value = "error")]
    odd_files: OddFilesArgument,

    /// Threads that read, check and rewrite images [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Print errors only
    #[arg(short, long)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  shard_imagenet ILSVRC2012 shards/train
  shard_imagenet ILSVRC2012 shards/val --split val
  shard_imagenet ~/Pictures/birds birds --shard-count 4

Exit codes: 0 done, 1 failed, 2 wrong usage";

#[derive(Clone, Copy, ValueEnum)]
enum SplitArgument {
    /// INPUT/train
    Train,
    /// INPUT/val
    Val,
}

#[derive(Clone, Copy, ValueEnum)]
enum LabelsArgument {
    /// Folders are classes if all images are in folders; no labels if none is
    Auto,
    /// Folders are classes; images outside all folders are left out
    Folders,
    /// No labels; images in folders are taken as well
    None,
}

#[derive(Clone, Copy, ValueEnum)]
enum OddFilesArgument {
    /// End with an error
    Error,
    /// Leave them out and report them
    Skip,
}

/// Odd files that are named on the screen; the rest are counted.
const MOST_NAMED: usize = 10;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed standard error leaves nobody to tell.
            let _ = writeln!(std::io::stderr(), "shard_imagenet: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let stop = stop_on_signal()?;
    let mut display = PackDisplay::new(arguments.quiet);
    let packed = pack_image_folder(
        &arguments.input,
        &arguments.out,
        &arguments.options(),
        &stop,
        &mut |progress| {
            display.update(progress);
        },
    );
    display.finish();
    let report = packed?;
    if arguments.quiet {
        return Ok(());
    }
    match print(&report, &arguments.out) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot write to standard output"),
    }
}

impl Arguments {
    fn options(&self) -> PackOptions {
        let defaults = PackOptions::default();
        PackOptions {
            seed: self.seed,
            rewrite: if self.keep_bytes {
                Rewrite::KeepBytes
            } else {
                Rewrite::CropReady
            },
            shard_size: match (self.shard_bytes, self.shard_count) {
                (_, Some(count)) => ShardSize::Count(count),
                (Some(bytes), None) => ShardSize::Bytes(bytes),
                (None, None) => defaults.shard_size,
            },
            prefix: self.prefix.clone(),
            threads: self.threads.map_or(defaults.threads, usize::from),
            odd_files: match self.odd_files {
                OddFilesArgument::Error => OddFiles::Error,
                OddFilesArgument::Skip => OddFiles::Skip,
            },
            split: self.split.map(|split| match split {
                SplitArgument::Train => Split::Train,
                SplitArgument::Val => Split::Val,
            }),
            labels: match self.labels {
                LabelsArgument::Auto => Labels::Auto,
                LabelsArgument::Folders => Labels::Folders,
                LabelsArgument::None => Labels::None,
            },
        }
    }
}

/// A flag that Ctrl-C and termination set. The second signal ends the process at once.
fn stop_on_signal() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(1);
        }
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(stop)
}

/// Says what was written and what to do next.
fn print(report: &PackReport, out: &Path) -> std::io::Result<()> {
    let mut to = std::io::stdout().lock();
    let classes = match report.classes {
        Some(1) => " of 1 class".to_owned(),
        Some(classes) => format!(" of {} classes", HumanCount(classes)),
        None => " without labels".to_owned(),
    };
    writeln!(
        to,
        "wrote {}{classes} to {}: {}, {}, and {} ({:.1} s)",
        counted(report.images, "image"),
        out.display(),
        counted(report.shards, "shard"),
        DecimalBytes(report.shard_bytes),
        sbam_loader::Manifest::FILE_NAME,
        report.elapsed.as_secs_f64()
    )?;
    if let Some(rewrites) = &report.rewrites {
        writeln!(to, "{rewrites}")?;
        for kept in &report.kept_files {
            writeln!(to, "  {}: {}", kept.path.display(), kept.reason)?;
        }
        if rewrites.kept_images() > report.kept_files.len() as u64 {
            writeln!(
                to,
                "  and {} more",
                rewrites.kept_images() - report.kept_files.len() as u64
            )?;
        }
    }
    if !report.odd_files.is_empty() {
        writeln!(
            to,
            "left out {}:",
            counted(report.odd_files.len() as u64, "unreadable image")
        )?;
        for odd in report.odd_files.iter().take(MOST_NAMED) {
            writeln!(to, "  {}: {}", odd.path.display(), odd.reason)?;
        }
        if report.odd_files.len() > MOST_NAMED {
            writeln!(to, "  and {} more", report.odd_files.len() - MOST_NAMED)?;
        }
    }
    if report.files_left_out > 0 {
        writeln!(
            to,
            "left out {}: not .jpg or .jpeg, or outside the class folders",
            counted(report.files_left_out, "other file")
        )?;
    }
    writeln!(to, "next: trainer run --data {}", quoted(out))
}

/// `1 image`, `2,000 images`.
fn counted(count: u64, thing: &str) -> String {
    format!(
        "{} {thing}{}",
        HumanCount(count),
        if count == 1 { "" } else { "s" }
    )
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A prefix goes into file names and brace lists.
fn parse_prefix(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !text.is_empty() && text.len() <= 100 && !text.starts_with('.') && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("use letters, digits, '_', '-' and '.', not first a '.'".to_owned())
    }
}
