//! The configuration, checked and turned into what the run is built from.

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;
use sbam_loader::{LoaderConfig, Output};
use sbam_model::{ImageSize, MaeConfig, Masking, Preset, is_cpu};

use crate::config::{Config, ModelConfig, OnError, OptimConfig};
use crate::mask_log::MaskLogPolicy;
use crate::ranks::Ranks;

/// Kept lengths are multiples of this on a GPU, so that few shapes occur.
const GPU_LENGTH_MULTIPLE: usize = 8;

/// Up to this width most operations of a model run on one core. On the CPU such a model takes
/// `SMALL_MICRO_BATCH` samples at a time, several of these micro-batches side by side; the number is
/// fixed, so that results do not depend on the cores. A wider model keeps all cores busy by itself, and
/// takes one micro-batch of `data.batch_size` samples after the other, to bound memory.
const SMALL_MODEL_DIM: usize = 256;
const SMALL_MICRO_BATCH: usize = 8;
/// Each holds the activations and gradients of a small model: some ten to a hundred megabytes.
const MOST_SIDE_BY_SIDE: usize = 16;

/// A checked configuration.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) model: MaeConfig,
    pub(crate) masking: Masking,
    /// The encoder block whose attention is read, from 1.
    pub(crate) salience_block: usize,
    pub(crate) length_multiple: usize,
    /// Samples that go through the model together.
    pub(crate) micro_batch: usize,
    /// Micro-batches that go through it at the same time; the result does not depend on it.
    pub(crate) side_by_side: usize,
    /// Samples of an optimiser step, over all ranks.
    pub(crate) global_batch: u64,
    pub(crate) mask_log: MaskLogPolicy,
    pub(crate) ranks: Ranks,
}

impl Plan {
    /// Checks a configuration for a device.
    ///
    /// # Errors
    /// With the key, its value and what is allowed, at the first value that cannot be.
    pub(crate) fn new(config: Config, device: &Device) -> Result<Self> {
        let model = model_config(&config.model)?;
        check_ranges(&config)?;
        let mask = &config.mask;
        let salience_block = mask.layer.block(model.depth).context("mask.layer")?;
        let masking = Masking {
            ratio: mask.ratio,
            ratio_var: mask.ratio_var,
            ratio_mode: mask.ratio_mode,
            delta: mask.delta as f32,
            noise: mask.noise as f32,
        };
        let length_multiple = match config.train.length_multiple {
            0 if is_cpu(device) => 1,
            0 => GPU_LENGTH_MULTIPLE,
            multiple => multiple,
        };
        let (micro_batch, side_by_side) = if is_cpu(device) && model.dim <= SMALL_MODEL_DIM {
            (
                config.data.batch_size.min(SMALL_MICRO_BATCH),
                available_cores().min(MOST_SIDE_BY_SIDE),
            )
        } else {
            (config.data.batch_size, 1)
        };
        let ranks = Ranks::SINGLE;
        let global_batch =
            (config.data.batch_size * config.optim.accumulate) as u64 * u64::from(ranks.world);
        let mask_log: MaskLogPolicy = config
            .log
            .masks
            .parse()
            .with_context(|| format!("log.masks = {:?}", config.log.masks))?;
        Ok(Self {
            config,
            model,
            masking,
            salience_block,
            length_multiple,
            micro_batch,
            side_by_side,
            global_batch,
            mask_log,
            ranks,
        })
    }

    /// Height and width of the model's input.
    pub(crate) fn height_width(&self) -> [usize; 2] {
        self.model.image_size.height_width()
    }

    /// How the loader reads the data.
    pub(crate) fn loader(&self) -> LoaderConfig {
        let data = &self.config.data;
        let [height, width] = self.height_width();
        let threads = match data.threads {
            0 => available_cores(),
            threads => threads,
        };
        LoaderConfig {
            seed: self.config.seed,
            batch_size: data.batch_size,
            global_batch: self.global_batch,
            views: data.views,
            rank: self.ranks.rank,
            world: self.ranks.world,
            streams: data.streams,
            window_shards: data.window_shards,
            drop_last: data.drop_last,
            threads,
            fetch_threads: data.fetch_threads,
            fetch_ahead_bytes: data.fetch_ahead_mb.saturating_mul(1_000_000),
            prefetch_batches: data.prefetch_batches.max(self.config.optim.accumulate),
            out_width: width as u32,
            out_height: height as u32,
            output: Output::U8,
            view: self.config.augment.view(),
            epochs: u64::MAX,
            on_error: match data.on_error {
                OnError::Error => sbam_loader::OnError::Error,
                OnError::Skip => sbam_loader::OnError::Skip,
            },
            verify_crc: data.verify_checksums,
        }
    }
}

/// Cores this process may use.
pub(crate) fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The preset's shape with every non-zero setting over it.
fn model_config(given: &ModelConfig) -> Result<MaeConfig> {
    let preset = Preset::from_name(&given.preset)
        .context("[model]")?
        .config();
    let or = |given: usize, preset: usize| if given == 0 { preset } else { given };
    let model = MaeConfig {
        image_size: match given.image_size {
            ImageSize::Square(0) => preset.image_size,
            size => size,
        },
        patch_size: or(given.patch_size, preset.patch_size),
        dim: or(given.dim, preset.dim),
        depth: or(given.depth, preset.depth),
        heads: or(given.heads, preset.heads),
        decoder_dim: or(given.decoder_dim, preset.decoder_dim),
        decoder_depth: or(given.decoder_depth, preset.decoder_depth),
        decoder_heads: or(given.decoder_heads, preset.decoder_heads),
        norm_pix_loss: given.norm_pix_loss,
    };
    model.validate().context("[model]")?;
    Ok(model)
}

fn check_ranges(config: &Config) -> Result<()> {
    let Config {
        data,
        augment,
        mask,
        optim,
        train,
        log,
        ..
    } = config;
    ensure!(
        data.batch_size >= 1,
        "data.batch_size = 0: must be at least 1"
    );
    ensure!(
        data.views >= 1 && data.batch_size.is_multiple_of(data.views as usize),
        "data.views = {}: must be at least 1 and divide data.batch_size = {}",
        data.views,
        data.batch_size
    );
    ensure!(
        data.fetch_threads >= 1,
        "data.fetch_threads = 0: must be at least 1"
    );
    ensure!(
        data.fetch_ahead_mb >= 1,
        "data.fetch_ahead_mb = 0: must be at least 1"
    );
    ensure!(
        (0.0..=1.0).contains(&data.max_skipped_share),
        "data.max_skipped_share = {}: must lie between 0 and 1",
        data.max_skipped_share
    );
    ensure!(
        config.checkpoint.keep_last >= 1,
        "checkpoint.keep_last = 0: must be at least 1"
    );
    ensure!(
        data.prefetch_batches >= 1,
        "data.prefetch_batches = 0: must be at least 1"
    );
    ensure!(
        optim.accumulate >= 1,
        "optim.accumulate = 0: must be at least 1"
    );
    ensure!(
        mask.ratio > 0.0 && mask.ratio < 1.0,
        "mask.ratio = {}: must lie between 0 and 1, neither included",
        mask.ratio
    );
    ensure!(
        mask.ratio_var >= 0.0,
        "mask.ratio_var = {}: must not be negative",
        mask.ratio_var
    );
    ensure!(
        mask.ratio - mask.ratio_var > 0.0 && mask.ratio + mask.ratio_var < 1.0,
        "mask.ratio_var = {}: ratio ± ratio_var leaves (0, 1) at mask.ratio = {}",
        mask.ratio_var,
        mask.ratio
    );
    ensure!(
        (0.0..=1.0).contains(&mask.delta),
        "mask.delta = {}: must lie between 0 and 1",
        mask.delta
    );
    ensure!(
        mask.noise >= 0.0 && mask.noise.is_finite(),
        "mask.noise = {}: must not be negative",
        mask.noise
    );
    ensure!(
        mask.warmup_epochs >= 0.0,
        "mask.warmup_epochs = {}: must not be negative",
        mask.warmup_epochs
    );
    check_optim(optim)?;
    ensure!(
        train.epochs > 0 || train.steps > 0,
        "train.epochs and train.steps are both 0: set one of them"
    );
    if train.precision != "f32" {
        bail!(
            "train.precision = {:?}: only \"f32\" is supported (\"bf16\" is reserved)",
            train.precision
        );
    }
    ensure!(
        log.every_steps >= 1,
        "log.every_steps = 0: must be at least 1"
    );
    augment.view().check().context("[augment]")
}

fn check_optim(optim: &OptimConfig) -> Result<()> {
    for beta in optim.betas {
        ensure!(
            (0.0..1.0).contains(&beta),
            "optim.betas: {beta} must be at least 0 and below 1"
        );
    }
    for (key, value) in [
        ("optim.lr", optim.lr),
        ("optim.blr", optim.blr),
        ("optim.min_lr", optim.min_lr),
        ("optim.weight_decay", optim.weight_decay),
        ("optim.warmup_epochs", optim.warmup_epochs),
        ("optim.clip_norm", optim.clip_norm),
    ] {
        ensure!(
            value >= 0.0 && value.is_finite(),
            "{key} = {value}: must not be negative"
        );
    }
    ensure!(
        optim.lr > 0.0 || optim.blr > 0.0,
        "optim.lr and optim.blr are both 0: set one of them"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(overrides: &[&str]) -> Result<Plan> {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        Plan::new(Config::load(None, &overrides)?, &Device::flex())
    }

    #[test]
    fn a_preset_gives_what_is_not_set() {
        let plan = plan(&[
            "model.preset=base",
            "model.decoder_depth=2",
            "data.batch_size=64",
            "optim.accumulate=4",
        ])
        .expect("valid");
        assert_eq!(
            (plan.model.dim, plan.model.depth, plan.model.decoder_depth),
            (768, 12, 2)
        );
        assert_eq!(
            (plan.salience_block, plan.global_batch, plan.length_multiple),
            (12, 256, 1)
        );
    }

    #[test]
    fn values_out_of_range_name_their_key() {
        for (wrong, key) in [
            ("mask.ratio=1.0", "mask.ratio"),
            ("mask.ratio_var=0.3", "mask.ratio_var"),
            ("mask.delta=1.5", "mask.delta"),
            ("mask.layer=7", "layer"),
            ("model.patch_size=7", "image_size"),
            ("model.preset=giant", "preset"),
            ("data.batch_size=0", "data.batch_size"),
            ("augment.scale=[0.5, 0.1]", "augment"),
            ("augment.hue=0.7", "augment"),
            ("data.views=5", "data.views"),
            ("data.fetch_threads=0", "data.fetch_threads"),
            ("train.precision=bf16", "train.precision"),
            ("log.masks=every=0", "log.masks"),
            ("optim.betas=[0.9, 1.0]", "optim.betas"),
        ] {
            let message = format!("{:#}", plan(&[wrong]).expect_err(wrong));
            assert!(message.contains(key), "{wrong}: {message}");
        }
    }
}
