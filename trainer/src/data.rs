//! From what `data.train` says to a data set that a loader can read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use sbam_loader::Dataset;
use sbam_tools::{
    Progress, builtin_dataset, default_cache_dir, looks_like_image_folder,
    pack_image_folder_into_cache,
};

use crate::progress::PreparationBar;
use crate::stop::Stop;

/// The name of the generated data set.
const BUILTIN: &str = "builtin";

/// Opens what `data.train` names; makes the built-in data set, shards a folder of photographs into
/// the cache, or indexes foreign shards first, each once and with a progress bar.
///
/// # Errors
/// If it cannot be read, or `stop` becomes true meanwhile.
pub(crate) fn open(train: &str, stop: &Stop) -> Result<Arc<Dataset>> {
    let cache = default_cache_dir()?;
    let folder: Option<PathBuf> = if train == BUILTIN {
        let mut bar = PreparationBar::new("making the built-in data set", "images");
        Some(builtin_dataset(&cache, stop.flag(), &mut |done, total| {
            bar.update(done, total);
        })?)
    } else if Path::new(train).is_dir() && looks_like_image_folder(Path::new(train)) {
        let mut bar = PreparationBar::new("packing the photographs into shards, once", "images");
        let packed =
            pack_image_folder_into_cache(Path::new(train), &cache, stop.flag(), &mut |progress| {
                if let Progress::Packing {
                    images,
                    images_total,
                    ..
                } = progress
                {
                    bar.update(images, images_total);
                }
            });
        Some(
            packed
                .with_context(|| {
                    format!("cannot pack {train} (`shard_imagenet` has options for that)")
                })?
                .0,
        )
    } else {
        None
    };
    let spec = folder.as_ref().map_or_else(
        || train.to_owned(),
        |folder| folder.to_string_lossy().into_owned(),
    );
    let mut bar = PreparationBar::new("indexing shards without a manifest, once", "bytes");
    let dataset = stop
        .interruptible(|| Dataset::open(&spec, &cache, &mut |done, total| bar.update(done, total)))
        .with_context(|| format!("data.train = {train:?}"))?;
    Ok(Arc::new(dataset))
}

/// `data.train` so that it means the same from any folder.
pub(crate) fn absolute(train: &str) -> Result<String> {
    if train == BUILTIN {
        return Ok(train.to_owned());
    }
    let path = std::path::absolute(train).with_context(|| format!("data.train = {train:?}"))?;
    Ok(path.to_string_lossy().into_owned())
}
