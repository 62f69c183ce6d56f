//! `trainer forward`: the model on given tensors, so that anyone can compare it with PyTorch.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{Tensor, TensorData};
use sbam_model::weights::{NamedArray, load_arrays, read_safetensors, write_safetensors};
use sbam_model::{LossWeights, Mae, SampleMask, TokenMask, patchify};

use crate::config::{Config, Strategy};
use crate::device::device_of_name;
use crate::files::write_whole;
use crate::plan::Plan;
use crate::step::salience_rows;

/// What `trainer forward` is told.
#[derive(Debug, Clone)]
pub(crate) struct ForwardArguments {
    pub(crate) config: Option<PathBuf>,
    pub(crate) overrides: Vec<String>,
    pub(crate) weights: PathBuf,
    pub(crate) input: PathBuf,
    pub(crate) output: PathBuf,
    pub(crate) device: String,
}

/// Reads `images` f32 `[N, 3, H, W]` (normalised) and `noise` f32 `[N, L]`, runs the model, and
/// writes `salience`, `ratio`, `n_keep`, `mask`, `ids_restore`, `pred`, `loss`, `loss_per_sample`.
///
/// # Errors
/// If a file cannot be read, or does not fit the configuration.
pub(crate) fn forward(arguments: &ForwardArguments) -> Result<()> {
    let device = device_of_name(&arguments.device)?;
    let plan = Plan::new(
        Config::load(arguments.config.as_deref(), &arguments.overrides)?,
        &device,
    )?;
    let weights = read(&arguments.weights)?;
    let model = load_arrays(Mae::new(&plan.model, plan.config.seed, &device)?, weights)
        .with_context(|| format!("{}", arguments.weights.display()))?;

    let mut input = read(&arguments.input)?;
    let mut take = |name: &str| {
        input
            .remove(name)
            .with_context(|| format!("{} has no tensor {name:?}", arguments.input.display()))
    };
    let (images, noise) = (take("images")?, take("noise")?);
    let tokens = plan.model.tokens();
    let [height, width] = plan.height_width();
    let count = match *images.shape {
        [count, 3, h, w] if h == height && w == width && count > 0 => count,
        _ => bail!(
            "images is {:?}; the model takes [N, 3, {height}, {width}]",
            images.shape
        ),
    };
    ensure!(
        noise.shape == [count, tokens],
        "noise is {:?}; expected [{count}, {tokens}]",
        noise.shape
    );
    ensure!(
        noise
            .values
            .iter()
            .chain(&images.values)
            .all(|value| value.is_finite()),
        "images or noise hold a value that is not finite"
    );

    let images = Tensor::<4>::from_data(
        TensorData::new(images.values, [count, 3, height, width]),
        &device,
    );
    let patches = patchify(images.permute([0, 2, 3, 1]), plan.model.patch_size);
    let uniforms: Vec<Vec<f32>> = noise.values.chunks(tokens).map(<[f32]>::to_vec).collect();
    let salience = salience_rows(&plan, &model, patches.clone())?;
    let masks = match plan.config.mask.strategy {
        Strategy::Random => plan.masking.random(&uniforms),
        Strategy::Salience => plan
            .masking
            .salient(salience.clone(), &uniforms, &vec![1.0; count]),
    };

    let reduction = plan.config.train.loss_reduction;
    let total = masks
        .iter()
        .map(|sample| LossWeights::count(reduction, sample.mask.n_masked(), 1.0))
        .sum();
    let weights = LossWeights::new(reduction, total);
    let factors: Vec<f32> = masks
        .iter()
        .map(|sample| weights.of(sample.mask.n_masked(), 1.0))
        .collect();
    let token_masks: Vec<&TokenMask> = masks.iter().map(|sample| &sample.mask).collect();
    let result = model.forward(patches, &token_masks, &factors, plan.length_multiple);

    let mut arrays = mask_arrays(&masks, tokens);
    arrays.push(NamedArray::new(
        "salience",
        [count, tokens],
        salience.concat(),
    ));
    let host = |data: TensorData| -> Result<Vec<f32>> { Ok(data.try_into_vec()?) };
    arrays.extend([
        NamedArray::new(
            "pred",
            [count, tokens, plan.model.patch_values()],
            host(result.pred.into_data())?,
        ),
        NamedArray::new("loss", [1], host(result.loss.into_data())?),
        NamedArray::new(
            "loss_per_sample",
            [count],
            host(result.loss_per_sample.into_data())?,
        ),
    ]);
    write_whole(
        &arguments.output,
        &write_safetensors(&arrays, HashMap::new())?,
    )
}

/// `ratio` and `n_keep` `[N]`, `mask` and `ids_restore` `[N, L]`.
fn mask_arrays(masks: &[SampleMask], tokens: usize) -> Vec<NamedArray> {
    let count = masks.len();
    let per_token = |of: &dyn Fn(&TokenMask) -> Vec<f32>| -> Vec<f32> {
        masks.iter().flat_map(|sample| of(&sample.mask)).collect()
    };
    let per_sample =
        |of: &dyn Fn(&SampleMask) -> f32| -> Vec<f32> { masks.iter().map(of).collect() };
    vec![
        NamedArray::new("ratio", [count], per_sample(&|sample| sample.mask_ratio)),
        NamedArray::new(
            "n_keep",
            [count],
            per_sample(&|sample| sample.mask.n_keep() as f32),
        ),
        NamedArray::new(
            "mask",
            [count, tokens],
            per_token(&|mask| {
                mask.masked()
                    .into_iter()
                    .map(|masked| f32::from(u8::from(masked)))
                    .collect()
            }),
        ),
        NamedArray::new(
            "ids_restore",
            [count, tokens],
            per_token(&|mask| {
                mask.ids_restore()
                    .into_iter()
                    .map(|rank| rank as f32)
                    .collect()
            }),
        ),
    ]
}

fn read(path: &PathBuf) -> Result<BTreeMap<String, NamedArray>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    read_safetensors(&bytes).with_context(|| format!("{} cannot be read", path.display()))
}
