//! The masked autoencoder (He et al. 2022) over masks of any length per sample.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::init::Init;
use crate::{Decoder, MaeConfig, MaskBatch, Result, TokenMask, Vit, normalise_pixels};

/// What the loss averages over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossReduction {
    /// One mean over all masked patches (MAE).
    Patch,
    /// The mean over samples of each sample's mean over its masked patches.
    Sample,
}

/// The factor of every sample's summed patch losses, so that micro-batch losses add up to the loss
/// of the whole optimiser step.
#[derive(Debug, Clone, PartialEq)]
pub struct LossWeights {
    reduction: LossReduction,
    /// Σ weight · masked patches (`Patch`) or Σ weight (`Sample`), over the whole step and all ranks.
    total: f64,
}

impl LossWeights {
    /// From the step's global total: see [`LossWeights::count`].
    pub fn new(reduction: LossReduction, total: f64) -> Self {
        Self { reduction, total }
    }

    /// What a sample adds to the step's total; sum it over samples and ranks.
    pub fn count(reduction: LossReduction, n_masked: usize, weight: f32) -> f64 {
        match reduction {
            LossReduction::Patch => f64::from(weight) * n_masked as f64,
            LossReduction::Sample => f64::from(weight),
        }
    }

    /// The factor of one sample's summed patch losses; 0 where the whole step weighs nothing.
    pub fn of(&self, n_masked: usize, weight: f32) -> f32 {
        if self.total <= 0.0 {
            return 0.0;
        }
        let share = match self.reduction {
            LossReduction::Patch => f64::from(weight) / self.total,
            LossReduction::Sample => f64::from(weight) / (self.total * n_masked as f64),
        };
        share as f32
    }
}

/// What a forward pass gives.
#[derive(Debug)]
pub struct MaeOutput {
    /// `[1]`: this micro-batch's part of the step's loss, to be differentiated.
    pub loss: Tensor<1>,
    /// `[batch]`: each sample's mean squared error over its masked patches, without gradient.
    pub loss_per_sample: Tensor<1>,
    /// `[batch, tokens, patch² · 3]`: the prediction, in the target's units.
    pub pred: Tensor<3>,
}

/// An MAE: a [`Vit`] over kept tokens and a [`Decoder`] over all.
#[derive(Module, Debug)]
pub struct Mae {
    encoder: Vit,
    decoder: Decoder,
    #[module(skip)]
    norm_pix_loss: bool,
}

impl Mae {
    /// Builds a model with initial values drawn from `seed`, as MAE initialises: Xavier-uniform
    /// matrices, zero biases, normal tokens of standard deviation 0.02.
    ///
    /// # Errors
    /// If the shape cannot be built ([`MaeConfig::validate`]).
    pub fn new(config: &MaeConfig, seed: u64, device: &Device) -> Result<Self> {
        config.validate()?;
        let init = Init::new(seed, device);
        Ok(Self {
            encoder: Vit::new(config, &init.child("encoder")),
            decoder: Decoder::new(config, &init.child("decoder")),
            norm_pix_loss: config.norm_pix_loss,
        })
    }

    /// The encoder.
    pub fn encoder(&self) -> &Vit {
        &self.encoder
    }

    /// Encodes, decodes and measures one micro-batch.
    ///
    /// `weights[i]` is the factor of sample i's summed patch losses ([`LossWeights::of`]).
    ///
    /// # Shapes
    /// - `patches`: `[batch, tokens, patch² · 3]` of normalised pixels
    pub fn forward(
        &self,
        patches: Tensor<3>,
        masks: &[&TokenMask],
        weights: &[f32],
        length_multiple: usize,
    ) -> MaeOutput {
        let device = patches.device();
        let mask = MaskBatch::new(masks, length_multiple, &device);
        let encoded = self.encoder.forward_encoder(patches.clone(), &mask);
        let pred = self.decoder.forward_decoder(encoded, &mask);
        let masked_loss = self.forward_loss(patches, pred.clone(), &mask);
        let summed = masked_loss.sum_dim(1).squeeze_dim::<1>(1);

        let vector = |values: Vec<f32>| {
            Tensor::<1>::from_data(TensorData::new(values, [masks.len()]), &device)
        };
        let per_masked = vector(
            masks
                .iter()
                .map(|mask| 1.0 / mask.n_masked() as f32)
                .collect(),
        );
        let loss_per_sample = summed.clone().detach() * per_masked;
        let loss = (summed * vector(weights.to_vec())).sum();
        MaeOutput {
            loss,
            loss_per_sample,
            pred,
        }
    }

    /// Mean squared error of every patch, 0 on patches that are not masked (MAE's `forward_loss`
    /// before its reduction).
    ///
    /// # Shapes
    /// - `patches`, `pred`: `[batch, tokens, patch² · 3]`
    /// - output: `[batch, tokens]`
    fn forward_loss(&self, patches: Tensor<3>, pred: Tensor<3>, mask: &MaskBatch) -> Tensor<2> {
        let target = if self.norm_pix_loss {
            normalise_pixels(patches)
        } else {
            patches
        };
        (pred - target).square().mean_dim(2).squeeze_dim::<2>(2) * mask.mask()
    }
}
