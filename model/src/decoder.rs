//! MAE's decoder.

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;

use crate::init::Init;
use crate::{Block, MaeConfig, MaskBatch, sincos_positions};

/// Predicts the pixels of every patch from the encoded kept tokens (He et al. 2022, section 3).
#[derive(Module, Debug)]
pub struct Decoder {
    embed: Linear,
    mask_token: Param<Tensor<3>>,
    /// `[1, 1 + tokens, decoder_dim]`; never trained.
    pos_embed: Param<Tensor<3>>,
    blocks: Vec<Block>,
    norm: LayerNorm,
    pred: Linear,
}

impl Decoder {
    pub(crate) fn new(config: &MaeConfig, init: &Init<'_>) -> Self {
        let dim = config.decoder_dim;
        let positions = sincos_positions(dim, config.grid());
        Self {
            embed: init.child("embed").linear(config.dim, dim),
            mask_token: init.child("mask_token").normal([1, 1, dim], 0.02),
            pos_embed: init.constant(positions, [1, 1 + config.tokens(), dim]),
            blocks: (0..config.decoder_depth)
                .map(|index| {
                    Block::new(
                        dim,
                        config.decoder_heads,
                        &init.child("blocks").child(index),
                    )
                })
                .collect(),
            norm: init.child("norm").layer_norm(dim),
            pred: init.child("pred").linear(dim, config.patch_values()),
        }
    }

    /// Predicts every patch (MAE's `forward_decoder`).
    ///
    /// # Shapes
    /// - `encoded`: `[batch, 1 + mask.padded_keep(), dim]`
    /// - output: `[batch, tokens, patch² · 3]`
    pub fn forward_decoder(&self, encoded: Tensor<3>, mask: &MaskBatch) -> Tensor<3> {
        let x = self.embed.forward(encoded);
        let cls = x.clone().narrow(1, 0, 1);
        let kept = x.narrow(1, 1, mask.padded_keep());
        let all = mask.restore(kept, self.mask_token.val());
        let x = Tensor::cat(vec![cls, all], 1) + self.pos_embed.val();
        let x = self
            .blocks
            .iter()
            .fold(x, |x, block| block.forward(x, None));
        self.pred
            .forward(self.norm.forward(x))
            .narrow(1, 1, mask.tokens())
    }
}
