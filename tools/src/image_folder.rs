//! Finding the images of a folder: one folder for each class, as torchvision's `ImageFolder`, or all in one.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Error, Result, bail, ensure};
use walkdir::WalkDir;

use crate::stop::check;

/// Which part of a data set with the folders `train` and `val` is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// The folder `train`.
    Train,
    /// The folder `val`.
    Val,
}

impl Split {
    /// The name of its folder, which is also the usual prefix of its shards.
    pub fn folder_name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
        }
    }
}

/// Where labels come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Labels {
    /// From folders if all images are in folders; no labels if none is; an error if it could be either.
    #[default]
    Auto,
    /// The folder below the root is the class. Images outside all folders are left out.
    Folders,
    /// No labels; images in folders are taken as well.
    None,
}

/// The images of a folder.
pub(crate) struct ImageFolder {
    /// The folder that paths are relative to.
    pub(crate) root: PathBuf,
    /// Class names in the order of their indices: that of their bytes. Empty without labels.
    pub(crate) class_names: Vec<String>,
    /// All files with a JPEG extension, by class, then by path.
    pub(crate) images: Vec<Image>,
    /// Files with another extension, and images outside all class folders.
    pub(crate) files_left_out: u64,
}

/// A file with a JPEG extension.
pub(crate) struct Image {
    pub(crate) class_index: Option<usize>,
    /// Its path below the root.
    pub(crate) path: PathBuf,
    /// False for a pipe, a device and the like, which must not be opened.
    pub(crate) is_regular: bool,
}

/// Other splits that may stand beside `train`; another folder beside it may be a class instead.
const SPLIT_FOLDERS: [&str; 5] = ["train", "val", "valid", "validation", "test"];

/// Entries between two calls of `progress` and looks at `stop`.
const PROGRESS_ENTRIES: u64 = 1024;

impl ImageFolder {
    /// Lists the images of `input`; `progress` hears now and then how many have been found.
    pub(crate) fn list(
        input: &Path,
        split: Option<Split>,
        labels: Labels,
        stop: &AtomicBool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self> {
        let root = split_root(input, split)?;
        let mut images = Vec::new();
        let mut files_left_out = 0;
        let walk = WalkDir::new(&root).min_depth(1).follow_links(true);
        for (count, entry) in (1_u64..).zip(walk) {
            if count.is_multiple_of(PROGRESS_ENTRIES) {
                check(stop)?;
                progress(images.len() as u64);
            }
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if may_be_ignored(&error) => continue,
                Err(error) => return Err(describe(error)),
            };
            if entry.file_type().is_dir() {
                continue;
            }
            if !has_jpeg_extension(entry.path()) {
                files_left_out += 1;
                continue;
            }
            let path = entry
                .path()
                .strip_prefix(&root)
                .unwrap_or(entry.path())
                .to_owned();
            images.push(Image {
                class_index: None,
                path,
                is_regular: entry.file_type().is_file(),
            });
        }
        let mut folder = Self {
            root,
            class_names: Vec::new(),
            images,
            files_left_out,
        };
        folder.label(labels)?;
        Ok(folder)
    }

    /// Sorts the images and finds their classes.
    fn label(&mut self, labels: Labels) -> Result<()> {
        let root = self.root.display();
        ensure!(
            !self.images.is_empty(),
            "{root} holds no .jpg or .jpeg files; give a folder of JPEG images, or of folders of them"
        );
        // By bytes and not by path components, so that the order is that of a plain sort of names anywhere.
        self.images.sort_unstable_by(|a, b| {
            (folder_of(&a.path), a.path.as_os_str()).cmp(&(folder_of(&b.path), b.path.as_os_str()))
        });
        let loose = self
            .images
            .iter()
            .filter(|image| folder_of(&image.path).is_none())
            .count();
        let labelled = match labels {
            Labels::None => false,
            Labels::Folders => true,
            Labels::Auto if loose == 0 => true,
            Labels::Auto if loose == self.images.len() => false,
            Labels::Auto => bail!(
                "{root} holds {loose} images beside folders with {} more, so it is not clear whether the folders are \
                 classes; run shard_imagenet with --labels folders (leaves out the images beside them) or with \
                 --labels none (takes all, without labels)",
                self.images.len() - loose
            ),
        };
        if !labelled {
            return Ok(());
        }
        ensure!(
            loose < self.images.len(),
            "{root} holds images but no folders of images that could be classes; use --labels none"
        );
        // Loose images have no folder, and so they come first.
        self.images.drain(..loose);
        self.files_left_out += loose as u64;
        let mut current: Option<&OsStr> = None;
        let mut class_names: Vec<String> = Vec::new();
        for image in &mut self.images {
            let folder = folder_of(&image.path);
            if folder != current {
                class_names.extend(folder.map(|name| name.to_string_lossy().into_owned()));
                current = folder;
            }
            image.class_index = class_names.len().checked_sub(1);
        }
        self.class_names = class_names;
        Ok(())
    }

    /// The whole path of an image.
    pub(crate) fn path_of(&self, image: &Image) -> PathBuf {
        self.root.join(&image.path)
    }
}

/// The folder that holds the images or the class folders.
fn split_root(input: &Path, split: Option<Split>) -> Result<PathBuf> {
    let found = match input.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!(
                "there is no folder {}; give the folder that holds the images",
                input.display()
            )
        }
        found => found.with_context(|| format!("cannot look at {}", input.display()))?,
    };
    ensure!(
        found.is_dir(),
        "{} is not a folder; give the folder that holds the images",
        input.display()
    );
    if let Some(split) = split {
        let root = input.join(split.folder_name());
        ensure!(
            root.is_dir(),
            "{0} has no folder {1}; leave --split out to take {0} as it is",
            input.display(),
            split.folder_name()
        );
        return Ok(root);
    }
    let train = input.join(Split::Train.folder_name());
    Ok(if train.is_dir() && !is_class(input, &train) {
        train
    } else {
        input.to_owned()
    })
}

/// Whether `input/train` is a class (of vehicles, say) rather than a split: it has no folders inside, and beside it are
/// folders that are no splits.
fn is_class(input: &Path, train: &Path) -> bool {
    let folders = |inside: &Path| {
        let entries = inside.read_dir().into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name())
    };
    folders(train).next().is_none()
        && folders(input).any(|name| SPLIT_FOLDERS.iter().all(|split| name != OsStr::new(split)))
}

/// The outermost folder of a relative path, if it has one.
fn folder_of(relative: &Path) -> Option<&OsStr> {
    let mut parts = relative.iter();
    parts.next().filter(|_| parts.next().is_some())
}

/// `.jpg` or `.jpeg`, in capitals or not.
pub(crate) fn has_jpeg_extension(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        extension.eq_ignore_ascii_case("jpg") || extension.eq_ignore_ascii_case("jpeg")
    })
}

/// A link to a folder above it, which is walked through already, and a broken link that is no image anyway.
fn may_be_ignored(error: &walkdir::Error) -> bool {
    let missing = error
        .io_error()
        .is_some_and(|error| error.kind() == ErrorKind::NotFound);
    let is_link = |path: &Path| {
        path.symlink_metadata()
            .is_ok_and(|found| found.is_symlink())
    };
    error.loop_ancestor().is_some()
        || (missing
            && error
                .path()
                .is_some_and(|path| is_link(path) && !has_jpeg_extension(path)))
}

fn describe(error: walkdir::Error) -> Error {
    let path = error
        .path()
        .map(|path| path.display().to_string())
        .unwrap_or_default();
    match error.into_io_error() {
        Some(error) => {
            Error::new(error).context(format!("cannot read {path}; make it readable or remove it"))
        }
        None => Error::msg(format!("cannot read {path}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_folder::tree;
    use std::os::unix::fs::symlink;

    fn list(input: &Path, split: Option<Split>, labels: Labels) -> Result<ImageFolder> {
        ImageFolder::list(input, split, labels, &AtomicBool::new(false), &mut |_| {})
    }

    fn listed(folder: &ImageFolder) -> Vec<(Option<usize>, &str)> {
        folder
            .images
            .iter()
            .map(|image| (image.class_index, image.path.to_str().unwrap()))
            .collect()
    }

    #[test]
    fn classes_are_numbered_in_the_order_of_their_bytes() {
        let place = tree(&[
            "b/1.JPEG",
            "B/1.jpg",
            "a.x/2.jpeg",
            "a/deep/er/3.jpg",
            "a/1.jpg",
            "a/notes.txt",
            "empty/x",
        ]);
        let folder = list(place.path(), None, Labels::Auto).unwrap();
        assert_eq!(folder.class_names, ["B", "a", "a.x", "b"]);
        assert_eq!(
            listed(&folder),
            [
                (Some(0), "B/1.jpg"),
                (Some(1), "a/1.jpg"),
                (Some(1), "a/deep/er/3.jpg"),
                (Some(2), "a.x/2.jpeg"),
                (Some(3), "b/1.JPEG")
            ]
        );
        assert_eq!(folder.files_left_out, 2);
    }

    #[test]
    fn a_root_with_splits_gives_its_train_folder_or_the_one_asked_for() {
        let place = tree(&["train/a/1.jpg", "val/b/2.jpg", "readme.jpg"]);
        assert_eq!(
            listed(&list(place.path(), None, Labels::Auto).unwrap()),
            [(Some(0), "a/1.jpg")]
        );
        assert_eq!(
            listed(&list(place.path(), Some(Split::Val), Labels::Auto).unwrap()),
            [(Some(0), "b/2.jpg")]
        );
        let error = list(&place.path().join("train"), Some(Split::Val), Labels::Auto)
            .err()
            .unwrap();
        assert!(error.to_string().contains("has no folder val"), "{error}");
    }

    #[test]
    fn a_class_named_train_is_a_class() {
        let place = tree(&["train/1.jpg", "bus/2.jpg", "car/3.jpg"]);
        assert_eq!(
            list(place.path(), None, Labels::Auto).unwrap().class_names,
            ["bus", "car", "train"]
        );
        let flat = tree(&["train/1.jpg", "test/2.jpg"]);
        assert_eq!(
            listed(&list(flat.path(), None, Labels::Auto).unwrap()),
            [(None, "1.jpg")]
        );
    }

    #[test]
    fn a_flat_folder_has_no_labels_and_a_mixed_one_must_be_explained() {
        let flat = tree(&["b.jpg", "a.jpg", "c.png"]);
        assert_eq!(
            listed(&list(flat.path(), None, Labels::Auto).unwrap()),
            [(None, "a.jpg"), (None, "b.jpg")]
        );
        let mixed = tree(&["b.jpg", "trip/a.jpg"]);
        let error = list(mixed.path(), None, Labels::Auto).err().unwrap();
        assert!(error.to_string().contains("--labels folders"), "{error}");
        let folders = list(mixed.path(), None, Labels::Folders).unwrap();
        assert_eq!(
            (listed(&folders), folders.files_left_out),
            (vec![(Some(0), "trip/a.jpg")], 1)
        );
        let all = list(mixed.path(), None, Labels::None).unwrap();
        assert_eq!(listed(&all), [(None, "b.jpg"), (None, "trip/a.jpg")]);
    }

    #[test]
    fn links_are_followed_and_loops_are_not() {
        let place = tree(&["images/a/1.jpg", "elsewhere/2.jpg"]);
        let images = place.path().join("images");
        symlink("../../elsewhere/2.jpg", images.join("a/2.jpg")).unwrap();
        symlink("../elsewhere", images.join("b")).unwrap();
        symlink("..", images.join("a/up")).unwrap();
        symlink("nowhere", images.join("a/broken.txt")).unwrap();
        let folder = list(&images, None, Labels::Auto).unwrap();
        assert_eq!(
            listed(&folder),
            [
                (Some(0), "a/1.jpg"),
                (Some(0), "a/2.jpg"),
                (Some(1), "b/2.jpg")
            ]
        );
        symlink("nowhere", images.join("a/broken.jpg")).unwrap();
        let error = list(&images, None, Labels::Auto).err().unwrap();
        assert!(error.to_string().contains("broken.jpg"), "{error}");
    }

    #[test]
    fn what_is_no_folder_of_images_is_refused() {
        let place = tree(&["text/a.txt", "a.jpg"]);
        for (input, reason) in [
            ("text", "no .jpg or .jpeg"),
            ("a.jpg", "not a folder"),
            ("gone", "there is no folder"),
        ] {
            let error = list(&place.path().join(input), None, Labels::Auto)
                .err()
                .unwrap();
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
