//! One shard while it is written: a tar, its length and its checksum.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use sbam_loader::Shard;
use webdataset::core::Value;
use webdataset::shard::{Compression, TarWriter};

/// Size of a tar block; headers and payloads begin at multiples of it.
pub(crate) const TAR_BLOCK_BYTES: u64 = 512;

/// Bytes kept in memory before they go to the shard's file.
const BUFFER_BYTES: usize = 1 << 20;

/// Owner of every member, the same on every machine; the name is the one Python's `webdataset` uses.
const OWNER: &str = "bigdata";

/// A shard being written.
pub(crate) struct OpenShard {
    name: String,
    path: PathBuf,
    tar: TarWriter,
    tally: Arc<Mutex<Tally>>,
}

impl OpenShard {
    /// Begins the shard `name` in `folder`.
    pub(crate) fn create(folder: &Path, name: String) -> Result<Self> {
        let path = folder.join(&name);
        let file =
            File::create_new(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let tally = Arc::new(Mutex::new(Tally::default()));
        let out = Counted {
            out: BufWriter::with_capacity(BUFFER_BYTES, file),
            tally: Arc::clone(&tally),
        };
        let tar = TarWriter::new(Box::new(out), Compression::None)
            .with_context(|| format!("cannot begin {}", path.display()))?
            .with_owner(OWNER, OWNER)
            .with_mtime(Some(0));
        Ok(Self {
            name,
            path,
            tar,
            tally,
        })
    }

    /// Writes one member and returns the offset of its payload.
    pub(crate) fn member(&mut self, key: &str, extension: &str, payload: Vec<u8>) -> Result<u64> {
        let length = payload.len() as u64;
        let mut sample = webdataset::Sample::with_key(key);
        sample.insert(extension, Value::Bytes(payload.into()));
        self.tar
            .write(&sample)
            .with_context(|| format!("cannot write sample {key} to {}", self.path.display()))?;
        // Whatever headers came first (a long name has more of them), the payload and its padding came last.
        Ok(self.tally().bytes - length.next_multiple_of(TAR_BLOCK_BYTES))
    }

    /// Completes the shard and makes sure that it is on the disk.
    pub(crate) fn close(self) -> Result<Shard> {
        let Tally { bytes, crc32c } = {
            let cannot = || format!("cannot complete {}", self.path.display());
            let tally = Arc::clone(&self.tally);
            self.tar.close().with_context(cannot)?;
            File::open(&self.path)
                .and_then(|file| file.sync_all())
                .with_context(cannot)?;
            *lock(&tally)
        };
        Ok(Shard {
            name: self.name,
            bytes,
            crc32c,
        })
    }

    fn tally(&self) -> Tally {
        *lock(&self.tally)
    }
}

/// What has gone into a shard so far.
#[derive(Clone, Copy, Default)]
struct Tally {
    bytes: u64,
    crc32c: u32,
}

/// A tally is two numbers set together; a panic elsewhere cannot spoil it.
fn lock(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts and sums what passes through: the tar writer says nothing about offsets.
struct Counted<W> {
    out: W,
    tally: Arc<Mutex<Tally>>,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        let mut tally = lock(&self.tally);
        tally.bytes += written as u64;
        tally.crc32c = crc32c::crc32c_append(tally.crc32c, &bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
