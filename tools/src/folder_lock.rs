//! One writer for each output folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::stop::check;

/// How often one who waits looks whether the lock is free, and whether to stop.
const WAIT: Duration = Duration::from_millis(50);

/// How often the parents may vanish before that is an error.
const MOST_ATTEMPTS: u32 = 100;

/// What to do when another process holds the lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenBusy {
    /// Wait for it.
    Wait,
    /// Give up with an error.
    Fail,
}

/// The right to make one folder, held through a lock file `.NAME.lock` beside it.
///
/// The operating system gives the lock back when its holder dies, however it dies. A holder that lives removes the file.
pub(crate) struct FolderLock {
    folder: PathBuf,
    lock_file: PathBuf,
    /// Parents that did not exist before, outermost first; those still empty in the end are removed again.
    made_parents: Vec<PathBuf>,
    _locked: File,
}

impl FolderLock {
    /// Takes the lock on `folder`, which must have a name; its parents are made if they are missing.
    pub(crate) fn acquire(folder: &Path, when_busy: WhenBusy, stop: &AtomicBool) -> Result<Self> {
        let lock_file = hidden_sibling(folder, "lock")?;
        let mut made_parents = Vec::new();
        let mut attempts = 0;
        loop {
            made_parents.append(&mut make_parents(folder)?);
            let opened = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&lock_file);
            attempts += 1;
            let file = match opened {
                // Another holder has just removed the parents that it had made.
                Err(error) if error.kind() == ErrorKind::NotFound && attempts < MOST_ATTEMPTS => {
                    continue;
                }
                opened => {
                    opened.with_context(|| format!("cannot create {}", lock_file.display()))?
                }
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if when_busy == WhenBusy::Wait => {
                    check(stop)?;
                    std::thread::sleep(WAIT);
                    continue;
                }
                Err(TryLockError::WouldBlock) => bail!(
                    "another process is writing {} at this moment; wait for it or choose another folder",
                    folder.display()
                ),
                Err(TryLockError::Error(error)) => {
                    return Err(error)
                        .with_context(|| format!("cannot lock {}", lock_file.display()));
                }
            }
            // Its last holder may have removed the file between the opening and the locking; then the lock means nothing.
            if same_file(&file, &lock_file) {
                return Ok(Self {
                    folder: folder.to_owned(),
                    lock_file,
                    made_parents,
                    _locked: file,
                });
            }
        }
    }

    /// The folder that may be made.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Removed while still locked: whoever waits for it then sees that the file is no longer the one it opened.
        let _ = std::fs::remove_file(&self.lock_file);
        for parent in self.made_parents.iter().rev() {
            // Fails where the folder was made, and is meant to.
            let _ = std::fs::remove_dir(parent);
        }
    }
}

/// `.NAME.SUFFIX` beside `folder`.
pub(crate) fn hidden_sibling(folder: &Path, suffix: &str) -> Result<PathBuf> {
    let name = folder
        .file_name()
        .with_context(|| format!("{} does not name a folder", folder.display()))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".");
    hidden.push(suffix);
    Ok(folder.with_file_name(hidden))
}

/// Makes the folders above `folder` and says which ones were missing, outermost first.
fn make_parents(folder: &Path) -> Result<Vec<PathBuf>> {
    let Some(parent) = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    else {
        return Ok(Vec::new());
    };
    let mut missing: Vec<PathBuf> = parent
        .ancestors()
        .take_while(|above| !above.exists())
        .map(Path::to_owned)
        .collect();
    missing.reverse();
    std::fs::create_dir_all(parent)
        .with_context(|| format!("cannot make the folder {}", parent.display()))?;
    Ok(missing)
}

fn same_file(open: &File, path: &Path) -> bool {
    let identity =
        |found: io::Result<std::fs::Metadata>| found.map(|found| (found.dev(), found.ino())).ok();
    identity(open.metadata()) == identity(std::fs::metadata(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;

    static GO_ON: AtomicBool = AtomicBool::new(false);

    #[test]
    fn only_one_holds_it_at_a_time() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("out");
        let (holders, turns) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        let lock = FolderLock::acquire(&folder, WhenBusy::Wait, &GO_ON).unwrap();
                        assert_eq!(holders.fetch_add(1, SeqCst), 0);
                        turns.fetch_add(1, SeqCst);
                        holders.fetch_sub(1, SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert_eq!(turns.into_inner(), 20);
        assert_eq!(
            std::fs::read_dir(place.path()).unwrap().count(),
            0,
            "nothing is left behind"
        );
    }

    #[test]
    fn parents_are_made_and_taken_away_if_nothing_came_into_them() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("one/two/out");
        drop(FolderLock::acquire(&folder, WhenBusy::Fail, &GO_ON).unwrap());
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
        let lock = FolderLock::acquire(&folder, WhenBusy::Fail, &GO_ON).unwrap();
        std::fs::create_dir(&folder).unwrap();
        drop(lock);
        assert_eq!(
            std::fs::read_dir(place.path().join("one/two"))
                .unwrap()
                .count(),
            1
        );
    }

    #[test]
    fn a_held_lock_is_refused_or_waited_for_until_told_to_stop() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("out");
        let _held = FolderLock::acquire(&folder, WhenBusy::Fail, &GO_ON).unwrap();
        let refused = FolderLock::acquire(&folder, WhenBusy::Fail, &GO_ON)
            .err()
            .unwrap();
        assert!(
            refused.to_string().contains("another process is writing"),
            "{refused}"
        );
        let stopped = FolderLock::acquire(&folder, WhenBusy::Wait, &AtomicBool::new(true))
            .err()
            .unwrap();
        assert!(stopped.is::<crate::Interrupted>());
    }
}
