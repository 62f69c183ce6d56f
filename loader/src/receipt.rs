use std::collections::BTreeMap;

use sbam_augment::philox4x32_10;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What became of an epoch's samples: proof that each came exactly once.
///
/// Counts and hash add up: in any order, over batches, and over ranks with [`merge`](Self::merge).
///
/// ```
/// use sbam_loader::Receipt;
///
/// let mut first = Receipt::new(0);
/// let mut second = Receipt::new(0);
/// for sample_index in [4, 0, 2] {
///     first.record_seen(sample_index);
/// }
/// for sample_index in [3, 1] {
///     second.record_seen(sample_index);
/// }
/// first.merge(&second)?;
/// first.check(5)?; // samples 0 to 4, each once
/// # Ok::<(), sbam_loader::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The epoch.
    pub epoch: u64,
    /// Samples handed out with loss weight 1.
    pub seen: u64,
    /// Slots that fill the last global batch and stand for no sample.
    pub padded: u64,
    /// Samples left over because they did not fill a global batch.
    pub dropped: u64,
    /// Samples that could not be decoded, by kind of problem. A replacement took the slot of each.
    pub skipped: BTreeMap<String, u64>,
    /// Sum, modulo 2^128, of a 128-bit mix of the index of every sample seen, skipped or dropped.
    #[serde(with = "hex128")]
    pub hash: u128,
}

impl Receipt {
    /// An empty receipt.
    pub fn new(epoch: u64) -> Self {
        Self {
            epoch,
            ..Self::default()
        }
    }

    /// The receipt of an epoch in which every one of `samples` samples was seen.
    ///
    /// [`hash`](Self::hash) is the same however many of them were skipped or dropped instead.
    pub fn expected(epoch: u64, samples: u64) -> Self {
        let mut receipt = Self::new(epoch);
        (0..samples).for_each(|sample| receipt.record_seen(sample));
        receipt
    }

    /// Counts a sample that was handed out.
    pub fn record_seen(&mut self, sample_index: u64) {
        self.seen += 1;
        self.add(sample_index);
    }

    /// Counts a sample that could not be used.
    pub fn record_skipped(&mut self, sample_index: u64, kind: &str) {
        *self.skipped.entry(kind.to_owned()).or_default() += 1;
        self.add(sample_index);
    }

    /// Counts a sample that was left over.
    pub fn record_dropped(&mut self, sample_index: u64) {
        self.dropped += 1;
        self.add(sample_index);
    }

    /// Counts a slot that stands for no sample.
    pub fn record_padded(&mut self) {
        self.padded += 1;
    }

    /// The number of samples that could not be used.
    pub fn skipped_total(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// Adds what another rank, or another part of the epoch, accounts for.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.epoch != other.epoch {
            return Err(Error::Receipt {
                epoch: self.epoch,
                problem: format!("cannot add a receipt of epoch {}", other.epoch),
            });
        }
        self.seen += other.seen;
        self.padded += other.padded;
        self.dropped += other.dropped;
        for (kind, count) in &other.skipped {
            *self.skipped.entry(kind.clone()).or_default() += count;
        }
        self.hash = self.hash.wrapping_add(other.hash);
        Ok(())
    }

    /// Proves that each of the data set's samples was seen, skipped or dropped exactly once.
    ///
    /// With several ranks, [`merge`](Self::merge) their receipts first.
    pub fn check(&self, samples: u64) -> Result<()> {
        let problem = |problem| {
            Err(Error::Receipt {
                epoch: self.epoch,
                problem,
            })
        };
        let accounted = self.seen + self.skipped_total() + self.dropped;
        if accounted != samples {
            return problem(format!(
                "{} samples seen, {} skipped and {} dropped make {accounted}, but the data set has {samples}",
                self.seen,
                self.skipped_total(),
                self.dropped
            ));
        }
        if self.hash != Self::expected(self.epoch, samples).hash {
            return problem(format!(
                "{samples} samples came, but not each exactly once (hash {:032x})",
                self.hash
            ));
        }
        Ok(())
    }

    fn add(&mut self, sample_index: u64) {
        self.hash = self.hash.wrapping_add(spread(sample_index));
    }
}

/// 128 bits that belong to a sample index: one block of Philox, with the letters "sbamrcpt" as key.
fn spread(sample_index: u64) -> u128 {
    let counter = [sample_index as u32, (sample_index >> 32) as u32, 0, 0];
    philox4x32_10(counter, [0x7362_616d, 0x7263_7074])
        .iter()
        .fold(0, |sum, &word| (sum << 32) | u128::from(word))
}

/// 128 bits as 32 hexadecimal digits, since JSON's numbers end at 2^53 for most readers.
mod hex128 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(value: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{value:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        let text = String::deserialize(from)?;
        u128::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_order_and_the_grouping_do_not_matter(seed: u64, n in 0_u64..300, ranks in 1_usize..5) {
            let mut indices: Vec<u64> = (0..n).collect();
            let key = sbam_augment::DrawKey {
                seed, epoch: 0, sample_index: 0, view: 0, purpose: sbam_augment::Purpose::Order,
            };
            sbam_augment::Draws::new(key).shuffle(&mut indices);
            let mut parts = vec![Receipt::new(7); ranks];
            for (at, &index) in indices.iter().enumerate() {
                match index % 5 {
                    0 => parts[at % ranks].record_skipped(index, "damaged"),
                    1 => parts[at % ranks].record_dropped(index),
                    _ => parts[at % ranks].record_seen(index),
                }
            }
            let mut whole = Receipt::new(7);
            for part in &parts {
                whole.merge(part).unwrap();
            }
            whole.check(n).unwrap();
            prop_assert_eq!(whole.hash, Receipt::expected(7, n).hash);
        }

        #[test]
        fn a_sample_twice_in_place_of_another_is_noticed(n in 2_u64..200, missing: u64, twice: u64) {
            let (missing, twice) = (missing % n, twice % n);
            prop_assume!(missing != twice);
            let mut receipt = Receipt::new(0);
            for index in 0..n {
                receipt.record_seen(if index == missing { twice } else { index });
            }
            prop_assert!(receipt.check(n).is_err());
        }
    }

    #[test]
    fn survives_json() {
        let mut receipt = Receipt::expected(3, 10);
        receipt.record_skipped(10, "truncated");
        receipt.record_padded();
        let json = serde_json::to_string(&receipt).unwrap();
        assert_eq!(serde_json::from_str::<Receipt>(&json).unwrap(), receipt);
    }

    #[test]
    fn does_not_mix_epochs() {
        assert!(Receipt::new(0).merge(&Receipt::new(1)).is_err());
    }
}
