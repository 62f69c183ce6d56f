//! One optimiser step: salience, masks, micro-batches, gradients, update.

use anyhow::{Result, ensure};
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};
use sbam_augment::{DrawKey, Draws, Purpose};
use sbam_loader::{Batch, BatchSample};
use sbam_model::{
    LossWeights, Mae, SampleMask, TokenMask, padded_token_share, sort_into_micro_batches,
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

    /// The patches of the samples of these indices into the step.
    fn upload(&self, indices: &[usize]) -> Tensor<3> {
        let per_batch = self.plan.config.data.batch_size;
        let mut pixels = Vec::with_capacity(indices.len() * self.image_bytes);
        for index in indices {
            let start = index % per_batch * self.image_bytes;
            pixels.extend_from_slice(
                &self.batches[index / per_batch].pixels()[start..start + self.image_bytes],
            );
        }
        upload_patches(
            &pixels,
            self.plan.height_width(),
            self.plan.model.patch_size,
            self.device,
        )
    }
}

/// Runs one optimiser step over its batches' samples.
///
/// The masks are those that the weights before this step give. The step's samples are sorted by
/// `n_keep` into micro-batches, of which as many run side by side as the plan says; gradients are
/// summed in the micro-batches' order, so that the result does not depend on how many do.
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
    let loss_weights: Vec<f32> = images.samples().map(|sample| sample.loss_weight).collect();
    let masks = step_masks(plan, &model, &images, &loss_weights, &schedule)?;
    let n_keep: Vec<usize> = masks.iter().map(|sample| sample.mask.n_keep()).collect();
    let micro_batches = sort_into_micro_batches(&n_keep, plan.micro_batch);

    let reduction = plan.config.train.loss_reduction;
    let local_total = masks
        .iter()
        .zip(&loss_weights)
        .map(|(sample, weight)| LossWeights::count(reduction, sample.mask.n_masked(), *weight))
        .sum();
    ensure!(
        loss_weights.iter().any(|weight| *weight > 0.0),
        "no image of step {} could be decoded",
        schedule.step
    );
    let factors = LossWeights::new(reduction, plan.ranks.sum_count(local_total));

    let mut accumulated = GradientsAccumulator::new();
    let (mut loss, mut loss_per_sample) = (0.0, vec![0.0; masks.len()]);
    for wave in micro_batches.micro_batches.chunks(plan.side_by_side) {
        let trained = in_parallel(wave, |indices| {
            let micro_masks: Vec<&TokenMask> =
                indices.iter().map(|index| &masks[*index].mask).collect();
            let micro_factors: Vec<f32> = indices
                .iter()
                .map(|index| factors.of(masks[*index].mask.n_masked(), loss_weights[*index]))
                .collect();
            train_micro_batch(
                plan,
                &model,
                images.upload(indices),
                &micro_masks,
                &micro_factors,
            )
        });
        for (indices, trained) in wave.iter().zip(trained) {
            ensure!(
                trained.loss.is_finite(),
                "the loss of step {} is {}; lower optim.blr, or set optim.clip_norm",
                schedule.step,
                trained.loss
            );
            loss += f64::from(trained.loss);
            for (index, sample_loss) in indices.iter().zip(trained.loss_per_sample) {
                loss_per_sample[*index] = sample_loss;
            }
            accumulated.accumulate(&model, trained.gradients);
        }
    }
    let (model, gradient_norm) =
        optimiser.step(model, accumulated.grads(), schedule.learning_rate)?;
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

/// What one micro-batch gives.
struct TrainedMicroBatch {
    loss: f32,
    loss_per_sample: Vec<f32>,
    gradients: GradientsParams,
}

fn train_micro_batch(
    plan: &Plan,
    model: &Mae,
    patches: Tensor<3>,
    masks: &[&TokenMask],
    factors: &[f32],
) -> TrainedMicroBatch {
    // Leaves of its own: graphs that share leaves would wait for each other in the backward pass.
    let train_device = patches.device().autodiff();
    let replica = model.clone().fork(&train_device);
    let output = replica.forward(
        Tensor::from_inner(patches),
        masks,
        factors,
        plan.length_multiple,
    );
    let loss = output.loss.clone().into_scalar();
    let loss_per_sample = output
        .loss_per_sample
        .into_data()
        .try_into_vec()
        .expect("losses are f32");
    let gradients = GradientsParams::from_grads(output.loss.backward(), &replica);
    TrainedMicroBatch {
        loss,
        loss_per_sample,
        gradients,
    }
}

/// `work` on every item, each on a thread of its own; results in the items' order.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if let [only] = items {
        return vec![work(only)];
    }
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = items
            .iter()
            .map(|item| scope.spawn(move || work(item)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
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

/// The masks of every sample of the step, in the order of the batches.
fn step_masks(
    plan: &Plan,
    model: &Mae,
    images: &StepImages<'_>,
    loss_weights: &[f32],
    schedule: &StepSchedule,
) -> Result<Vec<SampleMask>> {
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
    if plan.config.mask.strategy == Strategy::Random || schedule.warming_up {
        return Ok(plan.masking.random(&uniforms));
    }
    let model = model.valid();
    let indices: Vec<usize> = (0..uniforms.len()).collect();
    let micro_batches: Vec<&[usize]> = indices.chunks(plan.micro_batch).collect();
    let mut salience = Vec::with_capacity(indices.len());
    for wave in micro_batches.chunks(plan.side_by_side) {
        for rows in in_parallel(wave, |indices| {
            salience_rows(plan, &model, images.upload(indices))
        }) {
            salience.extend(rows?);
        }
    }
    Ok(plan.masking.salient(salience, &uniforms, loss_weights))
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
