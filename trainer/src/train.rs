//! The training loop: batches in, steps, logs and checkpoints out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use sbam_loader::{Batch, Dataset, Loader, LoaderState, Receipt, Verdict};
use sbam_model::Mae;

use crate::checkpoint;
use crate::files::write_whole;
use crate::mask_log::{MaskLog, StepRows};
use crate::metrics::{Metrics, MetricsLine};
use crate::optimiser::Optimiser;
use crate::pictures::FixedSet;
use crate::plan::{Plan, available_cores};
use crate::progress::TrainingDisplay;
use crate::run_dir::RunDir;
use crate::say;
use crate::schedule::Schedule;
use crate::step::{StepReport, StepSchedule, optimiser_step};
use crate::stop::Stop;
use crate::summary::Summary;
use crate::tensorboard::TensorBoard;

/// From this share of the time on, waiting for data is worth a word about what would shorten it.
const NOTABLE_DATA_SHARE: f64 = 0.05;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All steps are done.
    Finished,
    /// It was asked to stop, and saved.
    Stopped,
}

/// A run that is ready to go on.
pub(crate) struct Training {
    pub(crate) plan: Plan,
    /// Device without autodiff.
    pub(crate) device: Device,
    pub(crate) dataset: Arc<Dataset>,
    pub(crate) loader: Loader,
    /// Where the loader goes on after the last completed step.
    pub(crate) resume_point: LoaderState,
    /// Present but for the moment in which a step consumes it.
    pub(crate) model: Option<Mae>,
    pub(crate) optimiser: Optimiser,
    pub(crate) schedule: Schedule,
    pub(crate) run_dir: RunDir,
    pub(crate) mask_log: Option<MaskLog>,
    pub(crate) metrics: Metrics,
    pub(crate) tensorboard: TensorBoard,
    pub(crate) fixed_set: FixedSet,
    /// Completed optimiser steps.
    pub(crate) step: u64,
    pub(crate) total_steps: u64,
    pub(crate) steps_per_epoch: u64,
}

/// The batches of one step and how long they were waited for.
struct StepBatches {
    batches: Vec<Batch>,
    waited: Duration,
}

impl Training {
    /// Trains to the end, or until `stop` is set; saves either way.
    pub(crate) fn run(&mut self, stop: &Stop) -> Result<Ending> {
        let first_step = self.step;
        let mut display = TrainingDisplay::new(first_step, self.total_steps);
        display.note(&self.opening());
        if first_step == 0 {
            self.write_pictures()?;
        }
        stop.training_begins();
        let mut summary = Summary::new();
        let mut saved_at = first_step;
        let mut data_error = None;
        while self.step < self.total_steps && !stop.is_requested() {
            let started = Instant::now();
            let StepBatches { batches, waited } = match self.next_batches() {
                Ok(batches) => batches,
                Err(error) => {
                    // The steps so far are sound: they are saved before the run ends.
                    data_error = Some(error);
                    break;
                }
            };
            let (report, schedule) = self.train_on(&batches)?;
            let line =
                MetricsLine::of_step(&batches, &report, &schedule, started.elapsed(), waited);
            let (state, receipt) = last_state(&batches)?;
            self.log(&batches, report, &line)?;
            drop(batches);
            self.resume_point = state;
            summary.take_up(&line, waited);
            display.step(&line);
            self.step += 1;
            if let Some(receipt) = receipt {
                self.record_receipt(&receipt)?;
            }
            if self.step.is_multiple_of(self.checkpoint_every()) || self.step == self.total_steps {
                self.save()?;
                saved_at = self.step;
            }
        }
        if saved_at != self.step {
            self.save()?;
        }
        if let Some(mask_log) = self.mask_log.take() {
            mask_log.finish()?;
        }
        drop(display);
        if let Some(error) = data_error {
            return Err(error.context(format!(
                "stopped after step {} of {}, which is saved in {}",
                self.step,
                self.total_steps,
                self.run_dir.root().display()
            )));
        }
        if self.step == self.total_steps {
            say::result(&self.closing(&summary));
            return Ok(Ending::Finished);
        }
        say::result(&format!(
            "stopped after step {} of {}; continue with\n  trainer run --resume {}",
            self.step,
            self.total_steps,
            self.run_dir.root().display()
        ));
        Ok(Ending::Stopped)
    }

    fn checkpoint_every(&self) -> u64 {
        match self.plan.config.checkpoint.every_steps {
            0 => self.steps_per_epoch,
            steps => steps,
        }
    }

    fn next_batches(&mut self) -> Result<StepBatches> {
        let started = Instant::now();
        let mut batches = Vec::with_capacity(self.plan.config.optim.accumulate);
        for _ in 0..self.plan.config.optim.accumulate {
            match self.loader.next_batch()? {
                Some(batch) => batches.push(batch),
                None => bail!(
                    "the data ended after step {} of {}",
                    self.step,
                    self.total_steps
                ),
            }
        }
        if let Some(last) = batches.last() {
            self.check_skipped(last.state().quarantine.len())?;
        }
        Ok(StepBatches {
            batches,
            waited: started.elapsed(),
        })
    }

    /// With `data.on_error = "skip"`: more bad samples than the budget are an error of their own.
    fn check_skipped(&self, skipped: usize) -> Result<()> {
        let budget = self.plan.config.data.max_skipped_share * self.dataset.len() as f64;
        if skipped as f64 <= budget.max(1.0) {
            return Ok(());
        }
        let last = self.loader.state().quarantine.last();
        let example = last.map_or_else(String::new, |bad| {
            format!(
                "; the last: shard {}, sample {}: {}",
                bad.shard, bad.key, bad.reason
            )
        });
        bail!(
            "{skipped} images could not be decoded, more than data.max_skipped_share = {} of {}{example}",
            self.plan.config.data.max_skipped_share,
            self.dataset.len()
        )
    }

    fn train_on(&mut self, batches: &[Batch]) -> Result<(StepReport, StepSchedule)> {
        let warmup_steps = self.plan.config.mask.warmup_epochs * self.steps_per_epoch as f64;
        let schedule = StepSchedule {
            step: self.step,
            epoch: batches.first().map_or(0, Batch::epoch),
            learning_rate: self.schedule.at(self.step),
            warming_up: (self.step as f64) < warmup_steps,
        };
        let model = self
            .model
            .take()
            .context("the model was lost in a failed step")?;
        let (model, report) = optimiser_step(
            &self.plan,
            model,
            &mut self.optimiser,
            batches,
            &self.device,
            schedule,
        )?;
        self.model = Some(model);
        Ok((report, schedule))
    }

    fn log(&mut self, batches: &[Batch], report: StepReport, line: &MetricsLine) -> Result<()> {
        if line.step.is_multiple_of(self.plan.config.log.every_steps)
            || line.step + 1 == self.total_steps
        {
            self.metrics.append(line)?;
            self.tensorboard.append(line.step, &line.scalars())?;
        }
        let Some(mask_log) = &mut self.mask_log else {
            return Ok(());
        };
        let samples = batches.iter().flat_map(Batch::samples);
        let rows = samples
            .zip(report.masks)
            .zip(report.loss_per_sample)
            .filter(|((sample, _), _)| {
                self.plan
                    .mask_log
                    .logs(line.step, self.fixed_set.contains(sample.sample_index))
            })
            .map(|((sample, mask), loss)| crate::mask_log::SampleRow {
                sample: *sample,
                key: self.dataset.sample(sample.sample_index).key.clone(),
                mask,
                loss,
            })
            .collect();
        mask_log.append(StepRows {
            step: line.step,
            epoch: line.epoch,
            rows,
        })
    }

    /// Saves everything: the logs first, the checkpoint last, so that it never runs ahead of them.
    fn save(&mut self) -> Result<()> {
        if !self.plan.ranks.writes_shared_files() {
            return Ok(());
        }
        if let Some(mask_log) = &mut self.mask_log {
            mask_log.flush()?;
        }
        self.metrics.sync()?;
        self.write_pictures()?;
        let model = self
            .model
            .as_ref()
            .context("the model was lost in a failed step")?;
        let keep_last = self.plan.config.checkpoint.keep_last;
        checkpoint::save(
            &self.run_dir.checkpoints(),
            self.step,
            model,
            &self.optimiser,
            &self.resume_point,
            keep_last,
        )
    }

    fn write_pictures(&self) -> Result<()> {
        if self.fixed_set.is_empty() {
            return Ok(());
        }
        let model = self
            .model
            .as_ref()
            .context("the model was lost in a failed step")?;
        self.fixed_set.write_pictures(
            &self.run_dir.picture(self.step),
            &self.plan,
            model,
            &self.device,
        )
    }

    /// Checks and writes the account of a finished epoch.
    fn record_receipt(&self, receipt: &Receipt) -> Result<()> {
        receipt
            .check(self.dataset.len())
            .context("the epoch's account does not come out even")?;
        let path = self.run_dir.receipt(receipt.epoch);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        write_whole(&path, &serde_json::to_vec_pretty(receipt)?)
    }

    fn opening(&self) -> String {
        let Plan {
            config,
            model,
            global_batch,
            ..
        } = &self.plan;
        let [height, width] = self.plan.height_width();
        let from = if self.step > 0 {
            format!(", going on after step {}", self.step)
        } else {
            String::new()
        };
        format!(
            "{} images · {} at {height}×{width}, patch {} · {:?} masks · {} images a step · {} steps of {} to an epoch{from}\n\
             loader memory: about {}\n\
             writing to {}",
            self.dataset.len(),
            config.model.preset,
            model.patch_size,
            config.mask.strategy,
            global_batch,
            self.total_steps,
            self.steps_per_epoch,
            self.plan.loader().memory(&self.dataset),
            self.run_dir.root().display()
        )
    }

    fn closing(&self, summary: &Summary) -> String {
        let root = self.run_dir.root().display();
        let mut lines = vec![summary.text(self.total_steps)];
        if summary.data_share() > NOTABLE_DATA_SHARE {
            let verdict = Verdict::new(
                &self.loader.stats(),
                summary.seconds(),
                available_cores() as u64,
            );
            lines.push(format!("the loader is {verdict}"));
        }
        lines.push(format!("written to {root}"));
        lines.push("  metrics.jsonl      one line per step (tensorboard --logdir reads the event files beside it)".to_owned());
        if !matches!(self.plan.mask_log, crate::mask_log::MaskLogPolicy::Off) {
            lines.push(
                "  masks/             what was masked in every sample, and why (Parquet)"
                    .to_owned(),
            );
        }
        if !self.fixed_set.is_empty() {
            lines.push("  pictures/          input, mask, salience, reconstruction".to_owned());
        }
        lines.push(format!(
            "  checkpoints/       the last: step-{:08}/model.safetensors (MAE's names)",
            self.step
        ));
        if !self.resume_point.quarantine.is_empty() {
            lines.push(format!(
                "{} images could not be decoded and were left out: see quarantine in the checkpoint's state.json",
                self.resume_point.quarantine.len()
            ));
        }
        lines.push("next".to_owned());
        lines.push(format!(
            "  duckdb -c \"SELECT epoch, avg(mask_ratio), avg(loss) FROM '{root}/masks/**/*.parquet' GROUP BY epoch ORDER BY epoch\""
        ));
        lines.push("  cargo run --release -- run --set mask.strategy=random        the same run as plain MAE".to_owned());
        lines.push(
            "  cargo run --release -- run --data FOLDER_OF_PHOTOGRAPHS      your own images"
                .to_owned(),
        );
        lines.join("\n")
    }
}

/// The resume point after the step's last batch, and the receipt if it ended an epoch.
fn last_state(batches: &[Batch]) -> Result<(LoaderState, Option<Receipt>)> {
    let last = batches.last().context("a step has a batch")?;
    Ok((last.state().clone(), last.receipt().cloned()))
}
