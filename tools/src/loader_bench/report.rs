use std::fmt;

use sbam_loader::MemoryEstimate;
use serde::Serialize;

/// What a measurement found. Serialises to one JSON object; its `Display` is for people.
#[derive(Debug, Clone, Serialize)]
pub struct BenchReport {
    /// Always `sbam`.
    pub loader: &'static str,
    /// `all`, `read`, `decode` or `resize`.
    pub stage: &'static str,
    /// Decode threads; of a stage, threads.
    pub threads: usize,
    /// Images made.
    pub images: u64,
    /// Time it took.
    pub seconds: f64,
    /// Images a second.
    pub images_per_s: f64,
    /// Megabytes (10^6) read from shards a second.
    pub mb_per_s: f64,
    /// Bytes read from shards, those of samples read ahead among them.
    pub read_bytes: u64,
    /// Milliseconds of each stage for an image, added up over threads.
    pub ms_per_image: StageTimes,
    /// Share of the samples that are crop-ready.
    pub crop_ready_share: f64,
    /// Share of the samples of which not all was decoded.
    pub partly_decoded_share: f64,
    /// Pixels decoded for an image.
    pub decoded_pixels_per_image: f64,
    /// The queues, of the whole loader.
    pub queues: Option<Queues>,
    /// From opening the data set to the first batch, of the whole loader.
    pub first_batch_s: Option<f64>,
    /// The most memory the process held, in bytes.
    pub peak_memory_bytes: Option<u64>,
    /// What it should have held, by its configuration: that of the process at the start, and the loader's.
    pub estimated_memory_bytes: Option<u64>,
    /// What the loader's speed is bound by.
    pub verdict: String,
    #[serde(skip)]
    pub(super) estimate: Option<MemoryEstimate>,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct StageTimes {
    /// Reading.
    pub read: f64,
    /// Cutting and decoding.
    pub decode: f64,
    /// Crop, resize, flip and what follows.
    pub resize: f64,
}

/// How full the queues were, on average when a batch was taken.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Queues {
    /// Samples that were read and waited for a decode thread.
    pub read_samples: f64,
    /// Room for such samples.
    pub read_samples_room: usize,
    /// Batches that were complete.
    pub batches: f64,
    /// Room for such batches.
    pub batches_room: usize,
    /// Share of the decode threads' time without work.
    pub decode_idle_share: f64,
    /// Share of the time that whoever takes the batches waited.
    pub caller_waits_share: f64,
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} images/s · ", self.images_per_s)?;
        if self.read_bytes > 0 {
            write!(f, "{:.1} MB/s · ", self.mb_per_s)?;
        }
        writeln!(
            f,
            "{} images in {:.2} s on {} {}",
            self.images,
            self.seconds,
            self.threads,
            if self.threads == 1 {
                "thread"
            } else {
                "threads"
            }
        )?;
        let times = self.ms_per_image;
        write!(f, "an image:")?;
        let mut separator = "";
        for (stage, ms) in [
            ("read", times.read),
            ("decode", times.decode),
            ("resize", times.resize),
        ] {
            // A stage that is measured alone leaves the others out.
            if ms > 0.0 {
                write!(f, "{separator} {stage} {ms:.3} ms")?;
                separator = " ·";
            }
        }
        if self.decoded_pixels_per_image > 0.0 {
            write!(
                f,
                " · {:.0} pixels decoded · {:.0} % decoded in part, {:.0} % crop-ready",
                self.decoded_pixels_per_image,
                100.0 * self.partly_decoded_share,
                100.0 * self.crop_ready_share
            )?;
        }
        writeln!(f)?;
        if let Some(queues) = self.queues {
            writeln!(
                f,
                "queues: {:.1} of {} samples read ahead, {:.1} of {} batches ready; decoders idle {:.0} %, caller \
                 waited {:.0} %",
                queues.read_samples,
                queues.read_samples_room,
                queues.batches,
                queues.batches_room,
                100.0 * queues.decode_idle_share,
                100.0 * queues.caller_waits_share
            )?;
        }
        if let Some(seconds) = self.first_batch_s {
            writeln!(
                f,
                "first batch after {seconds:.3} s, opening the data set included"
            )?;
        }
        if let (Some(peak), Some(expected), Some(estimate)) = (
            self.peak_memory_bytes,
            self.estimated_memory_bytes,
            self.estimate,
        ) {
            writeln!(
                f,
                "memory: peak {:.0} MB; expected {:.0} MB, of which the loader {estimate}",
                peak as f64 / 1e6,
                expected as f64 / 1e6
            )?;
        }
        write!(f, "{}", self.verdict)
    }
}
