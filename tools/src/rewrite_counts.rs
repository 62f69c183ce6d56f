//! What became of the bytes of packed images.

use std::collections::BTreeMap;

use crate::crop_ready::KeptAsIs;

/// What became of one image.
pub(crate) enum Outcome {
    /// It was rewritten.
    Rewritten { source_bytes: u64, bytes: u64 },
    /// It was kept as it is.
    Kept(KeptAsIs),
}

/// How many images were rewritten crop-ready, and why the others were not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RewriteCounts {
    /// Images rewritten.
    pub rewritten: u64,
    /// Bytes of these images' files.
    pub source_bytes: u64,
    /// Bytes of these images as rewritten.
    pub bytes: u64,
    /// Images kept as they are, by reason.
    pub kept: BTreeMap<KeptAsIs, u64>,
}

impl RewriteCounts {
    pub(crate) fn add(&mut self, outcome: Option<Outcome>) {
        match outcome {
            Some(Outcome::Rewritten {
                source_bytes,
                bytes,
            }) => {
                self.rewritten += 1;
                self.source_bytes += source_bytes;
                self.bytes += bytes;
            }
            Some(Outcome::Kept(reason)) => *self.kept.entry(reason).or_default() += 1,
            None => {}
        }
    }

    /// Images kept as they are.
    pub fn kept_images(&self) -> u64 {
        self.kept.values().sum()
    }

    /// Size of the rewritten images as a part of their files'; `None` if there are none.
    pub fn size_ratio(&self) -> Option<f64> {
        (self.source_bytes > 0).then(|| self.bytes as f64 / self.source_bytes as f64)
    }
}
