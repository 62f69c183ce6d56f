//! `metrics.jsonl`: one line per logged step.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use sbam_loader::Batch;
use sbam_model::SampleMask;
use serde::Serialize;

use crate::files::write_whole;
use crate::step::{StepReport, StepSchedule};

/// One line: what a step measured. The fields from `images_per_s` on depend on the machine; all
/// others are the same in every run of the same configuration and data.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct MetricsLine {
    /// Index of the optimiser step, from 0.
    pub(crate) step: u64,
    pub(crate) epoch: u64,
    pub(crate) loss: f64,
    pub(crate) learning_rate: f64,
    /// Global norm of the gradient before clipping.
    pub(crate) gradient_norm: f64,
    /// Over the step's samples of weight above 0.
    pub(crate) mask_ratio_mean: f64,
    pub(crate) mask_ratio_min: f32,
    pub(crate) mask_ratio_max: f32,
    /// Mean y; none while masks are random.
    pub(crate) salient_fraction_mean: Option<f64>,
    /// Share of the encoder's patch-token slots that held padding.
    pub(crate) padded_token_share: f64,
    /// Samples of the step with weight 0: padding and replaced ones.
    pub(crate) samples_without_weight: usize,
    /// Samples quarantined so far.
    pub(crate) quarantined: usize,
    pub(crate) images_per_s: f64,
    /// Share of the step's time that was spent waiting for data.
    pub(crate) data_wait_share: f64,
    pub(crate) step_s: f64,
}

impl MetricsLine {
    /// The line of a step over these batches.
    pub(crate) fn of_step(
        batches: &[Batch],
        report: &StepReport,
        schedule: &StepSchedule,
        elapsed: Duration,
        waited: Duration,
    ) -> Self {
        let samples = || batches.iter().flat_map(Batch::samples);
        let counted: Vec<&SampleMask> = samples()
            .zip(&report.masks)
            .filter(|(sample, _)| sample.loss_weight > 0.0)
            .map(|(_, mask)| mask)
            .collect();
        let ratios = || counted.iter().map(|mask| mask.mask_ratio);
        let fractions: Vec<f64> = counted
            .iter()
            .filter_map(|mask| mask.salience.as_ref())
            .map(|salience| f64::from(salience.fraction))
            .collect();
        let count = counted.len().max(1) as f64;
        let step_s = elapsed.as_secs_f64().max(1e-9);
        Self {
            step: schedule.step,
            epoch: schedule.epoch,
            loss: report.loss,
            learning_rate: schedule.learning_rate,
            gradient_norm: report.gradient_norm,
            mask_ratio_mean: ratios().map(f64::from).sum::<f64>() / count,
            mask_ratio_min: ratios().reduce(f32::min).unwrap_or(0.0),
            mask_ratio_max: ratios().reduce(f32::max).unwrap_or(0.0),
            salient_fraction_mean: (!fractions.is_empty())
                .then(|| fractions.iter().sum::<f64>() / fractions.len() as f64),
            padded_token_share: report.padded_share,
            samples_without_weight: samples().filter(|sample| sample.loss_weight <= 0.0).count(),
            quarantined: batches
                .last()
                .map_or(0, |batch| batch.state().quarantine.len()),
            images_per_s: report.masks.len() as f64 / step_s,
            data_wait_share: waited.as_secs_f64() / step_s,
            step_s,
        }
    }

    /// The numbers by name, as TensorBoard shows them.
    pub(crate) fn scalars(&self) -> Vec<(&'static str, f64)> {
        let mut scalars = vec![
            ("train/loss", self.loss),
            ("train/learning_rate", self.learning_rate),
            ("train/gradient_norm", self.gradient_norm),
            ("mask/ratio_mean", self.mask_ratio_mean),
            ("mask/ratio_min", f64::from(self.mask_ratio_min)),
            ("mask/ratio_max", f64::from(self.mask_ratio_max)),
            ("mask/padded_token_share", self.padded_token_share),
            ("speed/images_per_s", self.images_per_s),
            ("speed/data_wait_share", self.data_wait_share),
        ];
        scalars.extend(
            self.salient_fraction_mean
                .map(|fraction| ("mask/salient_fraction_mean", fraction)),
        );
        scalars
    }
}

/// Appends lines to `metrics.jsonl`.
pub(crate) struct Metrics {
    file: BufWriter<File>,
}

impl Metrics {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self {
            file: BufWriter::new(file),
        })
    }

    /// Appends a line; readers see it at once.
    pub(crate) fn append(&mut self, line: &MetricsLine) -> Result<()> {
        serde_json::to_writer(&mut self.file, line).context("cannot write metrics.jsonl")?;
        self.file
            .write_all(b"\n")
            .and_then(|()| self.file.flush())
            .context("cannot write metrics.jsonl")
    }

    /// Makes every line so far durable.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.file
            .get_ref()
            .sync_all()
            .context("cannot write metrics.jsonl")
    }
}

/// Removes the lines of steps from `step` on, and a last line that a kill cut short.
pub(crate) fn remove_lines_from(path: &Path, step: u64) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let of_step = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        line.get("step")?.as_u64()
    };
    let kept: String = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n') && of_step(line).is_some_and(|of| of < step))
        .collect();
    write_whole(path, kept.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_and_cut_lines_go_and_the_others_stay_as_they_were() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("metrics.jsonl");
        std::fs::write(
            &path,
            "{\"step\":0,\"a\":1}\n{\"step\":1}\n{\"step\":2}\n{\"st",
        )
        .expect("written");
        remove_lines_from(&path, 2).expect("cut");
        assert_eq!(
            std::fs::read_to_string(&path).expect("read"),
            "{\"step\":0,\"a\":1}\n{\"step\":1}\n"
        );
    }
}
