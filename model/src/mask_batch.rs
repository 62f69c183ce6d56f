//! The masks of one micro-batch as tensors: samples of different lengths side by side.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use crate::TokenMask;
use crate::lengths::padded_length;

/// The masks of a micro-batch, ready to gather by.
///
/// Kept tokens come first; a sample that keeps fewer than the longest one is padded with tokens
/// that it masks. Padding is blocked as a key in every encoder block and never reaches the decoder,
/// so that a sample's result does not depend on what it is batched with.
#[derive(Debug, Clone)]
pub struct MaskBatch {
    batch: usize,
    tokens: usize,
    padded_keep: usize,
    /// `[batch, padded_keep]`: which token stands in each slot.
    ids_kept: Tensor<2, Int>,
    /// `[batch, tokens]`: for every token its slot in `kept ‖ mask tokens`, each slot at most once.
    ids_restore: Tensor<2, Int>,
    /// Number of mask tokens that `ids_restore` can name.
    mask_slots: usize,
    /// `[batch, 1, 1, 1 + padded_keep]`, the class token first; none where nothing is padded.
    blocked_keys: Option<Tensor<4, Bool>>,
    /// `[batch, tokens]`: 1 = masked.
    mask: Tensor<2>,
}

impl MaskBatch {
    /// Builds the tensors of a micro-batch, its kept length rounded up to `length_multiple`.
    ///
    /// # Panics
    /// If `masks` is empty or their token counts differ.
    pub fn new(masks: &[&TokenMask], length_multiple: usize, device: &Device) -> Self {
        let batch = masks.len();
        let tokens = masks.first().expect("a micro-batch has a sample").tokens();
        assert!(
            masks.iter().all(|mask| mask.tokens() == tokens),
            "all samples have the same grid"
        );
        let longest = masks.iter().map(|mask| mask.n_keep()).max().unwrap_or(1);
        let shortest = masks.iter().map(|mask| mask.n_keep()).min().unwrap_or(1);
        let padded_keep = padded_length(longest, length_multiple, tokens);
        let mask_slots = tokens - shortest;

        let mut ids_kept = Vec::with_capacity(batch * padded_keep);
        let mut ids_restore = Vec::with_capacity(batch * tokens);
        let mut masked = Vec::with_capacity(batch * tokens);
        let mut blocked = Vec::with_capacity(batch * (1 + padded_keep));
        for mask in masks {
            ids_kept.extend(
                mask.ids_shuffle()[..padded_keep]
                    .iter()
                    .map(|id| *id as i32),
            );
            for rank in mask.ids_restore().into_iter().map(|rank| rank as usize) {
                let is_masked = rank >= mask.n_keep();
                let slot = if is_masked {
                    padded_keep + rank - mask.n_keep()
                } else {
                    rank
                };
                ids_restore.push(slot as i32);
                masked.push(f32::from(u8::from(is_masked)));
            }
            blocked.extend((0..=padded_keep).map(|slot| slot > mask.n_keep()));
        }
        let blocked_keys = blocked.contains(&true).then(|| {
            Tensor::from_data(
                TensorData::new(blocked, [batch, 1, 1, 1 + padded_keep]),
                device,
            )
        });
        Self {
            batch,
            tokens,
            padded_keep,
            ids_kept: Tensor::from_data(TensorData::new(ids_kept, [batch, padded_keep]), device),
            ids_restore: Tensor::from_data(TensorData::new(ids_restore, [batch, tokens]), device),
            mask_slots,
            blocked_keys,
            mask: Tensor::from_data(TensorData::new(masked, [batch, tokens]), device),
        }
    }

    /// Number of samples.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Number of tokens L.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Kept length after padding.
    pub fn padded_keep(&self) -> usize {
        self.padded_keep
    }

    /// `[batch, 1, 1, 1 + padded_keep]`, true where a key is padding; none where nothing is padded.
    pub fn blocked_keys(&self) -> Option<&Tensor<4, Bool>> {
        self.blocked_keys.as_ref()
    }

    /// `[batch, tokens]`, 1 where a token is masked.
    pub fn mask(&self) -> Tensor<2> {
        self.mask.clone()
    }

    /// The rows of `x` that each sample keeps, padding behind them.
    ///
    /// # Shapes
    /// - `x`: `[batch, tokens, dim]`
    /// - output: `[batch, padded_keep, dim]`
    pub fn gather_kept(&self, x: Tensor<3>) -> Tensor<3> {
        let dim = x.dims()[2];
        x.gather(1, spread(&self.ids_kept, dim))
    }

    /// Puts kept tokens back in their places and a mask token in every other.
    ///
    /// # Shapes
    /// - `kept`: `[batch, padded_keep, dim]`
    /// - `mask_token`: `[1, 1, dim]`
    /// - output: `[batch, tokens, dim]`
    pub fn restore(&self, kept: Tensor<3>, mask_token: Tensor<3>) -> Tensor<3> {
        let dim = kept.dims()[2];
        let mask_tokens = mask_token.expand([self.batch, self.mask_slots, dim]);
        Tensor::cat(vec![kept, mask_tokens], 1).gather(1, spread(&self.ids_restore, dim))
    }
}

/// Repeats indices `[batch, n]` along a new last dimension: `[batch, n, dim]`.
fn spread(ids: &Tensor<2, Int>, dim: usize) -> Tensor<3, Int> {
    let [batch, count] = ids.dims();
    ids.clone()
        .unsqueeze_dim::<3>(2)
        .expand([batch, count, dim])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restore_puts_every_kept_token_back_whatever_its_companions_keep() {
        let device = Device::flex();
        let scores = [[0.9, 0.1, 0.5, 0.3, 0.7], [0.2, 0.8, 0.4, 0.6, 0.0]];
        let masks = [
            TokenMask::keep_lowest(&scores[0], 2),
            TokenMask::keep_lowest(&scores[1], 4),
        ];
        let batch = MaskBatch::new(&[&masks[0], &masks[1]], 1, &device);
        assert_eq!(batch.padded_keep(), 4);
        let values: Vec<f32> = (1..=10u8).map(f32::from).collect();
        let x = Tensor::<3>::from_data(TensorData::new(values.clone(), [2, 5, 1]), &device);
        let token = Tensor::<3>::from_data(TensorData::new(vec![-1.0f32], [1, 1, 1]), &device);
        let restored: Vec<f32> = batch
            .restore(batch.gather_kept(x), token)
            .into_data()
            .try_into_vec()
            .expect("f32");
        let expected: Vec<f32> = masks
            .iter()
            .flat_map(TokenMask::masked)
            .zip(values)
            .map(|(masked, value)| if masked { -1.0 } else { value })
            .collect();
        assert_eq!(restored, expected);
    }
}
