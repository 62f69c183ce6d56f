//! What goes where, decided before the first image is read.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use sbam_augment::{DrawKey, Draws, Purpose};

use crate::image_folder::{Image, ImageFolder};
use crate::keys::{Named, unique_keys};
use crate::ordered::{Limits, map_in_order};
use crate::pack_options::PackOptions;
use crate::shard_plan::{cuts, member_bytes};
use crate::stop::check;

/// The epoch that the order of samples in shards is drawn for: one that no training reaches, so that the orders drawn
/// while training have nothing to do with it.
const PACKING_EPOCH: u64 = u64::MAX;

/// Which image goes where, decided before the first one is read.
pub(crate) struct Plan {
    pub(crate) labelled: bool,
    /// Key of each image.
    pub(crate) keys: Vec<String>,
    /// Size of each image's file.
    pub(crate) file_bytes: Vec<u64>,
    /// Indices of images in the order of their samples.
    pub(crate) order: Vec<usize>,
    /// Positions in `order` where a shard begins that is not the first.
    pub(crate) cuts: Vec<usize>,
}

impl Plan {
    /// Looks at the files' sizes and decides.
    pub(crate) fn new(
        folder: &ImageFolder,
        options: &PackOptions,
        stop: &AtomicBool,
    ) -> Result<Self> {
        let file_bytes = file_sizes(folder, options.threads, stop)?;
        let keys = keys_of(folder);
        let mut order: Vec<usize> = (0..folder.images.len()).collect();
        let key = DrawKey {
            seed: options.seed,
            epoch: PACKING_EPOCH,
            sample_index: 0,
            view: 0,
            purpose: Purpose::Order,
        };
        Draws::new(key).shuffle(&mut order);
        let labelled = !folder.class_names.is_empty();
        let sample_bytes: Vec<u64> = order
            .iter()
            .map(|&index| {
                let name_bytes = keys[index].len() as u64 + ".jpg".len() as u64;
                // A class index is a few bytes: one block.
                let label_bytes = if labelled {
                    member_bytes(name_bytes, 1)
                } else {
                    0
                };
                label_bytes + member_bytes(name_bytes, file_bytes[index])
            })
            .collect();
        let cuts = cuts(&sample_bytes, options.shard_size)?;
        Ok(Self {
            labelled,
            keys,
            file_bytes,
            order,
            cuts,
        })
    }
}

fn keys_of(folder: &ImageFolder) -> Vec<String> {
    let stems: Vec<_> = folder
        .images
        .iter()
        .map(|image| image.path.file_stem().unwrap_or_default().to_string_lossy())
        .collect();
    let named: Vec<Named<'_>> = folder
        .images
        .iter()
        .zip(&stems)
        .map(|(image, stem)| Named {
            stem,
            class: image
                .class_index
                .and_then(|index| folder.class_names.get(index))
                .map(String::as_str),
        })
        .collect();
    unique_keys(&named)
}

/// Sizes of all images' files; asked for in parallel, because on a network each takes a round trip.
fn file_sizes(folder: &ImageFolder, threads: usize, stop: &AtomicBool) -> Result<Vec<u64>> {
    let mut sizes = Vec::with_capacity(folder.images.len());
    map_in_order(
        Limits {
            threads,
            bytes: u64::MAX,
        },
        // Groups, so that handing over costs little beside the asking.
        folder.images.chunks(256).map(|images| (images, 0)),
        || (),
        |(), images: &[Image]| {
            images
                .iter()
                .map(|image| {
                    let path = folder.path_of(image);
                    let found = path.metadata().with_context(|| cannot_read(&path))?;
                    Ok(if image.is_regular { found.len() } else { 0 })
                })
                .collect::<Result<Vec<u64>>>()
        },
        |found| {
            check(stop)?;
            sizes.extend(found?);
            Ok(())
        },
    )?;
    Ok(sizes)
}

pub(crate) fn cannot_read(path: &Path) -> String {
    format!(
        "cannot read {}; make it readable or remove it",
        path.display()
    )
}
