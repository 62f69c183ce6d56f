//! Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
//!
//! A counter-based generator has no state worth saving: the draws about a sample follow from its key alone.

/// What a draw is for. Draws for different purposes never share numbers.
///
/// The discriminants are part of the format of a run: never renumber them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// The crop box of a view.
    Crop = 0,
    /// Whether a view is mirrored.
    Flip = 1,
    /// The noise added to a token's salience, or a random mask.
    Mask = 2,
    /// The order of shards and samples.
    Order = 3,
    /// The choice of samples shown in pictures.
    Picture = 4,
    /// The generated, built-in data set.
    BuiltIn = 5,
    /// The order and factors of a colour change.
    Colour = 6,
}

/// One more than the largest view index: view and purpose share one word of the counter.
pub const MAX_VIEWS: u32 = 1 << 24;

/// What identifies a sequence of draws. Equal keys give equal sequences, other keys give unrelated ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DrawKey {
    /// The run's seed.
    pub seed: u64,
    /// The epoch, from 0.
    pub epoch: u64,
    /// The sample's index in its manifest (or whatever `purpose` numbers).
    pub sample_index: u64,
    /// The view of the sample, from 0, below [`MAX_VIEWS`].
    pub view: u32,
    /// What the draws are for.
    pub purpose: Purpose,
}

/// A sequence of uniform draws that belongs to one [`DrawKey`].
///
/// It holds 2^34 numbers of 32 bits before it repeats, far more than a sample asks for.
///
/// ```
/// use sbam_augment::{DrawKey, Draws, Purpose};
///
/// let key = DrawKey { seed: 7, epoch: 0, sample_index: 42, view: 0, purpose: Purpose::Mask };
/// let first: Vec<f32> = { let mut d = Draws::new(key); (0..4).map(|_| d.uniform_f32()).collect() };
/// let again: Vec<f32> = { let mut d = Draws::new(key); (0..4).map(|_| d.uniform_f32()).collect() };
/// assert_eq!(first, again);
/// ```
#[derive(Debug, Clone)]
pub struct Draws {
    key: [u32; 2],
    /// `[block, purpose and view, sample low, sample high]`
    counter: [u32; 4],
    /// The current block's output.
    block: [u32; 4],
    /// How many words of `block` are used up; 4 asks for the next block.
    used: usize,
}

impl Draws {
    /// The sequence that belongs to `key`, from its start.
    ///
    /// # Panics
    /// If `key.view` is not below [`MAX_VIEWS`].
    pub fn new(key: DrawKey) -> Self {
        assert!(
            key.view < MAX_VIEWS,
            "a view index is at most {}",
            MAX_VIEWS - 1
        );
        // Both steps are bijections, so two epochs of a seed, or two seeds at an epoch, never share a key.
        let mixed = mix64(mix64(key.seed) ^ key.epoch);
        Self {
            key: [mixed as u32, (mixed >> 32) as u32],
            counter: [
                0,
                u32::from(key.purpose as u8) | (key.view << 8),
                key.sample_index as u32,
                (key.sample_index >> 32) as u32,
            ],
            block: [0; 4],
            used: 4,
        }
    }

    /// The next 32 uniform bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox4x32_10(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        let word = self.block[self.used];
        self.used += 1;
        word
    }

    /// The next 64 uniform bits: two words, the lower one first.
    pub fn next_u64(&mut self) -> u64 {
        let low = u64::from(self.next_u32());
        low | (u64::from(self.next_u32()) << 32)
    }

    /// Uniform in [0, 1), a multiple of 2^-24.
    pub fn uniform_f32(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    pub fn uniform_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Uniform from `low` up to `high`.
    pub fn uniform_in(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform_f64()
    }

    /// Uniform over `0..n`, without bias (Lemire, "Fast random integer generation in an interval", 2019).
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "there is no number below 0");
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            // The lower half tells whether this draw is one of the 2^64 mod n that would favour small numbers.
            if product as u64 >= n.wrapping_neg() % n {
                return (product >> 64) as u64;
            }
        }
    }

    /// Puts `items` into a uniformly drawn order (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// The finaliser of `SplitMix64`, a bijection on 64 bits that spreads every input bit over the output.
fn mix64(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One block of Philox4x32 with ten rounds, as Random123 computes it.
#[must_use]
pub fn philox4x32_10(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    // Multipliers and Weyl increments of the paper, section 4.2.
    const MULTIPLIER: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
    const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        let a = u64::from(MULTIPLIER[0]) * u64::from(counter[0]);
        let b = u64::from(MULTIPLIER[1]) * u64::from(counter[2]);
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn key(seed: u64, epoch: u64, sample_index: u64, view: u32, purpose: Purpose) -> DrawKey {
        DrawKey {
            seed,
            epoch,
            sample_index,
            view,
            purpose,
        }
    }

    /// Random123 1.14, `tests/kat_vectors`, lines `philox4x32 10`.
    #[test]
    fn gives_the_known_answers_of_random123() {
        assert_eq!(
            philox4x32_10([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox4x32_10([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32_10(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn every_part_of_the_key_changes_the_draws() {
        let mut seen = HashSet::new();
        for seed in 0..3 {
            for epoch in 0..3 {
                for sample in [0, 1, 1 << 32, u64::MAX] {
                    for view in [0, 1, MAX_VIEWS - 1] {
                        for purpose in [Purpose::Crop, Purpose::Flip, Purpose::Mask] {
                            let mut draws = Draws::new(key(seed, epoch, sample, view, purpose));
                            assert!(seen.insert(draws.next_u64()));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn below_is_uniform() {
        let mut draws = Draws::new(key(1, 2, 3, 0, Purpose::BuiltIn));
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[draws.below(7) as usize] += 1;
        }
        // Five standard deviations of a binomial with n = 70,000 and p = 1/7.
        for count in counts {
            assert!((i64::from(count) - 10_000).abs() < 463, "{counts:?}");
        }
    }

    proptest! {
        #[test]
        fn draws_stay_in_their_ranges(seed: u64, sample: u64, n in 1..=u64::MAX) {
            let mut draws = Draws::new(key(seed, 0, sample, 0, Purpose::Crop));
            for _ in 0..50 {
                prop_assert!((0.0..1.0).contains(&draws.uniform_f32()));
                prop_assert!((0.0..1.0).contains(&draws.uniform_f64()));
                prop_assert!((-2.0..=3.0).contains(&draws.uniform_in(-2.0, 3.0)));
                prop_assert!(draws.below(n) < n);
            }
        }

        #[test]
        fn shuffle_keeps_every_item(seed: u64, n in 0_usize..200) {
            let mut items: Vec<usize> = (0..n).collect();
            Draws::new(key(seed, 0, 0, 0, Purpose::Order)).shuffle(&mut items);
            items.sort_unstable();
            prop_assert_eq!(items, (0..n).collect::<Vec<_>>());
        }
    }
}
