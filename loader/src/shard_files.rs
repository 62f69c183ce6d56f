use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How many shards are held open at once. Far below the usual limit of 1024 open files per process, and far above the
/// shards that the streams' windows touch at a time.
const MAX_OPEN_SHARDS: usize = 256;

/// The shard files of a data set, opened when first read and kept open while in use.
#[derive(Debug)]
pub(crate) struct ShardFiles {
    paths: Vec<PathBuf>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// Shard index to its file and when it was last used.
    files: HashMap<usize, (Arc<File>, u64)>,
    clock: u64,
}

impl ShardFiles {
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            open: Mutex::default(),
        }
    }

    pub(crate) fn path(&self, shard_index: usize) -> &Path {
        &self.paths[shard_index]
    }

    /// Fills `into` from byte `offset` of a shard.
    pub(crate) fn read_exact_at(
        &self,
        shard_index: usize,
        offset: u64,
        into: &mut [u8],
    ) -> io::Result<()> {
        // `pread`: a truncated file gives an error here, where a mapping would end the process.
        self.file(shard_index)?.read_exact_at(into, offset)
    }

    fn file(&self, shard_index: usize) -> io::Result<Arc<File>> {
        // A thread that panicked while holding the lock left the table whole: every change is one call.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.clock += 1;
        let now = open.clock;
        if let Some((file, used)) = open.files.get_mut(&shard_index) {
            *used = now;
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::open(&self.paths[shard_index])?);
        if open.files.len() >= MAX_OPEN_SHARDS
            && let Some(oldest) = open
                .files
                .iter()
                .min_by_key(|(_, (_, used))| *used)
                .map(|(&index, _)| index)
        {
            open.files.remove(&oldest);
        }
        open.files.insert(shard_index, (Arc::clone(&file), now));
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_more_shards_than_it_holds_open() {
        let folder = tempfile::tempdir().unwrap();
        let n = MAX_OPEN_SHARDS + 50;
        let paths: Vec<PathBuf> = (0..n)
            .map(|index| {
                let path = folder.path().join(index.to_string());
                std::fs::write(&path, (index as u32).to_le_bytes()).unwrap();
                path
            })
            .collect();
        let files = ShardFiles::new(paths);
        let mut bytes = [0; 4];
        for index in (0..n).chain(0..n) {
            files.read_exact_at(index, 0, &mut bytes).unwrap();
            assert_eq!(u32::from_le_bytes(bytes), index as u32);
        }
        assert_eq!(files.open.lock().unwrap().files.len(), MAX_OPEN_SHARDS);
        let short = files.read_exact_at(0, 2, &mut bytes).unwrap_err();
        assert_eq!(short.kind(), io::ErrorKind::UnexpectedEof);
    }
}
