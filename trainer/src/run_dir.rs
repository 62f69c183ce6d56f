//! A run's folder: where each file stands, and who may write to it.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::checkpoint;
use crate::config::{BUILTIN_TOML, Config};
use crate::files::write_whole;
use crate::mask_log::remove_parts_from;
use crate::metrics::remove_lines_from;
use crate::tensorboard::remove_events_from;

const RESOLVED_CONFIG: &str = "config.resolved.toml";

/// The folder of one run, held by this process alone.
pub(crate) struct RunDir {
    root: PathBuf,
    /// Locked while the run goes on; the system releases it however the process ends.
    _lock: File,
}

impl RunDir {
    /// Makes a new run folder: `out` if given, else the first free `runs/run-001`, `runs/run-002` …
    ///
    /// # Errors
    /// If the folder already holds a run, or anything else.
    pub(crate) fn create(
        out: Option<&Path>,
        config: &Config,
        given_config: Option<&Path>,
    ) -> Result<Self> {
        let root = match out {
            Some(out) => {
                fs::create_dir_all(out)
                    .with_context(|| format!("cannot make the run folder {}", out.display()))?;
                out.to_owned()
            }
            None => first_free_folder(Path::new("runs"))?,
        };
        // What a start that was killed at once leaves (a lock, an unfinished file) does not count.
        let is_empty = fs::read_dir(&root)
            .with_context(|| format!("cannot list {}", root.display()))?
            .flatten()
            .all(|entry| entry.file_name().to_string_lossy().starts_with('.'));
        if root.join(RESOLVED_CONFIG).exists() {
            bail!(
                "{0} already holds a run; continue it with `trainer run --resume {0}`, or choose another --out",
                root.display()
            );
        }
        if !is_empty {
            bail!(
                "{} is not empty and holds no run; choose another --out",
                root.display()
            );
        }
        let run = Self::lock(root)?;
        let given = match given_config {
            Some(path) => {
                fs::read(path).with_context(|| format!("cannot read {}", path.display()))?
            }
            None => BUILTIN_TOML.as_bytes().to_vec(),
        };
        // First the file that makes the folder a run's: from here on it can be resumed.
        run.write_resolved(config)?;
        write_whole(&run.root.join("config.toml"), &given)?;
        Ok(run)
    }

    /// Opens a folder that holds a run.
    ///
    /// # Errors
    /// If it holds none, or another process is writing to it.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        if !root.join(RESOLVED_CONFIG).is_file() {
            bail!(
                "{} holds no run (there is no {RESOLVED_CONFIG} in it)",
                root.display()
            );
        }
        Self::lock(root.to_owned())
    }

    fn lock(root: PathBuf) -> Result<Self> {
        let path = root.join(".lock");
        let lock =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { root, _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => {
                bail!(
                    "another process is running {}; stop it first",
                    root.display()
                )
            }
            Err(fs::TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }

    /// The configuration file with every default in place.
    pub(crate) fn resolved_config(root: &Path) -> PathBuf {
        root.join(RESOLVED_CONFIG)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn masks(&self) -> PathBuf {
        self.root.join("masks")
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    pub(crate) fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    pub(crate) fn environment(&self) -> PathBuf {
        Self::environment_of(&self.root)
    }

    /// Where the starts of the run in a folder are recorded.
    pub(crate) fn environment_of(root: &Path) -> PathBuf {
        root.join("environment.json")
    }

    /// Writes the configuration with every default in place.
    pub(crate) fn write_resolved(&self, config: &Config) -> Result<()> {
        write_whole(
            &self.root.join(RESOLVED_CONFIG),
            config.to_toml()?.as_bytes(),
        )
    }

    pub(crate) fn picture(&self, step: u64) -> PathBuf {
        self.root
            .join("pictures")
            .join(format!("step-{step:08}.png"))
    }

    pub(crate) fn receipt(&self, epoch: u64) -> PathBuf {
        self.root
            .join("receipts")
            .join(format!("epoch={epoch}.json"))
    }

    /// Removes everything that steps from `step` on, or a kill, left behind; nothing then appears twice.
    pub(crate) fn forget_steps_from(&self, step: u64) -> Result<()> {
        checkpoint::remove_partial(&self.checkpoints())?;
        remove_parts_from(&self.masks(), step)?;
        remove_lines_from(&self.metrics(), step)?;
        remove_events_from(&self.root, step)?;
        let pictures = self.root.join("pictures");
        for path in list(&pictures)? {
            let later = path
                .file_stem()
                .and_then(|stem| {
                    stem.to_string_lossy()
                        .strip_prefix("step-")
                        .and_then(|step| step.parse::<u64>().ok())
                })
                .is_some_and(|of| of > step);
            if later {
                fs::remove_file(&path)
                    .with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Removes receipts of epochs from `epoch` on: their last batch comes again.
    pub(crate) fn forget_receipts_from(&self, epoch: u64) -> Result<()> {
        for path in list(&self.root.join("receipts"))? {
            let later = path
                .file_stem()
                .and_then(|stem| {
                    stem.to_string_lossy()
                        .strip_prefix("epoch=")
                        .and_then(|epoch| epoch.parse::<u64>().ok())
                })
                .is_some_and(|of| of >= epoch);
            if later {
                fs::remove_file(&path)
                    .with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect()
        })
        .with_context(|| format!("cannot list {}", folder.display()))
}

/// Makes `parent/run-NNN` with the lowest number that is free; two processes never get the same.
fn first_free_folder(parent: &Path) -> Result<PathBuf> {
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    for number in 1.. {
        let folder = parent.join(format!("run-{number:03}"));
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot make {}", folder.display()));
            }
        }
    }
    bail!("no free folder in {}", parent.display())
}
