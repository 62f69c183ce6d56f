//! From salience and noise to the masks of an optimiser step.

use crate::{
    MaskRatio, RatioMode, TokenMask, fixed_n_keep, mask_scores, min_max_normalise, n_keep_of_ratio,
    salient_count,
};

/// How masks are chosen from salience and noise (DESIGN section 4).
#[derive(Debug, Clone, PartialEq)]
pub struct Masking {
    /// The base ratio.
    pub ratio: f64,
    /// How far the ratio adapts to either side of `ratio`.
    pub ratio_var: f64,
    /// How the ratio adapts.
    pub ratio_mode: RatioMode,
    /// A token is salient above this normalised salience.
    pub delta: f32,
    /// Weight of the noise in a score.
    pub noise: f32,
}

/// One sample's salience, from which its mask was made.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenSalience {
    /// s, as the model gave it, one value per token.
    pub values: Vec<f32>,
    /// ŝ in `[0, 1]`.
    pub normalised: Vec<f32>,
    /// y: the share of tokens whose ŝ exceeds delta.
    pub fraction: f32,
}

/// One sample's mask and what it was made from.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleMask {
    /// Which tokens are kept.
    pub mask: TokenMask,
    /// r: the share that was asked to be masked; `n_keep` is its rounding.
    pub mask_ratio: f32,
    /// The salience; none for a random mask.
    pub salience: Option<TokenSalience>,
}

impl Masking {
    /// Masks by noise alone at the base ratio (MAE): `uniforms[i]` holds one draw from `[0, 1)` per
    /// token of sample i, the lowest are kept.
    pub fn random(&self, uniforms: &[Vec<f32>]) -> Vec<SampleMask> {
        uniforms
            .iter()
            .map(|uniforms| SampleMask {
                mask: TokenMask::keep_lowest(uniforms, fixed_n_keep(uniforms.len(), self.ratio)),
                mask_ratio: self.ratio as f32,
                salience: None,
            })
            .collect()
    }

    /// Masks by salience (SBAM) for all samples of an optimiser step.
    ///
    /// `salience[i]` and `uniforms[i]` hold one value per token of sample i; samples of
    /// `loss_weights` 0 (padding) do not count in the mean of [`RatioMode::BatchMean`].
    ///
    /// # Panics
    /// If the three differ in length, or a salience is NaN.
    pub fn salient(
        &self,
        salience: Vec<Vec<f32>>,
        uniforms: &[Vec<f32>],
        loss_weights: &[f32],
    ) -> Vec<SampleMask> {
        assert!(
            salience.len() == uniforms.len() && salience.len() == loss_weights.len(),
            "one of each per sample"
        );
        let saliences: Vec<TokenSalience> = salience
            .into_iter()
            .map(|values| self.measure(values))
            .collect();
        let mean_fraction = mean_of_counted(&saliences, loss_weights);
        let adaptive = MaskRatio::new(self.ratio, self.ratio_var);
        saliences
            .into_iter()
            .zip(uniforms)
            .map(|(salience, uniforms)| {
                let tokens = uniforms.len();
                let mask_ratio = match self.ratio_mode {
                    RatioMode::PerSample => adaptive.at(salience.fraction),
                    RatioMode::BatchMean => adaptive.at(mean_fraction),
                    RatioMode::Fixed => self.ratio as f32,
                };
                let n_keep = match self.ratio_mode {
                    RatioMode::Fixed => fixed_n_keep(tokens, self.ratio),
                    RatioMode::PerSample | RatioMode::BatchMean => {
                        n_keep_of_ratio(tokens, mask_ratio)
                    }
                };
                let scores = mask_scores(&salience.normalised, uniforms, self.noise);
                SampleMask {
                    mask: TokenMask::keep_lowest(&scores, n_keep),
                    mask_ratio,
                    salience: Some(salience),
                }
            })
            .collect()
    }

    fn measure(&self, values: Vec<f32>) -> TokenSalience {
        let normalised = min_max_normalise(&values);
        let fraction = salient_count(&normalised, self.delta) as f32 / normalised.len() as f32;
        TokenSalience {
            values,
            normalised,
            fraction,
        }
    }
}

/// Mean salient fraction over samples that count, summed in f64 and rounded once.
fn mean_of_counted(saliences: &[TokenSalience], loss_weights: &[f32]) -> f32 {
    let counted: Vec<f64> = saliences
        .iter()
        .zip(loss_weights)
        .filter(|(_, weight)| **weight > 0.0)
        .map(|(salience, _)| f64::from(salience.fraction))
        .collect();
    if counted.is_empty() {
        0.0
    } else {
        (counted.iter().sum::<f64>() / counted.len() as f64) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masking(ratio_mode: RatioMode) -> Masking {
        Masking {
            ratio: 0.5,
            ratio_var: 0.25,
            ratio_mode,
            delta: 0.25,
            noise: 0.5,
        }
    }

    /// Sample 0 has one salient token of eight, sample 1 seven.
    fn salience() -> Vec<Vec<f32>> {
        vec![
            vec![0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0],
            vec![9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 0.0],
        ]
    }

    fn n_keep(mode: RatioMode, weights: [f32; 2]) -> Vec<usize> {
        let uniforms = vec![vec![0.0; 8]; 2];
        masking(mode)
            .salient(salience(), &uniforms, &weights)
            .iter()
            .map(|sample| sample.mask.n_keep())
            .collect()
    }

    #[test]
    fn ratios_follow_each_sample_the_mean_or_nothing() {
        // r = 0.25 + 0.5·y: 0.3125 and 0.6875; the mean of y is 0.5.
        assert_eq!(n_keep(RatioMode::PerSample, [1.0, 1.0]), [5, 2]);
        assert_eq!(n_keep(RatioMode::BatchMean, [1.0, 1.0]), [4, 4]);
        assert_eq!(n_keep(RatioMode::Fixed, [1.0, 1.0]), [4, 4]);
        // Padding does not count in the mean: y = 1/8.
        assert_eq!(n_keep(RatioMode::BatchMean, [1.0, 0.0]), [5, 5]);
    }

    #[test]
    fn without_noise_the_salient_tokens_are_masked() {
        let masks = Masking {
            noise: 0.0,
            ..masking(RatioMode::PerSample)
        }
        .salient(salience(), &[vec![0.9; 8], vec![0.1; 8]], &[1.0, 1.0]);
        assert!(masks[0].mask.masked()[3]);
        assert!(!masks[1].mask.masked()[7]);
    }

    #[test]
    fn random_masks_keep_the_lowest_draws_at_the_base_ratio() {
        let masks = masking(RatioMode::PerSample).random(&[vec![0.4, 0.1, 0.3, 0.2]]);
        assert_eq!(masks[0].mask.masked(), [true, false, true, false]);
        assert_eq!(masks[0].salience, None);
    }
}
