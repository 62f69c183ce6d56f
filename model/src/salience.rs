//! Salience: how much attention each token receives (DESIGN section 4; Choi et al., ECCV 2024).

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Vit};

/// Where the attention that salience is read from comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SalienceSource {
    /// `softmax(X Xᵀ)` of patch embedding plus position, unscaled, as the authors' code.
    Embedding,
    /// Head-mean attention of an encoder block on the whole image.
    Encoder,
}

/// Which encoder block's attention is read: `"last"` or a number from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SalienceLayer {
    /// A block by its number, 1 being the first.
    Block(usize),
    /// `"last"`.
    Named(NamedLayer),
}

/// The names of [`SalienceLayer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamedLayer {
    /// The encoder's last block.
    Last,
}

impl SalienceLayer {
    /// The encoder's last block.
    pub const LAST: Self = Self::Named(NamedLayer::Last);

    /// The block's number, 1 being the first.
    ///
    /// # Errors
    /// If there is no such block in an encoder of `depth` blocks.
    pub fn block(self, depth: usize) -> Result<usize> {
        match self {
            Self::Named(NamedLayer::Last) => Ok(depth),
            Self::Block(number) if (1..=depth).contains(&number) => Ok(number),
            Self::Block(number) => Err(Error::Config {
                key: "layer",
                value: number.to_string(),
                problem: format!("the encoder has blocks 1 to {depth}; or write \"last\""),
            }),
        }
    }
}

impl Vit {
    /// The salience of every token: the sum over rows of the attention matrix, `s_j = Σ_i A_ij`.
    ///
    /// Meant for an encoder without autodiff (`module.valid()`): salience carries no gradient.
    ///
    /// # Shapes
    /// - `patches`: `[batch, tokens, patch² · 3]`
    /// - output: `[batch, tokens]`
    ///
    /// # Panics
    /// If `block` (used by [`SalienceSource::Encoder`]) is not a block of this encoder.
    pub fn salience(&self, patches: Tensor<3>, source: SalienceSource, block: usize) -> Tensor<2> {
        let attention = match source {
            SalienceSource::Embedding => {
                let x = self.embed(patches);
                softmax(x.clone().matmul(x.swap_dims(1, 2)), 2)
            }
            SalienceSource::Encoder => self.patch_attention(patches, block),
        };
        attention.sum_dim(1).squeeze_dim(1)
    }
}

/// `ŝ = (s − min s) / (max s − min s)`; all zeros where max = min.
pub fn min_max_normalise(salience: &[f32]) -> Vec<f32> {
    let low = salience.iter().copied().fold(f32::INFINITY, f32::min);
    let high = salience.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let span = high - low;
    if span > 0.0 {
        salience.iter().map(|value| (value - low) / span).collect()
    } else {
        vec![0.0; salience.len()]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn normalised_salience_spans_zero_to_one(values in prop::collection::vec(0.0f32..300.0, 2..200)) {
            let normalised = min_max_normalise(&values);
            prop_assert!(normalised.iter().all(|value| (0.0..=1.0).contains(value)));
            if values.iter().any(|value| *value != values[0]) {
                prop_assert!(normalised.contains(&0.0) && normalised.contains(&1.0));
            }
        }
    }

    #[test]
    fn a_flat_salience_is_all_zero() {
        assert_eq!(min_max_normalise(&[3.5; 4]), [0.0; 4]);
    }

    #[test]
    fn layers_are_counted_from_one() {
        assert_eq!(SalienceLayer::LAST.block(6).expect("last"), 6);
        assert_eq!(SalienceLayer::Block(1).block(6).expect("first"), 1);
        assert!(SalienceLayer::Block(0).block(6).is_err());
        assert!(SalienceLayer::Block(7).block(6).is_err());
    }
}
