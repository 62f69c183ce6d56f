use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What the threads count while they work.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    pub(crate) samples: AtomicU64,
    pub(crate) images: AtomicU64,
    pub(crate) read_bytes: AtomicU64,
    pub(crate) crop_ready_samples: AtomicU64,
    pub(crate) partly_decoded_samples: AtomicU64,
    pub(crate) decoded_pixels: AtomicU64,
    pub(crate) fetch: Clock,
    pub(crate) decode: Clock,
    pub(crate) render: Clock,
    /// Decode threads without work.
    pub(crate) idle: Clock,
    /// The caller of `next_batch`, waiting.
    pub(crate) caller_waits: Clock,
    pub(crate) batches: AtomicU64,
    /// Summed up at each batch.
    pub(crate) fetched_samples_ahead: AtomicU64,
    pub(crate) batches_ahead: AtomicU64,
}

/// Time added up over threads.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    /// Adds the time since `start` and gives back the present, from which the next may start.
    pub(crate) fn add_since(&self, start: Instant) -> Instant {
        let now = Instant::now();
        self.0
            .fetch_add((now - start).as_nanos() as u64, Ordering::Relaxed);
        now
    }

    fn total(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

pub(crate) fn count(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

/// What a loader has done since it was started, up to now; work on batches that are not handed out yet counts as well.
///
/// Times are added up over threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LoaderStats {
    /// Samples read and decoded.
    pub samples: u64,
    /// Images made of them: one for each view.
    pub images: u64,
    /// Bytes read from shards.
    pub read_bytes: u64,
    /// Samples that can be cut at restart markers, by the manifest.
    pub crop_ready_samples: u64,
    /// Samples of which no decode was of the whole photograph.
    pub partly_decoded_samples: u64,
    /// Pixels decoded.
    pub decoded_pixels: u64,
    /// Time spent reading.
    pub fetch: Duration,
    /// Time spent cutting and decoding.
    pub decode: Duration,
    /// Time spent on pixels after decoding: crop, resize, flip, colour, normalisation.
    pub render: Duration,
    /// Time that decode threads had nothing to do.
    pub idle: Duration,
    /// Time that the caller waited for batches.
    pub caller_waits: Duration,
    /// Batches handed out.
    pub batches: u64,
    /// Samples that were read and not yet being decoded, summed up at each batch.
    pub fetched_samples_ahead: u64,
    /// Batches in preparation that were complete, summed up at each batch; the one handed out is not among them.
    pub batches_ahead: u64,
    /// Decode threads.
    pub threads: u64,
    /// Fetch threads.
    pub fetch_threads: u64,
}

impl Meters {
    pub(crate) fn read(&self, threads: usize, fetch_threads: usize) -> LoaderStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LoaderStats {
            samples: get(&self.samples),
            images: get(&self.images),
            read_bytes: get(&self.read_bytes),
            crop_ready_samples: get(&self.crop_ready_samples),
            partly_decoded_samples: get(&self.partly_decoded_samples),
            decoded_pixels: get(&self.decoded_pixels),
            fetch: self.fetch.total(),
            decode: self.decode.total(),
            render: self.render.total(),
            idle: self.idle.total(),
            caller_waits: self.caller_waits.total(),
            batches: get(&self.batches),
            fetched_samples_ahead: get(&self.fetched_samples_ahead),
            batches_ahead: get(&self.batches_ahead),
            threads: threads as u64,
            fetch_threads: fetch_threads as u64,
        }
    }
}
