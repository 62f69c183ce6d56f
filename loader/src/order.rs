//! The order of samples in an epoch: a pure function, independent of threads, ranks and timing.

use std::ops::Range;

use sbam_augment::{DrawKey, Draws, Purpose};

use crate::error::{Error, Result};
use crate::manifest::{Manifest, limit};

/// The most streams: each holds a window of samples in memory, and a stream beyond a device per core is of no use.
pub const MAX_STREAMS: u64 = 1 << 16;

/// The order in which an epoch visits the samples.
///
/// Once per run, the shards are laid end to end in an order drawn from the seed and cut into `streams` ranges whose
/// lengths differ by at most one sample, the longer ones first; a cut may fall inside a shard. What belongs to a stream
/// never changes. Each epoch reorders a stream's pieces of shards, and shuffles the samples within windows of
/// `window_shards` pieces. Slot t of the epoch is place t div `streams` of stream t mod `streams`, and belongs to rank
/// t mod world.
///
/// Time to start anywhere is that of listing the streams' pieces and shuffling one window of each; memory is one window
/// of each stream of the rank.
#[derive(Debug, Clone)]
pub struct Order {
    seed: u64,
    window_shards: usize,
    samples: u64,
    streams: Vec<Vec<Piece>>,
}

/// Consecutive samples of one shard that belong to one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    first_sample: u64,
    samples: u64,
}

/// What a draw of order is about; takes the place of the view in the key, so that none shares numbers with another.
#[derive(Clone, Copy)]
enum Level {
    Shards = 0,
    Pieces = 1,
    Samples = 2,
}

fn draws(seed: u64, epoch: u64, level: Level, index: u64) -> Draws {
    Draws::new(DrawKey {
        seed,
        epoch,
        sample_index: index,
        view: level as u32,
        purpose: Purpose::Order,
    })
}

impl Order {
    /// The order that `seed` gives to the manifest's samples.
    pub fn new(manifest: &Manifest, seed: u64, streams: u32, window_shards: u32) -> Result<Self> {
        Self::from_counts(&manifest.samples_per_shard(), seed, streams, window_shards)
    }

    /// The order for shards of these numbers of samples.
    fn from_counts(counts: &[u64], seed: u64, streams: u32, window_shards: u32) -> Result<Self> {
        let positive = |setting, value| {
            if value > 0 {
                return Ok(());
            }
            Err(Error::Config {
                setting,
                problem: "is 0; set at least 1".to_owned(),
            })
        };
        positive("streams", streams)?;
        positive("window_shards", window_shards)?;
        limit("streams", streams as usize, MAX_STREAMS)?;

        let mut shards = Vec::with_capacity(counts.len());
        let mut samples = 0;
        for &count in counts {
            shards.push(Piece {
                first_sample: samples,
                samples: count,
            });
            samples += count;
        }
        draws(seed, 0, Level::Shards, 0).shuffle(&mut shards);
        Ok(Self {
            seed,
            window_shards: window_shards as usize,
            samples,
            streams: cut(&shards, samples, u64::from(streams)),
        })
    }

    /// The number of samples, and of slots in an epoch.
    pub fn len(&self) -> u64 {
        self.samples
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.samples == 0
    }

    /// The slots from `start_slot` on that belong to `rank`, each with the index of its sample.
    ///
    /// `rank` is below `world`, and `world` divides the number of streams.
    pub fn epoch(
        &self,
        epoch: u64,
        start_slot: u64,
        rank: u32,
        world: u32,
    ) -> impl Iterator<Item = (u64, u64)> + use<'_> {
        let (rank, world) = (u64::from(rank), u64::from(world));
        let streams = self.streams.len() as u64;
        // The first slot of the rank that is not before the start.
        let first = start_slot + (rank + world - start_slot % world) % world;
        let mut cursors: Vec<Option<Cursor>> = self.streams.iter().map(|_| None).collect();
        (first..self.samples)
            .step_by(world as usize)
            .map(move |slot| {
                let (stream, place) = ((slot % streams) as usize, slot / streams);
                let cursor =
                    cursors[stream].get_or_insert_with(|| Cursor::new(self, epoch, stream));
                (slot, cursor.sample_at(self, place))
            })
    }
}

/// Cuts the line of shards into ranges whose lengths differ by at most one, the longer ones first.
fn cut(line: &[Piece], samples: u64, streams: u64) -> Vec<Vec<Piece>> {
    let (length, longer) = (samples / streams, samples % streams);
    let mut shards = line.iter().copied();
    let mut rest = Piece {
        first_sample: 0,
        samples: 0,
    };
    (0..streams)
        .map(|stream| {
            let mut wanted = length + u64::from(stream < longer);
            let mut pieces = Vec::new();
            while wanted > 0 {
                if rest.samples == 0 {
                    let Some(next) = shards.next() else { break };
                    rest = next;
                    continue;
                }
                let taken = rest.samples.min(wanted);
                pieces.push(Piece {
                    first_sample: rest.first_sample,
                    samples: taken,
                });
                rest.first_sample += taken;
                rest.samples -= taken;
                wanted -= taken;
            }
            pieces
        })
        .collect()
}

/// A place in one stream's epoch: the pieces in the epoch's order and the window that is being read.
struct Cursor {
    epoch: u64,
    stream: u64,
    pieces: Vec<Piece>,
    /// Which places of the stream the window holds.
    places: Range<u64>,
    /// The window's samples in the epoch's order.
    window: Vec<u64>,
    /// The number of the next window, and the place it starts at.
    next_window: usize,
}

impl Cursor {
    fn new(order: &Order, epoch: u64, stream: usize) -> Self {
        let mut pieces = order.streams[stream].clone();
        draws(order.seed, epoch, Level::Pieces, stream as u64).shuffle(&mut pieces);
        Self {
            epoch,
            stream: stream as u64,
            pieces,
            places: 0..0,
            window: Vec::new(),
            next_window: 0,
        }
    }

    /// The sample at `place`, which never decreases from call to call and lies inside the stream.
    fn sample_at(&mut self, order: &Order, place: u64) -> u64 {
        while place >= self.places.end {
            let from = self.next_window * order.window_shards;
            let to = (from + order.window_shards).min(self.pieces.len());
            let pieces = &self.pieces[from..to];
            let samples: u64 = pieces.iter().map(|piece| piece.samples).sum();
            self.places = self.places.end..self.places.end + samples;
            // Windows before the wanted one are passed by without being listed or shuffled.
            if place < self.places.end {
                self.window.clear();
                self.window.extend(
                    pieces
                        .iter()
                        .flat_map(|piece| piece.first_sample..piece.first_sample + piece.samples),
                );
                let index = (self.stream << 32) | self.next_window as u64;
                draws(order.seed, self.epoch, Level::Samples, index).shuffle(&mut self.window);
            }
            self.next_window += 1;
        }
        self.window[(place - self.places.start) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn all(order: &Order, epoch: u64) -> Vec<u64> {
        order
            .epoch(epoch, 0, 0, 1)
            .enumerate()
            .map(|(at, (slot, sample))| {
                assert_eq!(at as u64, slot);
                sample
            })
            .collect()
    }

    prop_compose! {
        fn cases()(
            counts in prop::collection::vec(0_u64..60, 0..12),
            seed: u64,
            streams in 1_u32..17,
            window_shards in 1_u32..6,
        ) -> (Order, Vec<u64>) {
            (Order::from_counts(&counts, seed, streams, window_shards).unwrap(), counts)
        }
    }

    proptest! {
        #[test]
        fn every_sample_comes_exactly_once((order, counts) in cases(), epoch in 0_u64..1000) {
            let mut seen = all(&order, epoch);
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..counts.iter().sum()).collect::<Vec<_>>());
        }

        #[test]
        fn stream_lengths_differ_by_at_most_one_and_longer_ones_come_first((order, _) in cases()) {
            let lengths: Vec<u64> =
                order.streams.iter().map(|pieces| pieces.iter().map(|p| p.samples).sum()).collect();
            prop_assert!(lengths.windows(2).all(|pair| pair[0] >= pair[1]), "{lengths:?}");
            prop_assert!(lengths[0] - lengths[lengths.len() - 1] <= 1, "{lengths:?}");
        }

        #[test]
        fn starting_anywhere_equals_skipping((order, _) in cases(), epoch in 0_u64..9, share in 0.0..1.1_f64) {
            let start = (order.len() as f64 * share) as usize;
            let skipped: Vec<_> = order.epoch(epoch, 0, 0, 1).skip(start).collect();
            let started: Vec<_> = order.epoch(epoch, start as u64, 0, 1).collect();
            prop_assert_eq!(skipped, started);
        }

        #[test]
        fn ranks_share_out_the_same_slots(
            (order, _) in cases(), epoch in 0_u64..9, choice: prop::sample::Index, start in 0_u64..200,
        ) {
            let streams = order.streams.len() as u32;
            let worlds: Vec<u32> = (1..=streams).filter(|&world| streams.is_multiple_of(world)).collect();
            let world = *choice.get(&worlds);
            let mut shared: Vec<_> = Vec::new();
            for rank in 0..world {
                let own: Vec<_> = order.epoch(epoch, start, rank, world).collect();
                prop_assert!(own.iter().all(|(slot, _)| slot % u64::from(world) == u64::from(rank)));
                shared.extend(own);
            }
            shared.sort_unstable();
            prop_assert_eq!(shared, order.epoch(epoch, start, 0, 1).collect::<Vec<_>>());
        }

        #[test]
        fn a_sample_stays_in_its_stream((order, _) in cases(), epoch in 1_u64..99) {
            let streams = order.streams.len();
            let (first, other) = (all(&order, 0), all(&order, epoch));
            for stream in 0..streams {
                let members = |order: &[u64]| -> HashSet<u64> {
                    order.iter().skip(stream).step_by(streams).copied().collect()
                };
                prop_assert_eq!(members(&first), members(&other));
            }
        }
    }

    #[test]
    fn every_epoch_and_seed_has_its_own_order() {
        let counts = [40, 40, 40, 40, 40, 40];
        let mut seen = HashSet::new();
        for seed in 0..4 {
            let order = Order::from_counts(&counts, seed, 2, 2).unwrap();
            for epoch in 0..10 {
                assert!(seen.insert(all(&order, epoch)));
            }
        }
    }

    #[test]
    fn every_epoch_reorders_shards_and_the_samples_in_them() {
        // Windows of one shard: its five samples stay together, and the shards' sequence shows.
        let order = Order::from_counts(&[5; 12], 3, 1, 1).unwrap();
        let mut sequences = HashSet::new();
        let mut insides = HashSet::new();
        for epoch in 0..6 {
            let seen = all(&order, epoch);
            for window in seen.chunks(5) {
                assert!(window.iter().all(|sample| sample / 5 == window[0] / 5));
            }
            sequences.insert(seen.iter().step_by(5).map(|s| s / 5).collect::<Vec<_>>());
            let first_shard = seen.iter().filter(|&&sample| sample < 5);
            insides.insert(first_shard.copied().collect::<Vec<_>>());
        }
        assert_eq!(sequences.len(), 6);
        // Six draws from the 120 orders of five samples may meet, but seldom twice.
        assert!(insides.len() >= 4, "{insides:?}");
    }

    #[test]
    fn a_window_of_all_shards_mixes_the_whole_stream() {
        let order = Order::from_counts(&[1000; 10], 3, 1, 10).unwrap();
        // Of the first thousand samples, about a hundred come from each shard: five standard deviations are 45.
        let mut from_shard = [0_i32; 10];
        for (_, sample) in order.epoch(0, 0, 0, 1).take(1000) {
            from_shard[(sample / 1000) as usize] += 1;
        }
        assert!(
            from_shard.iter().all(|count| (count - 100).abs() < 45),
            "{from_shard:?}"
        );
    }

    #[test]
    fn works_with_fewer_samples_than_streams() {
        let order = Order::from_counts(&[2, 1], 0, 8, 4).unwrap();
        let mut seen = all(&order, 5);
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2]);
    }

    #[test]
    fn refuses_no_streams_and_no_window() {
        assert!(Order::from_counts(&[5], 0, 0, 1).is_err());
        assert!(Order::from_counts(&[5], 0, 1, 0).is_err());
        assert!(Order::from_counts(&[5], 0, 1 << 20, 1).is_err());
    }
}
