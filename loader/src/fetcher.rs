//! What a fetch thread does: read the bytes of one sample after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crossbeam::channel::{Receiver, Sender};

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::jpeg_buffers::{JpegBuffer, JpegBuffers};
use crate::meters::{Meters, count};
use crate::worker::Job;

/// Reads a sample's JPEG into a buffer.
pub(crate) type Fetch = Arc<dyn Fn(u64, &mut Vec<u8>) -> Result<()> + Send + Sync>;

/// A slot to fill and what to fill it with.
pub(crate) struct Fetched {
    pub(crate) job: Job,
    /// The JPEG, or why the run cannot go on; empty for padding.
    pub(crate) jpeg: Result<JpegBuffer>,
}

/// Reads samples; several do so side by side.
pub(crate) struct Fetcher {
    pub(crate) dataset: Arc<Dataset>,
    pub(crate) fetch: Fetch,
    pub(crate) buffers: JpegBuffers,
    pub(crate) meters: Arc<Meters>,
}

impl Fetcher {
    /// Reads until there are no more jobs, or until nobody wants them.
    pub(crate) fn run(self, jobs: &Receiver<Job>, fetched: &Sender<Fetched>) {
        for job in jobs {
            let jpeg = self.read(job.sample_index);
            if fetched.send(Fetched { job, jpeg }).is_err() {
                return;
            }
        }
    }

    fn read(&self, sample_index: Option<u64>) -> Result<JpegBuffer> {
        let Some(sample_index) = sample_index else {
            return Ok(self.buffers.take(0));
        };
        let start = Instant::now();
        let length = self.dataset.sample(sample_index).length as usize;
        let mut buffer = self.buffers.take(length);
        // A panic must become an error of this sample and not a thread that is missing.
        catch_unwind(AssertUnwindSafe(|| {
            (self.fetch)(sample_index, &mut buffer.bytes)
        }))
        .unwrap_or_else(|panic| {
            Err(Error::panicked(&self.dataset, sample_index, panic.as_ref()))
        })?;
        self.meters.fetch.add_since(start);
        count(&self.meters.read_bytes, length as u64);
        Ok(buffer)
    }
}
