//! The configuration as read: every key of `default.toml`, typed.
//!
//! Values are layered as tables first ([`layers`]) and become this struct once, so that every key
//! has one default, in one commented file.

mod layers;

use std::path::Path;

use anyhow::{Context, Result};
use sbam_augment::{ColourJitter, RandomResizedCrop, TrainView};
use sbam_model::{LossReduction, RatioMode, SalienceLayer, SalienceSource};
use serde::{Deserialize, Serialize};

pub(crate) use layers::{DEFAULT_TOML, Difference, differences};

/// The configuration of a run that is given none: a small model on the built-in data set.
pub(crate) const BUILTIN_TOML: &str = include_str!("../../../examples/configs/builtin.toml");

/// A whole configuration; field by field as commented in `default.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) seed: u64,
    pub(crate) data: DataConfig,
    pub(crate) augment: AugmentConfig,
    pub(crate) model: ModelConfig,
    pub(crate) mask: MaskConfig,
    pub(crate) optim: OptimConfig,
    pub(crate) train: TrainConfig,
    pub(crate) checkpoint: CheckpointConfig,
    pub(crate) log: LogConfig,
}

/// `[data]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataConfig {
    pub(crate) train: String,
    pub(crate) batch_size: usize,
    pub(crate) views: u32,
    pub(crate) threads: usize,
    pub(crate) fetch_threads: usize,
    pub(crate) fetch_ahead_mb: u64,
    pub(crate) streams: u32,
    pub(crate) window_shards: u32,
    pub(crate) prefetch_batches: usize,
    pub(crate) drop_last: bool,
    pub(crate) on_error: OnError,
    pub(crate) max_skipped_share: f64,
    pub(crate) verify_checksums: bool,
}

/// What happens to a sample that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnError {
    /// The run ends with an error that names it.
    Error,
    /// It is quarantined, replaced with weight 0, and counted.
    Skip,
}

/// `[augment]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AugmentConfig {
    pub(crate) scale: [f64; 2],
    pub(crate) ratio: [f64; 2],
    pub(crate) hflip: f64,
    pub(crate) brightness: f64,
    pub(crate) contrast: f64,
    pub(crate) saturation: f64,
    pub(crate) hue: f64,
}

impl AugmentConfig {
    /// How views are drawn.
    pub(crate) fn view(&self) -> TrainView {
        TrainView {
            crop: RandomResizedCrop {
                scale: self.scale,
                ratio: self.ratio,
            },
            hflip: self.hflip,
            colour: ColourJitter {
                brightness: self.brightness,
                contrast: self.contrast,
                saturation: self.saturation,
                hue: self.hue,
            },
        }
    }
}

/// `[model]`; 0 means the preset's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelConfig {
    pub(crate) preset: String,
    pub(crate) image_size: sbam_model::ImageSize,
    pub(crate) patch_size: usize,
    pub(crate) dim: usize,
    pub(crate) depth: usize,
    pub(crate) heads: usize,
    pub(crate) decoder_dim: usize,
    pub(crate) decoder_depth: usize,
    pub(crate) decoder_heads: usize,
    pub(crate) norm_pix_loss: bool,
}

/// How masks are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Strategy {
    /// Uniformly at random (MAE).
    Random,
    /// The most salient tokens, with noise (SBAM).
    Salience,
}

/// `[mask]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaskConfig {
    pub(crate) strategy: Strategy,
    pub(crate) source: SalienceSource,
    pub(crate) layer: SalienceLayer,
    pub(crate) ratio: f64,
    pub(crate) ratio_var: f64,
    pub(crate) ratio_mode: RatioMode,
    pub(crate) delta: f64,
    pub(crate) noise: f64,
    pub(crate) warmup_epochs: f64,
}

/// `[optim]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OptimConfig {
    pub(crate) blr: f64,
    pub(crate) lr: f64,
    pub(crate) betas: [f64; 2],
    pub(crate) weight_decay: f64,
    pub(crate) warmup_epochs: f64,
    pub(crate) min_lr: f64,
    pub(crate) clip_norm: f64,
    pub(crate) accumulate: usize,
}

/// `[train]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrainConfig {
    pub(crate) epochs: u64,
    pub(crate) steps: u64,
    pub(crate) precision: String,
    pub(crate) loss_reduction: LossReduction,
    pub(crate) length_multiple: usize,
}

/// `[checkpoint]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckpointConfig {
    pub(crate) every_steps: u64,
    pub(crate) keep_last: usize,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogConfig {
    pub(crate) every_steps: u64,
    pub(crate) masks: String,
    pub(crate) salience: bool,
    pub(crate) pictures: usize,
}

impl Config {
    /// Defaults, over them `file` (without one: [`BUILTIN_TOML`]), over that every `KEY=VALUE` of `overrides`.
    ///
    /// # Errors
    /// If the file cannot be read, a key is unknown (with the nearest known one), or a value has
    /// the wrong type or is not one of the allowed names.
    pub(crate) fn load(file: Option<&Path>, overrides: &[String]) -> Result<Self> {
        let mut table = layers::defaults();
        let (name, text) = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read the configuration {}", path.display()))?;
                (path.display().to_string(), text)
            }
            None => (
                "the built-in configuration".to_owned(),
                BUILTIN_TOML.to_owned(),
            ),
        };
        let layer: toml::Table = text
            .parse()
            .with_context(|| format!("{name} is not valid TOML"))?;
        layers::lay_over(&mut table, &layer).with_context(|| format!("in {name}"))?;
        for assignment in overrides {
            let layer = layers::parse_assignment(assignment)?;
            layers::lay_over(&mut table, &layer)
                .with_context(|| format!("in --set {assignment}"))?;
        }
        layers::typed(table)
    }

    /// The configuration with every default and override in place, as TOML.
    ///
    /// # Errors
    /// If a value has no TOML form.
    pub(crate) fn to_toml(&self) -> Result<String> {
        toml::to_string(self).context("the configuration cannot be written as TOML")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(overrides: &[&str]) -> Result<Config> {
        Config::load(
            None,
            &overrides
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
        )
    }

    fn error(overrides: &[&str]) -> String {
        format!("{:#}", load(overrides).expect_err("refused"))
    }

    #[test]
    fn the_default_configuration_is_complete_and_survives_its_own_toml() {
        let config = load(&[]).expect("defaults are valid");
        let again: Config = toml::from_str(&config.to_toml().expect("written")).expect("read");
        assert_eq!(again, config);
    }

    #[test]
    fn overrides_are_toml_values_and_what_is_not_toml_is_a_string() {
        let config = load(&[
            "mask.delta=0.3",
            "mask.layer=2",
            "model.preset=tiny",
            "model.image_size=[64, 96]",
            "optim.warmup_epochs=5",
            "seed=7",
        ])
        .expect("valid");
        assert!((config.mask.delta - 0.3).abs() < 1e-12);
        assert_eq!(config.mask.layer, SalienceLayer::Block(2));
        assert_eq!(config.model.preset, "tiny");
        assert_eq!(config.model.image_size.height_width(), [64, 96]);
        assert_eq!(config.seed, 7);
    }

    #[test]
    fn unknown_keys_name_the_nearest_known_one() {
        assert!(
            error(&["mask.detla=0.3"]).contains("did you mean mask.delta?"),
            "{}",
            error(&["mask.detla=0.3"])
        );
        assert!(
            error(&["delta=0.3"]).contains("mask.delta"),
            "{}",
            error(&["delta=0.3"])
        );
        assert!(error(&["mask=3"]).contains("mask"));
        assert!(error(&["nothing"]).contains("KEY=VALUE"));
    }

    #[test]
    fn wrong_values_name_the_key_and_what_is_allowed() {
        let message = error(&["mask.strategy=salient"]);
        assert!(
            message.contains("mask.strategy") && message.contains("salience"),
            "{message}"
        );
        let message = error(&["data.batch_size=many"]);
        assert!(message.contains("data.batch_size"), "{message}");
    }

    #[test]
    fn differences_are_named_with_both_values() {
        let (a, b) = (
            load(&[]).expect("valid"),
            load(&["mask.delta=0.5", "seed=1"]).expect("valid"),
        );
        let found = differences(&a, &b).expect("tables");
        let keys: Vec<&str> = found
            .iter()
            .map(|difference| difference.key.as_str())
            .collect();
        assert_eq!(keys, ["mask.delta", "seed"]);
        assert!(differences(&a, &a).expect("tables").is_empty());
    }
}
