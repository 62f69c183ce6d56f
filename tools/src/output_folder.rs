//! An output folder that appears whole or not at all.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::folder_lock::{FolderLock, hidden_sibling};

/// A folder under construction: it is `.NAME.partial` beside its final place until [`finish`](Self::finish) renames it.
///
/// Dropped before that, it removes what was written. A killed process leaves the hidden folder behind; the next one that
/// makes the same output clears it away (and can tell that nobody works in it by holding the lock).
pub(crate) struct OutputFolder {
    partial: PathBuf,
    /// An empty folder stood at the final place and was taken away; put back if there is nothing to replace it.
    replaces_empty: bool,
    finished: bool,
    /// Given back last.
    lock: FolderLock,
}

impl OutputFolder {
    /// Begins the folder that `lock` stands for.
    pub(crate) fn begin(lock: FolderLock) -> Result<Self> {
        let folder = lock.folder();
        refuse_used(folder)?;
        let partial = hidden_sibling(folder, "partial")?;
        if partial.symlink_metadata().is_ok() {
            std::fs::remove_dir_all(&partial).with_context(|| {
                format!(
                    "cannot remove what an earlier run left in {}",
                    partial.display()
                )
            })?;
        }
        // Taken away now rather than renamed over in the end: a mount point refuses both, and now nothing is lost.
        let replaces_empty = folder.symlink_metadata().is_ok();
        if replaces_empty {
            std::fs::remove_dir(folder).with_context(|| {
                format!(
                    "cannot replace the empty folder {0}; if it is a mount point, give a folder inside it, as {0}/shards",
                    folder.display()
                )
            })?;
        }
        // From here on dropping it cleans up.
        let output = Self {
            partial,
            replaces_empty,
            finished: false,
            lock,
        };
        std::fs::create_dir(&output.partial)
            .with_context(|| format!("cannot make the folder {}", output.partial.display()))?;
        Ok(output)
    }

    /// Where to write.
    pub(crate) fn path(&self) -> &Path {
        &self.partial
    }

    /// Moves the folder to its final place, safe against power failure.
    pub(crate) fn finish(mut self) -> Result<()> {
        let folder = self.lock.folder();
        let moved = sync(&self.partial)
            .and_then(|()| std::fs::rename(&self.partial, folder))
            .and_then(|()| folder.parent().map_or(Ok(()), sync));
        moved.with_context(|| {
            format!(
                "cannot move the finished folder {} to {}",
                self.partial.display(),
                folder.display()
            )
        })?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // The failure that led here is reported; one more about leftovers would only hide it.
        let _ = std::fs::remove_dir_all(&self.partial);
        if self.replaces_empty {
            let _ = std::fs::create_dir(self.lock.folder());
        }
    }
}

/// An error unless `folder` does not exist or is an empty folder.
pub(crate) fn refuse_used(folder: &Path) -> Result<()> {
    let Ok(found) = folder.metadata() else {
        // A broken link would be renamed over silently.
        if folder.symlink_metadata().is_ok() {
            bail!(
                "{} is a link to nothing; remove it or choose another folder",
                folder.display()
            );
        }
        return Ok(());
    };
    if !found.is_dir() {
        bail!(
            "{} exists and is not a folder; choose another place for the shards",
            folder.display()
        );
    }
    let mut entries = folder
        .read_dir()
        .with_context(|| format!("cannot look into {}", folder.display()))?;
    if entries.next().is_some() {
        bail!(
            "{} is not empty; remove what it holds or choose another folder",
            folder.display()
        );
    }
    Ok(())
}

fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder_lock::WhenBusy;
    use crate::test_folder::names;
    use std::sync::atomic::AtomicBool;

    fn begin(folder: &Path) -> Result<OutputFolder> {
        OutputFolder::begin(FolderLock::acquire(
            folder,
            WhenBusy::Fail,
            &AtomicBool::new(false),
        )?)
    }

    #[test]
    fn appears_when_finished_and_leaves_nothing_beside_it() {
        let place = tempfile::tempdir().unwrap();
        for folder in [place.path().join("new/deep"), place.path().join("empty")] {
            if folder.ends_with("empty") {
                std::fs::create_dir(&folder).unwrap();
            }
            let output = begin(&folder).unwrap();
            std::fs::write(output.path().join("file"), "content").unwrap();
            assert!(!folder.join("file").exists());
            output.finish().unwrap();
            assert_eq!(names(&folder), ["file"]);
            assert_eq!(
                names(folder.parent().unwrap()),
                [folder.file_name().unwrap().to_str().unwrap(), "new"]
                    [..if folder.ends_with("empty") { 2 } else { 1 }]
            );
        }
    }

    #[test]
    fn dropped_before_it_is_finished_leaves_things_as_they_were() {
        let place = tempfile::tempdir().unwrap();
        let empty = place.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        for folder in [place.path().join("new/deep"), empty] {
            let output = begin(&folder).unwrap();
            std::fs::write(output.path().join("file"), "content").unwrap();
            drop(output);
            assert_eq!(names(place.path()), ["empty"]);
        }
    }

    #[test]
    fn what_a_killed_process_left_is_cleared_away() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("out");
        std::fs::create_dir(place.path().join(".out.partial")).unwrap();
        std::fs::write(place.path().join(".out.partial/train-000000.tar"), "half").unwrap();
        std::fs::write(place.path().join(".out.lock"), "").unwrap();
        begin(&folder).unwrap().finish().unwrap();
        assert_eq!(names(place.path()), ["out"]);
        assert_eq!(names(&folder), [""; 0]);
    }

    #[test]
    fn a_folder_in_use_a_file_and_a_broken_link_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let [used, file, link] = ["used", "file", "link"].map(|name| place.path().join(name));
        std::fs::create_dir_all(used.join("inside")).unwrap();
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        for (folder, reason) in [
            (used, "not empty"),
            (file, "not a folder"),
            (link, "link to nothing"),
        ] {
            let error = begin(&folder).err().unwrap().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert_eq!(names(place.path()), ["file", "link", "used"]);
    }
}
