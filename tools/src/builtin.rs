//! The built-in data set: generated, not shipped, so that everything can be tried without a download.
//!
//! Ten classes of textured objects (a shape and a pattern, such as "striped disc") of varying size, turn and place lie on
//! cluttered backgrounds. Each sample's `.json` tells the truth about its object, which makes it possible to ask whether
//! a salience measure finds objects:
//!
//! ```json
//! {"class":"striped disc","box":[37,90,101,101],"object_fraction":0.1362,"width":301,"height":195}
//! ```
//!
//! `box` is x, y, width and height in pixels; `object_fraction` is the share of the picture's pixels that belong to the
//! object itself. The object's place is uniform over all places where it fits. Its colours, surface, light and shadow
//! are drawn like those of the background, so that only its form and its pattern give it away.
//!
//! One file tells one part: `class` (names), `palette`, `grain` (surfaces), `outline` (filling), `leaves` (background),
//! `shape` and `texture` (the object), `canvas` (the picture and the camera), `scene` (one sample from its number),
//! `generate` (all samples).

mod canvas;
mod chance;
mod class;
mod generate;
mod grain;
mod leaves;
mod outline;
mod palette;
mod scene;
mod shape;
mod texture;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use sbam_loader::Manifest;

use crate::folder_lock::{FolderLock, WhenBusy};
use crate::ordered::available_threads;
use crate::output_folder::OutputFolder;
use crate::stop::Interrupted;
use generate::{Generate, generate};

/// Version of the generated pictures. Raise it whenever a single byte of them changes: it is part of the folder's name,
/// and of every draw.
const VERSION: u32 = 1;

/// Seed of every draw of this version.
const SEED: u64 = VERSION as u64;

/// How many samples the data set holds: about ten seconds' work on two cores.
const SAMPLES: u64 = 4_000;

/// How many shards it is written to: enough to try shard orders on.
const SHARDS: u64 = 10;

/// The built-in data set's folder of shards, made first if it is not in `cache_dir` yet.
///
/// It is made once, under a lock: if another process is making it, this one waits and uses the result. What a killed
/// process leaves behind is cleared away. A data set that has lost files is made anew. `progress` hears how many of how
/// many samples are done.
///
/// # Errors
/// When `cache_dir` cannot be written to, or with [`Interrupted`] when `stop` becomes true.
pub fn builtin_dataset(
    cache_dir: &Path,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<PathBuf> {
    let folder = cache_dir.join(format!("builtin-v{VERSION}"));
    let options = Generate {
        samples: SAMPLES,
        shards: SHARDS,
        threads: available_threads(),
    };
    match obtain(&folder, options, stop, progress) {
        Err(error) if !error.is::<Interrupted>() => Err(error.context(format!(
            "cannot make the built-in data set in {}; set SBAM_CACHE to a folder that can be written to and has 300 MB left",
            cache_dir.display()
        ))),
        made => made.map(|()| folder),
    }
}

/// Makes sure that `folder` holds the whole data set.
fn obtain(
    folder: &Path,
    options: Generate,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<()> {
    if is_complete(folder, options) {
        return Ok(());
    }
    let lock = FolderLock::acquire(folder, WhenBusy::Wait, stop)?;
    // Whoever held the lock may have made it meanwhile.
    if is_complete(folder, options) {
        return Ok(());
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| {
            format!("cannot remove the incomplete data set {}", folder.display())
        })?;
    }
    let output = OutputFolder::begin(lock)?;
    generate(output.path(), options, stop, progress)?;
    output.finish()
}

/// Whether the manifest can be read and every shard it names has its size.
fn is_complete(folder: &Path, options: Generate) -> bool {
    let Ok(manifest) = Manifest::read(&folder.join(Manifest::FILE_NAME)) else {
        return false;
    };
    manifest.samples.len() as u64 == options.samples
        && manifest.shards.iter().all(|shard| {
            std::fs::metadata(folder.join(&shard.name))
                .is_ok_and(|found| found.len() == shard.bytes)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_folder::{files, names};

    static GO_ON: AtomicBool = AtomicBool::new(false);

    fn few(threads: usize) -> Generate {
        Generate {
            samples: 30,
            shards: 4,
            threads,
        }
    }

    #[test]
    fn two_at_once_make_it_once() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("new/cache/data");
        let made: u64 = std::thread::scope(|scope| {
            let both = [(), ()].map(|()| {
                scope.spawn(|| {
                    let mut made = 0;
                    obtain(&folder, few(2), &GO_ON, &mut |_, _| made += 1).unwrap();
                    assert!(is_complete(&folder, few(2)));
                    made
                })
            });
            both.map(|thread| thread.join().unwrap()).iter().sum()
        });
        assert_eq!(made, few(2).samples);
        assert_eq!(names(folder.parent().unwrap()), ["data"]);
    }

    #[test]
    fn leftovers_and_losses_are_repaired() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("data");
        // As a killed process leaves it.
        std::fs::create_dir(cache.path().join(".data.partial")).unwrap();
        std::fs::write(cache.path().join(".data.partial/train-000000.tar"), "half").unwrap();
        std::fs::write(cache.path().join(".data.lock"), "").unwrap();
        obtain(&folder, few(2), &GO_ON, &mut |_, _| {}).unwrap();
        let whole = files(&folder);
        assert_eq!(names(cache.path()), ["data"]);
        // As a cleaner of old files leaves it.
        std::fs::remove_file(folder.join("train-000002.tar")).unwrap();
        obtain(&folder, few(2), &GO_ON, &mut |_, _| {}).unwrap();
        assert!(files(&folder) == whole);
        obtain(&folder, few(2), &GO_ON, &mut |_, _| {
            panic!("it is complete")
        })
        .unwrap();
    }

    #[test]
    fn stopped_in_the_middle_it_leaves_nothing() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("data");
        let stop = AtomicBool::new(false);
        let error = obtain(&folder, few(2), &stop, &mut |done, _| {
            stop.store(done == 12, std::sync::atomic::Ordering::Relaxed);
        })
        .unwrap_err();
        assert!(error.is::<Interrupted>());
        assert_eq!(names(cache.path()), [""; 0]);
    }
}
