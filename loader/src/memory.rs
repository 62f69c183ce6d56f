use std::fmt;

use crate::config::LoaderConfig;
use crate::dataset::Dataset;
use crate::jpeg_buffers::JpegBuffers;
use crate::manifest::Sample;

/// What a loader will hold in memory, in bytes, when it is busy: known before it starts.
///
/// Not in it: what a decoder takes for a progressive JPEG (six bytes a pixel while it is decoded), and batches that the
/// caller holds beyond one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// Batches in preparation, and one in the caller's hands.
    pub batches: u64,
    /// Encoded photographs that were read ahead or are being decoded.
    pub jpegs: u64,
    /// Decoded photographs, one for each decode thread.
    pub decoding: u64,
    /// The manifest and the order.
    pub manifest: u64,
}

impl MemoryEstimate {
    /// Bytes in all.
    pub fn total(&self) -> u64 {
        self.batches + self.jpegs + self.decoding + self.manifest
    }
}

impl fmt::Display for MemoryEstimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        write!(
            f,
            "{:.0} MB (batches {:.0}, photographs read ahead {:.0}, decoding {:.0}, manifest {:.0})",
            mb(self.total()),
            mb(self.batches),
            mb(self.jpegs),
            mb(self.decoding),
            mb(self.manifest)
        )
    }
}

impl LoaderConfig {
    /// Estimates the memory of a loader with this configuration.
    pub fn memory(&self, dataset: &Dataset) -> MemoryEstimate {
        let samples = &dataset.manifest.samples;
        let mean_room = samples
            .iter()
            .map(|sample| JpegBuffers::room(sample.length as u64))
            .sum::<u64>()
            / (samples.len() as u64).max(1);
        let largest = samples
            .iter()
            .map(|sample| sample.length as u64)
            .max()
            .unwrap_or_default();
        let most_pixels = samples
            .iter()
            .map(|sample| sample.width as u64 * sample.height as u64)
            .max()
            .unwrap_or_default();
        let threads = self.threads as u64;
        // Read ahead, being read, being decoded; what larger ones take is made up for by what smaller ones do not.
        let in_flight = self.fetched_ahead() as u64 + self.fetch_threads as u64 + threads;
        // The decoded pixels, what was cut out of the JPEG, and an image before it is normalised.
        let decoded = 3 * most_pixels + largest + self.image_values() as u64;
        let keys: u64 = samples
            .iter()
            .map(|sample| sample.key.capacity() as u64)
            .sum();
        MemoryEstimate {
            batches: (self.prefetch_batches as u64 + 1)
                * (self.batch_size * self.image_bytes()) as u64,
            jpegs: (in_flight * mean_room).min(self.fetch_ahead_bytes.max(largest)),
            decoding: threads * decoded,
            manifest: (samples.capacity() * size_of::<Sample>()) as u64 + keys,
        }
    }
}
