//! Packing a folder of images into shards.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sbam_loader::{Decoder, JpegSize, Manifest, SampleProblem, jpeg_size, restart_mcus};

use crate::crop_ready::CropReady;
use crate::folder_lock::{FolderLock, WhenBusy};
use crate::image_folder::{ImageFolder, Split};
use crate::ordered::{Limits, map_in_order};
use crate::output_folder::{OutputFolder, refuse_used};
use crate::output_path::{refuse_nested, resolve};
use crate::pack_options::{OddFiles, PackOptions, Rewrite};
use crate::pack_plan::{Plan, cannot_read};
use crate::rewrite_counts::{Outcome, RewriteCounts};
use crate::shard_writer::{NewSample, ShardSetWriter};
use crate::stop::check;

/// Bytes of images that are read ahead of the writing, at most (one image may be larger).
const READ_AHEAD_BYTES: u64 = 128 << 20;

/// Files kept as they are that a report names; the rest are counted.
const MOST_KEPT_NAMED: usize = 10;

/// A larger file is an odd file: no photograph is, and a shard's manifest counts in 31 bits.
const MOST_FILE_BYTES: u64 = 1 << 30;

/// How far the packing is.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// Looking for images: so many have been found.
    Listing {
        /// Images found so far.
        images: u64,
    },
    /// Writing shards.
    Packing {
        /// Images done, those left out among them.
        images: u64,
        /// Images in all.
        images_total: u64,
        /// Bytes of the images done.
        bytes: u64,
        /// Bytes of all images.
        bytes_total: u64,
    },
}

/// What was packed.
#[derive(Clone, Debug)]
pub struct PackReport {
    /// The folder with the shards.
    pub folder: PathBuf,
    /// Images written.
    pub images: u64,
    /// Classes; `None` without labels.
    pub classes: Option<u64>,
    /// Shards written.
    pub shards: u64,
    /// Bytes of all shards.
    pub shard_bytes: u64,
    /// What became of the images' bytes; `None` if they were to be kept.
    pub rewrites: Option<RewriteCounts>,
    /// The first files that were kept as they are, and why.
    pub kept_files: Vec<OddFile>,
    /// Files with a JPEG extension that were left out because they are not readable JPEGs.
    pub odd_files: Vec<OddFile>,
    /// Other files that were left out.
    pub files_left_out: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// A file that was left out.
#[derive(Clone, Debug)]
pub struct OddFile {
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// Packs the images of `input` into shards with a manifest in the new folder `out`.
///
/// `input` is a tree `ROOT/CLASS/NAME.JPEG`, one with `train` (and `val`) above the classes, or a flat folder without
/// labels. Each image is decoded once to see that it can be, and its bytes are rewritten without loss or kept, as
/// [`PackOptions::rewrite`] says. The same images, seed and rewriting give the same bytes in `out`, whatever the number
/// of threads and the order of the file system.
///
/// `out` appears when everything in it is complete, and not at all after an error. At most a fixed amount of image data
/// is held in memory; names take about 300 bytes an image.
///
/// # Errors
/// When `input` has no images or one that cannot be read, when `out` exists and is not empty or is inside `input`, when
/// it cannot be written; and [`Interrupted`](crate::Interrupted) soon after `stop` becomes true.
pub fn pack_image_folder(
    input: &Path,
    out: &Path,
    options: &PackOptions,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<PackReport> {
    let started = Instant::now();
    let out = resolve(out)?;
    refuse_nested(input, &out)?;
    refuse_used(&out)?;
    let folder = ImageFolder::list(input, options.split, options.labels, stop, &mut |images| {
        progress(Progress::Listing { images });
    })?;
    let lock = FolderLock::acquire(&out, WhenBusy::Fail, stop)?;
    let plan = Plan::new(&folder, options, stop)?;
    let output = OutputFolder::begin(lock)?;
    let written = write(&folder, &plan, options, output.path(), stop, progress)?;
    let Written {
        manifest,
        rewrites,
        kept_files,
        odd_files,
    } = written;
    output.finish()?;
    Ok(PackReport {
        folder: out,
        images: manifest.samples.len() as u64,
        classes: plan.labelled.then_some(manifest.class_names.len() as u64),
        shards: manifest.shards.len() as u64,
        shard_bytes: manifest.shards.iter().map(|shard| shard.bytes).sum(),
        rewrites: (options.rewrite == Rewrite::CropReady).then_some(rewrites),
        kept_files,
        odd_files,
        files_left_out: folder.files_left_out,
        elapsed: started.elapsed(),
    })
}

/// An image as a worker hands it over.
enum Checked {
    Image {
        jpeg: Vec<u8>,
        crc32c: u32,
        width: u32,
        height: u32,
        restart_mcus: u32,
        outcome: Option<Outcome>,
    },
    Odd {
        reason: String,
    },
}

/// What was written, and what was not.
struct Written {
    manifest: Manifest,
    rewrites: RewriteCounts,
    kept_files: Vec<OddFile>,
    odd_files: Vec<OddFile>,
}

/// Writes all shards and the manifest into `into`.
fn write(
    folder: &ImageFolder,
    plan: &Plan,
    options: &PackOptions,
    into: &Path,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Written> {
    let prefix = options
        .prefix
        .as_deref()
        .unwrap_or(options.split.unwrap_or(Split::Train).folder_name());
    let mut writer = ShardSetWriter::new(into, prefix);
    let mut odd_files = Vec::new();
    let mut rewrites = RewriteCounts::default();
    let mut kept_files = Vec::new();
    let mut cuts = plan.cuts.iter().copied().peekable();
    let (images_total, bytes_total) = (plan.order.len() as u64, plan.file_bytes.iter().sum());
    let (mut position, mut bytes, mut images) = (0, 0, 0_u64);
    map_in_order(
        Limits {
            threads: options.threads,
            bytes: READ_AHEAD_BYTES,
        },
        plan.order
            .iter()
            .map(|&index| (index, plan.file_bytes[index])),
        Worker::default,
        |worker, index| (index, worker.prepare(folder, index, options.rewrite)),
        |(index, checked)| {
            check(stop)?;
            if cuts.next_if_eq(&position).is_some() {
                writer.end_shard()?;
            }
            let image = &folder.images[index];
            match checked? {
                Checked::Image {
                    jpeg,
                    crc32c,
                    width,
                    height,
                    restart_mcus,
                    outcome,
                } => {
                    images += 1;
                    if let Some(outcome) = outcome {
                        rewrites.add(outcome);
                        if let Outcome::Kept(reason) = outcome
                            && kept_files.len() < MOST_KEPT_NAMED
                        {
                            kept_files.push(OddFile {
                                path: folder.path_of(image),
                                reason: reason.to_string(),
                            });
                        }
                    }
                    writer.append(NewSample {
                        key: &plan.keys[index],
                        jpeg,
                        crc32c,
                        width,
                        height,
                        restart_mcus,
                        label: image.class_index.map(i32::try_from).transpose()?,
                        json: None,
                    })?;
                }
                Checked::Odd { reason } if options.odd_files == OddFiles::Skip => {
                    odd_files.push(OddFile {
                        path: folder.path_of(image),
                        reason,
                    });
                }
                Checked::Odd { reason } => bail!(
                    "{} is not a readable image: {reason}; remove it, or run shard_imagenet with --odd-files skip to \
                     leave such files out",
                    folder.path_of(image).display()
                ),
            }
            position += 1;
            bytes += plan.file_bytes[index];
            progress(Progress::Packing {
                images: position as u64,
                images_total,
                bytes,
                bytes_total,
            });
            Ok(())
        },
    )?;
    ensure!(
        images > 0,
        "none of the {images_total} .jpg and .jpeg files in {} is a readable JPEG",
        folder.root.display()
    );
    let tool = format!("shard_imagenet {}", env!("CARGO_PKG_VERSION"));
    let manifest = writer.finish(folder.class_names.clone(), Some(options.seed), tool)?;
    odd_files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Written {
        manifest,
        rewrites,
        kept_files,
        odd_files,
    })
}

/// What a thread needs to prepare images.
#[derive(Default)]
struct Worker {
    decoder: Decoder,
    rewriter: CropReady,
}

impl Worker {
    /// Reads, checks and rewrites one image.
    fn prepare(&mut self, folder: &ImageFolder, index: usize, rewrite: Rewrite) -> Result<Checked> {
        let image = &folder.images[index];
        let path = folder.path_of(image);
        if !image.is_regular {
            return Ok(Checked::Odd {
                reason: "not a regular file".to_owned(),
            });
        }
        let file_bytes = path.metadata().with_context(|| cannot_read(&path))?.len();
        if file_bytes > MOST_FILE_BYTES {
            return Ok(Checked::Odd {
                reason: format!("larger than {MOST_FILE_BYTES} bytes"),
            });
        }
        // Not a matter of --odd-files: with a disk that fails, skipping would quietly lose most of a data set.
        let source = std::fs::read(&path).with_context(|| cannot_read(&path))?;
        // Decoded whole, so that training never meets an image that it cannot decode.
        let decoded = self.decoder.decode(&source);
        let problem = decoded.as_ref().err().map(ToString::to_string);
        let readable = match (&decoded, rewrite) {
            // What the loader does not decode may be what it decodes once it is rewritten.
            (Err(SampleProblem::Unsupported { .. }), Rewrite::CropReady) => Some(None),
            (decoded, _) => decoded.as_ref().ok().map(Some),
        };
        let Some(decoded) = readable else {
            return Ok(Checked::Odd {
                reason: problem.unwrap_or_default(),
            });
        };
        let (jpeg, outcome) = match rewrite {
            Rewrite::KeepBytes => (source, None),
            Rewrite::CropReady => match (self.rewriter.rewrite(&source, decoded), problem) {
                (Ok(rewritten), _) => {
                    let outcome = Outcome::Rewritten {
                        source_bytes: source.len() as u64,
                        bytes: rewritten.bytes.len() as u64,
                    };
                    (rewritten.bytes, Some(outcome))
                }
                (Err(_), Some(reason)) => return Ok(Checked::Odd { reason }),
                (Err(reason), None) => (source, Some(Outcome::Kept(reason))),
            },
        };
        let JpegSize { width, height } = jpeg_size(&jpeg)?;
        Ok(Checked::Image {
            crc32c: crc32c::crc32c(&jpeg),
            // Images that are kept may have restart markers of their own.
            restart_mcus: restart_mcus(&jpeg),
            jpeg,
            width,
            height,
            outcome,
        })
    }
}
