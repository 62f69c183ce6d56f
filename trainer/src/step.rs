//! One optimiser step: salience, masks, micro-batches, gradients, update.

use anyhow::{Result, ensure};
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};
use sbam_augment::{DrawKey, Draws, Purpose};
use sbam_loader::{Batch, BatchSample};
use sbam_model::{
    LossWeights, Mae, MicroBatchPlan, SampleMask, TokenMask, padded_token_share,
    sort_into_micro_batches,
};

use crate::config::Strategy;
use crate::images::upload_patches;
use crate::optimiser::Optimiser;
use crate::plan::Plan;

/// What a step did.
pub(crate) struct StepReport {
    /// The step's loss, over all its micro-batches.
    pub(crate) loss: f64,
    /// Each sample's mean squared error over its masked patches, in the order of the batches.
    pub(crate) loss_per_sample: Vec<f32>,
    /// Each sample's mask, in the order of the batches.
    pub(crate) masks: Vec<SampleMask>,
    /// Global norm of the gradient before clipping.
    pub(crate) gradient_norm: f64,
    /// Share of the encoder's patch-token slots that held padding.
    pub(crate) padded_share: f64,
}

/// The images of one step on the host, in the order of the batches, and where they go.
struct StepImages<'a> {
    plan: &'a Plan,
    batches: &'a [Batch],
    /// Device without autodiff.
    device: &'a Device,
    image_bytes: usize,
}

impl<'a> StepImages<'a> {
    fn new(plan: &'a Plan, batches: &'a [Batch], device: &'a Device) -> Self {
        let [height, width] = plan.height_width();
        Self {
            plan,
            batches,
            device,
            image_bytes: height * width * 3,
        }
    }

    fn samples(&self) -> impl Iterator<Item = &'a BatchSample> {
        self.batches.iter().flat_map(Batch::samples)
    }

    fn upload(&self, pixels: &[u8]) -> Tensor<3> {
        upload_patches(
            pixels,
            self.plan.height_width(),
            self.plan.model.patch_size,
            self.device,
        )
    }

    /// The patches of the samples of these indices into the step.
    fn upload_samples(&self, indices: &[usize]) -> Tensor<3> {
        let per_batch = self.plan.config.data.batch_size;
        let mut pixels = Vec::with_capacity(indices.len() * self.image_bytes);
        for index in indices {
            let start = index % per_batch * self.image_bytes;
            pixels.extend_from_slice(
                &self.batches[index / per_batch].pixels()[start..start + self.image_bytes],
            );
        }
        self.upload(&pixels)
    }
}

/// Runs one optimiser step over its micro-batches' samples.
///
/// The masks are those that the weights before this step give; `step` only decides whether random
/// masks still warm up.
///
/// # Errors
/// If the salience or the loss is not finite; the model is then not updated.
pub(crate) fn optimiser_step(
    plan: &Plan,
    model: Mae,
    optimiser: &mut Optimiser,
    batches: &[Batch],
    device: &Device,
    schedule: StepSchedule,
) -> Result<(Mae, StepReport)> {
    let images = StepImages::new(plan, batches, device);
    let samples: Vec<&BatchSample> = images.samples().collect();
    let loss_weights: Vec<f32> = samples.iter().map(|sample| sample.loss_weight).collect();
    let (masks, mut uploaded) = step_masks(plan, &model, &images, &loss_weights, &schedule)?;

    let n_keep: Vec<usize> = masks.iter().map(|sample| sample.mask.n_keep()).collect();
    let micro_batches = if uploaded.is_some() {
        MicroBatchPlan {
            micro_batches: vec![(0..samples.len()).collect()],
        }
    } else {
        sort_into_micro_batches(&n_keep, plan.config.data.batch_size)
    };

    let reduction = plan.config.train.loss_reduction;
    let local_total = masks
        .iter()
        .zip(&loss_weights)
        .map(|(sample, weight)| LossWeights::count(reduction, sample.mask.n_masked(), *weight))
        .sum();
    let factors = LossWeights::new(reduction, plan.ranks.sum_count(local_total));

    let mut accumulated = GradientsAccumulator::new();
    let mut single = None;
    let (mut loss, mut loss_per_sample) = (0.0, vec![0.0; samples.len()]);
    for indices in &micro_batches.micro_batches {
        let patches = uploaded
            .take()
            .unwrap_or_else(|| images.upload_samples(indices));
        let micro_masks: Vec<&TokenMask> =
            indices.iter().map(|index| &masks[*index].mask).collect();
        let micro_factors: Vec<f32> = indices
            .iter()
            .map(|index| factors.of(masks[*index].mask.n_masked(), loss_weights[*index]))
            .collect();
        let output = model.forward(
            Tensor::from_inner(patches),
            &micro_masks,
            &micro_factors,
            plan.length_multiple,
        );
        let micro_loss: f32 = output.loss.clone().into_scalar();
        ensure!(
            micro_loss.is_finite(),
            "the loss of step {} is {micro_loss}; lower optim.blr, or set optim.clip_norm",
            schedule.step
        );
        loss += f64::from(micro_loss);
        let losses: Vec<f32> = output
            .loss_per_sample
            .into_data()
            .try_into_vec()
            .expect("losses are f32");
        for (index, sample_loss) in indices.iter().zip(losses) {
            loss_per_sample[*index] = sample_loss;
        }
        let gradients = GradientsParams::from_grads(output.loss.backward(), &model);
        if micro_batches.micro_batches.len() == 1 {
            single = Some(gradients);
        } else {
            accumulated.accumulate(&model, gradients);
        }
    }
    let gradients = single.unwrap_or_else(|| accumulated.grads());
    let (model, gradient_norm) = optimiser.step(model, gradients, schedule.learning_rate);
    let padded_share = padded_token_share(
        &micro_batches,
        &n_keep,
        plan.length_multiple,
        plan.model.tokens(),
    );
    Ok((
        model,
        StepReport {
            loss,
            loss_per_sample,
            masks,
            gradient_norm,
            padded_share,
        },
    ))
}

/// What the position in the run decides about a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepSchedule {
    /// Index of the step, from 0.
    pub(crate) step: u64,
    /// The epoch of its samples.
    pub(crate) epoch: u64,
    /// Learning rate of its update.
    pub(crate) learning_rate: f64,
    /// Whether masks are still random (`mask.warmup_epochs`).
    pub(crate) warming_up: bool,
}

/// The masks of every sample of the step; and, where the step has one micro-batch, its patches on
/// the device, which salience needed already.
fn step_masks(
    plan: &Plan,
    model: &Mae,
    images: &StepImages<'_>,
    loss_weights: &[f32],
    schedule: &StepSchedule,
) -> Result<(Vec<SampleMask>, Option<Tensor<3>>)> {
    let tokens = plan.model.tokens();
    let uniforms: Vec<Vec<f32>> = images
        .samples()
        .map(|sample| {
            mask_noise(
                plan.config.seed,
                schedule.epoch,
                sample.sample_index,
                sample.view_index,
                tokens,
            )
        })
        .collect();
    let single = images.batches.len() == 1;
    if plan.config.mask.strategy == Strategy::Random || schedule.warming_up {
        let patches = single.then(|| images.upload(images.batches[0].pixels()));
        return Ok((plan.masking.random(&uniforms), patches));
    }
    let encoder_model = model.valid();
    let mut salience = Vec::with_capacity(loss_weights.len());
    let mut last_patches = None;
    for batch in images.batches {
        let patches = images.upload(batch.pixels());
        salience.extend(salience_rows(plan, &encoder_model, patches.clone())?);
        last_patches = Some(patches);
    }
    let masks = plan.masking.salient(salience, &uniforms, loss_weights);
    Ok((masks, last_patches.filter(|_| single)))
}

/// The salience of each image of a batch, read back to the host.
///
/// # Errors
/// If a value is not finite: the weights have diverged.
pub(crate) fn salience_rows(plan: &Plan, model: &Mae, patches: Tensor<3>) -> Result<Vec<Vec<f32>>> {
    let tokens = patches.dims()[1];
    let salience = model
        .encoder()
        .salience(patches, plan.config.mask.source, plan.salience_block);
    let values: Vec<f32> = salience
        .into_data()
        .try_into_vec()
        .expect("salience is f32");
    ensure!(
        values.iter().all(|value| value.is_finite()),
        "the encoder's attention is not finite: the weights have diverged; lower optim.blr, or set optim.clip_norm"
    );
    Ok(values.chunks(tokens).map(<[f32]>::to_vec).collect())
}

/// The noise of a sample's mask: one draw from `[0, 1)` per token, a function of its key alone.
pub(crate) fn mask_noise(
    seed: u64,
    epoch: u64,
    sample_index: u64,
    view: u32,
    tokens: usize,
) -> Vec<f32> {
    let mut draws = Draws::new(DrawKey {
        seed,
        epoch,
        sample_index,
        view,
        purpose: Purpose::Mask,
    });
    (0..tokens).map(|_| draws.uniform_f32()).collect()
}
