//! What a sample's salience looks like, in a few numbers.

use crate::TokenSalience;

/// Statistics of one sample's salience, computed in f64.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SalienceStats {
    /// Smallest s.
    pub min: f32,
    /// Largest s.
    pub max: f32,
    /// Mean of s.
    pub mean: f32,
    /// Population standard deviation of s.
    pub std: f32,
    /// Shannon entropy of s / Σ s over ln L: 1 is flat, 0 is all on one token.
    pub entropy: f32,
    /// Gini coefficient of s: 0 is flat, towards 1 all on one token.
    pub gini: f32,
    /// 10th percentile of ŝ (linear interpolation, as NumPy's default).
    pub q10: f32,
    /// Median of ŝ.
    pub q50: f32,
    /// 90th percentile of ŝ.
    pub q90: f32,
}

impl SalienceStats {
    /// The statistics of a sample.
    pub fn of(salience: &TokenSalience) -> Self {
        let mut values: Vec<f64> = salience
            .values
            .iter()
            .map(|value| f64::from(*value))
            .collect();
        let count = values.len() as f64;
        let sum: f64 = values.iter().sum();
        let mean = sum / count;
        let variance = values
            .iter()
            .map(|value| (value - mean).powi(2))
            .sum::<f64>()
            / count;
        let entropy = values
            .iter()
            .map(|value| value / sum)
            .filter(|share| *share > 0.0)
            .map(|share| -share * share.ln())
            .sum::<f64>()
            / count.ln();
        values.sort_by(f64::total_cmp);
        let weighted: f64 = values
            .iter()
            .zip(1..)
            .map(|(value, rank)| f64::from(rank) * value)
            .sum();
        let gini = 2.0 * weighted / (count * sum) - (count + 1.0) / count;
        let mut normalised = salience.normalised.clone();
        normalised.sort_by(f32::total_cmp);
        let quantile = |q: f64| {
            let place = q * (normalised.len() - 1) as f64;
            let (low, high) = (place.floor() as usize, place.ceil() as usize);
            let (low_value, high_value) = (f64::from(normalised[low]), f64::from(normalised[high]));
            (low_value + (high_value - low_value) * place.fract()) as f32
        };
        Self {
            min: values[0] as f32,
            max: values[values.len() - 1] as f32,
            mean: mean as f32,
            std: variance.sqrt() as f32,
            entropy: entropy.clamp(0.0, 1.0) as f32,
            gini: gini.clamp(0.0, 1.0) as f32,
            q10: quantile(0.1),
            q50: quantile(0.5),
            q90: quantile(0.9),
        }
    }
}

/// The share of a sample's salience that its mask hides: Σ of s over masked tokens / Σ s.
pub fn masked_salience_share(salience: &TokenSalience, masked: &[bool]) -> f32 {
    let total: f64 = salience.values.iter().map(|value| f64::from(*value)).sum();
    let hidden: f64 = salience
        .values
        .iter()
        .zip(masked)
        .filter(|(_, masked)| **masked)
        .map(|(value, _)| f64::from(*value))
        .sum();
    (hidden / total) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f32]) -> SalienceStats {
        let normalised = crate::min_max_normalise(values);
        SalienceStats::of(&TokenSalience {
            values: values.to_vec(),
            normalised,
            fraction: 0.0,
        })
    }

    #[test]
    fn a_flat_salience_has_full_entropy_and_no_inequality() {
        let stats = of(&[1.0; 64]);
        assert!((stats.entropy - 1.0).abs() < 1e-6 && stats.gini.abs() < 1e-6 && stats.std == 0.0);
    }

    #[test]
    fn all_on_one_token_has_no_entropy_and_full_inequality() {
        let mut values = [0.0; 64];
        values[17] = 64.0;
        let stats = of(&values);
        assert!(stats.entropy.abs() < 1e-6, "{stats:?}");
        assert!((stats.gini - 63.0 / 64.0).abs() < 1e-6, "{stats:?}");
    }

    #[test]
    fn quantiles_interpolate() {
        let stats = of(&[0.0, 1.0, 2.0, 3.0, 4.0]);
        assert!(
            (stats.q10 - 0.1).abs() < 1e-6
                && (stats.q50 - 0.5).abs() < 1e-6
                && (stats.q90 - 0.9).abs() < 1e-6
        );
    }
}
