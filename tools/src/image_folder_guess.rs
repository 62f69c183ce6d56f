//! Whether a folder given as data holds images or shards.

use std::ffi::OsStr;
use std::path::Path;

use walkdir::WalkDir;

use crate::image_folder::has_jpeg_extension;

/// Entries that [`looks_like_image_folder`] looks at before it gives up.
const MOST_LOOKED_AT: usize = 10_000;

/// Whether `path` is a folder of JPEG images (or of folders of them) rather than of shards.
///
/// It looks at a limited number of names and opens no file, so it is cheap even for large trees.
pub fn looks_like_image_folder(path: &Path) -> bool {
    let Ok(entries) = path.read_dir() else {
        return false;
    };
    let is_shard = |name: &OsStr| {
        Path::new(name)
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("tar"))
            || name == sbam_loader::Manifest::FILE_NAME
    };
    if entries
        .flatten()
        .take(MOST_LOOKED_AT)
        .any(|entry| is_shard(&entry.file_name()))
    {
        return false;
    }
    // Deep enough for ROOT/train/CLASS/FOLDER/NAME.
    WalkDir::new(path)
        .min_depth(1)
        .max_depth(4)
        .follow_links(true)
        .into_iter()
        .flatten()
        .take(MOST_LOOKED_AT)
        .any(|entry| entry.file_type().is_file() && has_jpeg_extension(entry.path()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_folder::tree;

    #[test]
    fn looks_like_image_folder_tells_images_from_shards() {
        assert!(looks_like_image_folder(tree(&["a.JPG"]).path()));
        assert!(looks_like_image_folder(tree(&["train/n01/a.JPEG"]).path()));
        assert!(!looks_like_image_folder(
            tree(&["train-000000.tar", "a.jpg"]).path()
        ));
        assert!(!looks_like_image_folder(
            tree(&["manifest.parquet", "preview/a.jpg"]).path()
        ));
        assert!(!looks_like_image_folder(tree(&["a.txt"]).path()));
        assert!(!looks_like_image_folder(Path::new("/no/such/folder")));
    }
}
