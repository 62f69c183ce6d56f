//! The Vision Transformer, without the MAE around it.

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::Tensor;

use crate::init::Init;
use crate::{Block, MaeConfig, MaskBatch, PatchEmbed, sincos_positions};

/// A Vision Transformer (Dosovitskiy et al. 2021) with fixed 2-D sine-cosine positions and a class
/// token, as MAE's encoder.
#[derive(Module, Debug)]
pub struct Vit {
    patch_embed: PatchEmbed,
    cls_token: Param<Tensor<3>>,
    /// `[1, 1 + tokens, dim]`, the class token's row first; never trained.
    pos_embed: Param<Tensor<3>>,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

impl Vit {
    pub(crate) fn new(config: &MaeConfig, init: &Init<'_>) -> Self {
        let positions = sincos_positions(config.dim, config.grid());
        Self {
            patch_embed: PatchEmbed::new(config, &init.child("patch_embed")),
            cls_token: init.child("cls_token").normal([1, 1, config.dim], 0.02),
            pos_embed: init.constant(positions, [1, 1 + config.tokens(), config.dim]),
            blocks: (0..config.depth)
                .map(|index| {
                    Block::new(config.dim, config.heads, &init.child("blocks").child(index))
                })
                .collect(),
            norm: init.child("norm").layer_norm(config.dim),
        }
    }

    /// Number of blocks.
    pub fn depth(&self) -> usize {
        self.blocks.len()
    }

    /// Patch embedding plus position, the class token left out.
    ///
    /// # Shapes
    /// - `patches`: `[batch, tokens, patch² · 3]`
    /// - output: `[batch, tokens, dim]`
    pub fn embed(&self, patches: Tensor<3>) -> Tensor<3> {
        let tokens = patches.dims()[1];
        self.patch_embed.forward(patches) + self.pos_embed.val().narrow(1, 1, tokens)
    }

    /// Encodes the tokens that a mask keeps (MAE's `forward_encoder`).
    ///
    /// # Shapes
    /// - `patches`: `[batch, tokens, patch² · 3]`
    /// - output: `[batch, 1 + mask.padded_keep(), dim]`, the class token first; slots from a
    ///   sample's own `n_keep` on are padding
    pub fn forward_encoder(&self, patches: Tensor<3>, mask: &MaskBatch) -> Tensor<3> {
        // Gathering pixels instead of embeddings embeds the kept tokens alone.
        let kept_patches = mask.gather_kept(patches);
        let positions = self.pos_embed.val();
        let [_, _, dim] = positions.dims();
        let token_positions =
            positions
                .narrow(1, 1, mask.tokens())
                .expand([mask.batch(), mask.tokens(), dim]);
        let x = self.patch_embed.forward(kept_patches) + mask.gather_kept(token_positions);
        self.encode(x, mask)
    }

    fn encode(&self, x: Tensor<3>, mask: &MaskBatch) -> Tensor<3> {
        let x = self.prepend_cls(x);
        let x = self
            .blocks
            .iter()
            .fold(x, |x, block| block.forward(x, mask.blocked_keys()));
        self.norm.forward(x)
    }

    /// The attention over patch tokens of block `layer` (1 = first) on whole images, averaged over
    /// heads; the class token's row and column are dropped and rows renormalised.
    ///
    /// # Shapes
    /// - `patches`: `[batch, tokens, patch² · 3]`
    /// - output: `[batch, tokens, tokens]`
    ///
    /// # Panics
    /// If `layer` is 0 or beyond the last block.
    pub fn patch_attention(&self, patches: Tensor<3>, layer: usize) -> Tensor<3> {
        assert!(
            (1..=self.blocks.len()).contains(&layer),
            "layer {layer} of {}",
            self.blocks.len()
        );
        let tokens = patches.dims()[1];
        let x = self.prepend_cls(self.embed(patches));
        let x = self.blocks[..layer - 1]
            .iter()
            .fold(x, |x, block| block.forward(x, None));
        let attention = self.blocks[layer - 1]
            .head_mean_attention(x)
            .narrow(1, 1, tokens)
            .narrow(2, 1, tokens);
        let row_sums = attention.clone().sum_dim(2);
        attention / row_sums
    }

    fn prepend_cls(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, _, dim] = x.dims();
        let cls = self.cls_token.val() + self.pos_embed.val().narrow(1, 0, 1);
        Tensor::cat(vec![cls.expand([batch, 1, dim]), x], 1)
    }
}
