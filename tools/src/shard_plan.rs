//! Which samples go into which shard.

use anyhow::{Result, ensure};

use crate::shard_file::TAR_BLOCK_BYTES;

/// How large or how many shards are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardSize {
    /// As few shards as possible of at most so many bytes, all of about the same size. A sample that is larger on its
    /// own still gets a shard.
    Bytes(u64),
    /// Exactly so many shards of about the same size.
    Count(u32),
}

impl Default for ShardSize {
    /// 256 MiB: large enough to read in one sweep, small enough to fetch and keep.
    fn default() -> Self {
        Self::Bytes(256 << 20)
    }
}

/// Shards have numbers of six digits, so that their names sort as their numbers do.
const MOST_SHARDS: usize = 1_000_000;

/// Two empty blocks end a tar.
const TRAILER_BYTES: u64 = 2 * TAR_BLOCK_BYTES;

/// A tar header holds names of at most so many bytes; a longer one takes a header and a member of its own (GNU).
const LONGEST_SHORT_NAME: u64 = 100;

/// Bytes that a member takes in a tar: header, payload, padding.
pub(crate) fn member_bytes(name_bytes: u64, payload_bytes: u64) -> u64 {
    let long_name = if name_bytes > LONGEST_SHORT_NAME {
        TAR_BLOCK_BYTES + (name_bytes + 1).next_multiple_of(TAR_BLOCK_BYTES)
    } else {
        0
    };
    long_name + TAR_BLOCK_BYTES + payload_bytes.next_multiple_of(TAR_BLOCK_BYTES)
}

/// Index of the first sample of every shard but the first, given the samples' bytes in order.
///
/// Shards hold at least one sample each, and their sizes differ by about one sample at most.
pub(crate) fn cuts(sample_bytes: &[u64], size: ShardSize) -> Result<Vec<usize>> {
    let total: u64 = sample_bytes.iter().sum();
    match size {
        ShardSize::Count(count) => {
            let count = count as usize;
            ensure!(
                (1..=sample_bytes.len()).contains(&count),
                "cannot make {count} shards of {} images; give --shard-count between 1 and {0}",
                sample_bytes.len(),
            );
            ensure!(
                count <= MOST_SHARDS,
                "{count} shards are too many; give --shard-count up to {MOST_SHARDS}"
            );
            Ok(cut_evenly(sample_bytes, total, count))
        }
        ShardSize::Bytes(most) => {
            let room = most.saturating_sub(TRAILER_BYTES).max(1);
            let mut count = (total.div_ceil(room) as usize).clamp(1, sample_bytes.len().max(1));
            loop {
                ensure!(
                    count <= MOST_SHARDS,
                    "shards of {most} bytes would be more than {MOST_SHARDS}; give a larger --shard-bytes"
                );
                let cuts = cut_evenly(sample_bytes, total, count);
                if count >= sample_bytes.len() || all_fit(sample_bytes, &cuts, room) {
                    return Ok(cuts);
                }
                // A step that grows, so that the search ends soon however many shards there are.
                count = (count + 1 + count / 128).min(sample_bytes.len());
            }
        }
    }
}

/// Cuts after equal shares of the bytes; `count` is between 1 and the number of samples.
fn cut_evenly(sample_bytes: &[u64], total: u64, count: usize) -> Vec<usize> {
    let mut cuts = Vec::with_capacity(count.saturating_sub(1));
    let (mut next, mut before) = (0, 0_u64);
    for shard in 1..count {
        let share = (u128::from(total) * shard as u128 / count as u128) as u64;
        // At least one sample in this shard, and at least one left for each that follows.
        let last_start = sample_bytes.len() - (count - shard);
        loop {
            before += sample_bytes[next];
            next += 1;
            if next >= last_start || before + sample_bytes[next] / 2 > share {
                break;
            }
        }
        cuts.push(next);
    }
    cuts
}

fn all_fit(sample_bytes: &[u64], cuts: &[usize], room: u64) -> bool {
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([sample_bytes.len()]);
    starts.zip(ends).all(|(start, end)| {
        end - start == 1 || sample_bytes[start..end].iter().sum::<u64>() <= room
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shard_sizes(sample_bytes: &[u64], cuts: &[usize]) -> Vec<(usize, u64)> {
        let mut bounds = vec![0];
        bounds.extend(cuts);
        bounds.push(sample_bytes.len());
        bounds
            .windows(2)
            .map(|w| (w[1] - w[0], sample_bytes[w[0]..w[1]].iter().sum()))
            .collect()
    }

    proptest! {
        #[test]
        fn a_count_is_met_and_sizes_are_balanced(
            sample_bytes in prop::collection::vec(1_u64..2000, 1..300), count in 1_u32..50,
        ) {
            let count = count.min(sample_bytes.len() as u32);
            let cuts = cuts(&sample_bytes, ShardSize::Count(count)).unwrap();
            let sizes = shard_sizes(&sample_bytes, &cuts);
            prop_assert_eq!(sizes.len(), count as usize);
            prop_assert!(sizes.iter().all(|(samples, _)| *samples > 0));
            let mean = sample_bytes.iter().sum::<u64>() / u64::from(count);
            if mean > 2000 {
                prop_assert!(sizes.iter().all(|(_, bytes)| bytes.abs_diff(mean) <= 2000), "{:?}", sizes);
            }
        }

        #[test]
        fn a_size_is_kept_with_about_as_few_shards_as_possible(
            sample_bytes in prop::collection::vec(1_u64..2000, 1..300), room in 1_u64..50_000,
        ) {
            let cuts = cuts(&sample_bytes, ShardSize::Bytes(room + TRAILER_BYTES)).unwrap();
            let sizes = shard_sizes(&sample_bytes, &cuts);
            prop_assert!(sizes.iter().all(|&(samples, bytes)| samples == 1 || bytes <= room));
            if room > 10_000 {
                let least = sample_bytes.iter().sum::<u64>().div_ceil(room - 2000) as usize;
                prop_assert!(sizes.len() <= least.max(1) + 1, "{} shards where {least} do", sizes.len());
            }
        }
    }

    #[test]
    fn more_shards_than_images_are_refused() {
        let error = cuts(&[1, 1, 1, 1], ShardSize::Count(10))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("cannot make 10 shards of 4 images"),
            "{error}"
        );
        assert!(cuts(&[1], ShardSize::Count(0)).is_err());
    }
}
