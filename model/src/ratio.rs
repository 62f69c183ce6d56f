//! The adaptive masking ratio (AMR), and how many tokens a ratio keeps.
//!
//! The rules of precision are those of DESIGN section 4, so that counts agree with any
//! implementation that follows them: `base − var` and `2·var` are formed in f64 and rounded to f32;
//! the ratio and `n_keep = trunc(L·(1 − r))` are f32 arithmetic.

use serde::{Deserialize, Serialize};

/// How the ratio adapts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RatioMode {
    /// Each sample has the ratio of its own salient fraction.
    PerSample,
    /// All samples of an optimiser step share the ratio of their mean salient fraction.
    BatchMean,
    /// The base ratio, always.
    Fixed,
}

/// `r = base − var + 2·var·y` (Choi et al., ECCV 2024, section 3.3), with y the salient fraction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaskRatio {
    low: f32,
    span: f32,
}

impl MaskRatio {
    /// The line from `base − var` at y = 0 to `base + var` at y = 1.
    pub fn new(base: f64, var: f64) -> Self {
        Self {
            low: (base - var) as f32,
            span: (2.0 * var) as f32,
        }
    }

    /// The ratio at a salient fraction.
    pub fn at(self, salient_fraction: f32) -> f32 {
        self.low + self.span * salient_fraction
    }
}

/// How many normalised saliences exceed `delta`.
pub fn salient_count(normalised_salience: &[f32], delta: f32) -> usize {
    normalised_salience
        .iter()
        .filter(|salience| **salience > delta)
        .count()
}

/// `floor(L·(1 − r))` in f32, at least 1 and at most L − 1.
pub fn n_keep_of_ratio(tokens: usize, ratio: f32) -> usize {
    let keep = (tokens as f32 * (1.0 - ratio)).trunc();
    // A negative or NaN product converts to 0.
    (keep as usize).clamp(1, tokens - 1)
}

/// MAE's f64 `int(L·(1 − ratio))`, at least 1 and at most L − 1: for `random` masks and `fixed` ratios.
pub fn fixed_n_keep(tokens: usize, ratio: f64) -> usize {
    ((tokens as f64 * (1.0 - ratio)) as usize).clamp(1, tokens - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_ratio_stays_within_its_bounds_and_rises_with_salience(
            base in 0.3f64..0.8, var in 0.0f64..0.2, a in 0usize..=196, b in 0usize..=196,
        ) {
            let ratio = MaskRatio::new(base, var);
            let at = |count: usize| ratio.at(count as f32 / 196.0);
            prop_assert!(at(a) >= (base - var) as f32 - 1e-6 && at(a) <= (base + var) as f32 + 1e-6);
            if a <= b {
                prop_assert!(at(a) <= at(b));
                prop_assert!(n_keep_of_ratio(196, at(a)) >= n_keep_of_ratio(196, at(b)));
            }
        }

        #[test]
        fn at_least_one_token_is_kept_and_one_masked(tokens in 2usize..1000, ratio in -0.5f32..1.5) {
            let keep = n_keep_of_ratio(tokens, ratio);
            prop_assert!(keep >= 1 && keep < tokens);
            let keep = fixed_n_keep(tokens, f64::from(ratio));
            prop_assert!(keep >= 1 && keep < tokens);
        }
    }

    #[test]
    fn known_counts() {
        assert_eq!(fixed_n_keep(196, 0.75), 49);
        assert_eq!(n_keep_of_ratio(196, 0.75), 49);
        // In f64 20·(1 − 0.9) is 1.9999…, in f32 it is 2.0000005: the precision is part of the definition.
        assert_eq!(fixed_n_keep(20, 0.9), 1);
        assert_eq!(n_keep_of_ratio(20, 0.9), 2);
        assert!((MaskRatio::new(0.75, 0.1).at(0.5) - 0.75).abs() < 1e-6);
        assert_eq!(salient_count(&[0.0, 0.25, 0.26, 1.0], 0.25), 2);
    }
}
