//! What became of the bytes of packed images.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use indicatif::HumanCount;

use crate::crop_ready::KeptAsIs;

/// What became of one image.
#[derive(Clone, Copy)]
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
    pub(crate) fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Rewritten {
                source_bytes,
                bytes,
            } => {
                self.rewritten += 1;
                self.source_bytes += source_bytes;
                self.bytes += bytes;
            }
            Outcome::Kept(reason) => *self.kept.entry(reason).or_default() += 1,
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

impl Display for RewriteCounts {
    /// One line, such as `1,994 of 2,000 images rewritten crop-ready (0.98 of their bytes); 6 kept as they are: 6 already
    /// damaged`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let images = self.rewritten + self.kept_images();
        let (rewritten, plural) = (
            HumanCount(self.rewritten),
            if images == 1 { "" } else { "s" },
        );
        write!(
            f,
            "{rewritten} of {} image{plural} rewritten crop-ready",
            HumanCount(images)
        )?;
        if let Some(ratio) = self.size_ratio() {
            write!(f, " ({ratio:.2} of their bytes)")?;
        }
        if self.kept.is_empty() {
            return Ok(());
        }
        let kept = self.kept_images();
        let they_are = if kept == 1 { "it is" } else { "they are" };
        write!(f, "; {} kept as {they_are}", HumanCount(kept))?;
        for (i, (reason, count)) in self.kept.iter().enumerate() {
            let before = if i == 0 { ": " } else { ", " };
            write!(f, "{before}{} {reason}", HumanCount(*count))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_many_how_large_and_why_not() {
        let mut counts = RewriteCounts::default();
        assert_eq!(counts.to_string(), "0 of 0 images rewritten crop-ready");
        let rewritten = Outcome::Rewritten {
            source_bytes: 100,
            bytes: 97,
        };
        counts.add(rewritten);
        assert_eq!(
            counts.to_string(),
            "1 of 1 image rewritten crop-ready (0.97 of their bytes)"
        );
        (0..1993).for_each(|_| counts.add(rewritten));
        for reason in [KeptAsIs::TooLarge, KeptAsIs::Damaged, KeptAsIs::Damaged] {
            counts.add(Outcome::Kept(reason));
        }
        assert_eq!(
            counts.to_string(),
            "1,994 of 1,997 images rewritten crop-ready (0.97 of their bytes); 3 kept as they are: 2 already damaged, 1 \
             too large"
        );
    }
}
