//! Multi-head self-attention.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Tensor};

use crate::init::Init;

/// Multi-head self-attention with one projection for query, key and value (timm's layout).
#[derive(Module, Debug)]
pub struct Attention {
    /// `dim → 3·dim`: query, key and value, each split into heads.
    qkv: Linear,
    /// `dim → dim` over the joined heads.
    proj: Linear,
    #[module(skip)]
    heads: usize,
}

impl Attention {
    pub(crate) fn new(dim: usize, heads: usize, init: &Init<'_>) -> Self {
        Self {
            qkv: init.child("qkv").linear(dim, 3 * dim),
            proj: init.child("proj").linear(dim, dim),
            heads,
        }
    }

    /// Attends from every token to every token whose key is not blocked.
    ///
    /// # Shapes
    /// - `x`: `[batch, tokens, dim]`
    /// - `blocked_keys`: `[batch, 1, 1, tokens]`, true where a key is padding
    /// - output: `[batch, tokens, dim]`
    pub fn forward(&self, x: Tensor<3>, blocked_keys: Option<&Tensor<4, Bool>>) -> Tensor<3> {
        let [batch, tokens, dim] = x.dims();
        let [query, key, value] = self.query_key_value(x);
        let weights = attention_weights(query, key, blocked_keys);
        let joined = weights
            .matmul(value)
            .swap_dims(1, 2)
            .reshape([batch, tokens, dim]);
        self.proj.forward(joined)
    }

    /// The attention weights averaged over heads.
    ///
    /// # Shapes
    /// - `x`: `[batch, tokens, dim]`
    /// - output: `[batch, tokens, tokens]`, row i holding what token i attends to
    pub fn head_mean_weights(&self, x: Tensor<3>) -> Tensor<3> {
        let [query, key, _] = self.query_key_value(x);
        attention_weights(query, key, None)
            .mean_dim(1)
            .squeeze_dim(1)
    }

    /// Query (scaled), key and value, each `[batch, heads, tokens, dim / heads]`.
    fn query_key_value(&self, x: Tensor<3>) -> [Tensor<4>; 3] {
        let [batch, tokens, dim] = x.dims();
        let head_dim = dim / self.heads;
        let qkv = self
            .qkv
            .forward(x)
            .reshape([batch, tokens, 3, self.heads, head_dim]);
        let part = |index: usize| {
            qkv.clone()
                .narrow(2, index, 1)
                .squeeze_dim::<4>(2)
                .swap_dims(1, 2)
        };
        [
            part(0).mul_scalar((head_dim as f64).powf(-0.5)),
            part(1),
            part(2),
        ]
    }
}

fn attention_weights(
    query: Tensor<4>,
    key: Tensor<4>,
    blocked_keys: Option<&Tensor<4, Bool>>,
) -> Tensor<4> {
    let scores = query.matmul(key.swap_dims(2, 3));
    let scores = match blocked_keys {
        Some(blocked) => {
            let shape = scores.shape();
            scores.mask_fill(blocked.clone().expand(shape), f32::NEG_INFINITY)
        }
        None => scores,
    };
    softmax(scores, 3)
}
