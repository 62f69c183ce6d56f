//! A pre-norm Transformer block.

use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Bool, Tensor, activation};

use crate::Attention;
use crate::init::Init;

/// Width of the hidden layer over the width of the block, in every ViT of the MAE reference.
const MLP_RATIO: usize = 4;

/// Two linear layers with an exact GELU between them.
#[derive(Module, Debug)]
pub struct Mlp {
    fc1: Linear,
    fc2: Linear,
}

impl Mlp {
    fn new(dim: usize, init: &Init<'_>) -> Self {
        Self {
            fc1: init.child("fc1").linear(dim, MLP_RATIO * dim),
            fc2: init.child("fc2").linear(MLP_RATIO * dim, dim),
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.fc2.forward(exact_gelu(self.fc1.forward(x)))
    }
}

/// `x · Φ(x)`, with the exact derivative on every device.
///
/// Burn's own `gelu` has the exact backward on Flex only; elsewhere its backward is that of the
/// tanh approximation, so there the function is composed of operations that differentiate exactly.
fn exact_gelu(x: Tensor<3>) -> Tensor<3> {
    if crate::is_cpu(&x.device()) {
        activation::gelu(x)
    } else {
        let cdf = x
            .clone()
            .mul_scalar(std::f64::consts::FRAC_1_SQRT_2)
            .erf()
            .add_scalar(1.0)
            .mul_scalar(0.5);
        x * cdf
    }
}

/// `x + attention(norm(x))`, then `x + mlp(norm(x))`.
#[derive(Module, Debug)]
pub struct Block {
    norm1: LayerNorm,
    attn: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
}

impl Block {
    pub(crate) fn new(dim: usize, heads: usize, init: &Init<'_>) -> Self {
        Self {
            norm1: init.child("norm1").layer_norm(dim),
            attn: Attention::new(dim, heads, &init.child("attn")),
            norm2: init.child("norm2").layer_norm(dim),
            mlp: Mlp::new(dim, &init.child("mlp")),
        }
    }

    /// # Shapes
    /// - `x`, output: `[batch, tokens, dim]`
    /// - `blocked_keys`: `[batch, 1, 1, tokens]`, true where a key is padding
    pub fn forward(&self, x: Tensor<3>, blocked_keys: Option<&Tensor<4, Bool>>) -> Tensor<3> {
        let x = x.clone() + self.attn.forward(self.norm1.forward(x), blocked_keys);
        x.clone() + self.mlp.forward(self.norm2.forward(x))
    }

    /// This block's attention weights on its input `x`, averaged over heads.
    ///
    /// # Shapes
    /// - `x`: `[batch, tokens, dim]`
    /// - output: `[batch, tokens, tokens]`
    pub fn head_mean_attention(&self, x: Tensor<3>) -> Tensor<3> {
        self.attn.head_mean_weights(self.norm1.forward(x))
    }
}
