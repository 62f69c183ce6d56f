//! `trainer run`: from a command line to a finished run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use burn::module::Module;
use burn::tensor::Device;
use sbam_loader::{Dataset, Loader};
use sbam_model::Mae;
use sbam_tools::Interrupted;
use sha2::{Digest, Sha256};

use crate::checkpoint;
use crate::config::{Config, Difference, OnError, differences};
use crate::data;
use crate::device::device_of_name;
use crate::environment::{Facts, last_start, record_start};
use crate::mask_log::{LogContext, MaskLog};
use crate::metrics::Metrics;
use crate::optimiser::Optimiser;
use crate::pictures::FixedSet;
use crate::plan::Plan;
use crate::run_dir::RunDir;
use crate::say;
use crate::schedule::Schedule;
use crate::stop::{STOPPED_EXIT_CODE, Stop};
use crate::tensorboard::TensorBoard;
use crate::train::{Ending, Training};

/// What `trainer run` is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunArguments {
    pub(crate) config: Option<PathBuf>,
    pub(crate) data: Option<String>,
    pub(crate) overrides: Vec<String>,
    pub(crate) out: Option<PathBuf>,
    /// Without one: the device of the run that goes on, else the CPU.
    pub(crate) device: Option<String>,
    pub(crate) resume: Option<PathBuf>,
}

/// Keys that a resume may change: they alter nothing about the steps so far.
const CHANGEABLE: [&str; 10] = [
    "data.train",    // the data set itself is compared by its manifest
    "data.on_error", // so that a run that met a bad image can go on; the steps so far had none
    "data.max_skipped_share",
    "data.threads",
    "data.fetch_threads",
    "data.fetch_ahead_mb",
    "data.prefetch_batches",
    "data.verify_checksums",
    "checkpoint.every_steps",
    "checkpoint.keep_last",
];

/// Runs, and returns the exit code.
pub(crate) fn run(arguments: &RunArguments) -> Result<u8> {
    let stop = Stop::listen()?;
    match prepare(arguments, &stop) {
        Ok(mut training) => match training.run(&stop)? {
            Ending::Finished => Ok(0),
            Ending::Stopped => Ok(STOPPED_EXIT_CODE),
        },
        Err(error) if error.is::<Interrupted>() => {
            say::note("stopped before training began; nothing was written to a run folder");
            Ok(STOPPED_EXIT_CODE)
        }
        Err(error) => Err(error),
    }
}

/// Everything up to the first step: checks come first, the run folder last.
fn prepare(arguments: &RunArguments, stop: &Stop) -> Result<Training> {
    let config = read_config(arguments)?;
    let device_name = device_name(arguments)?;
    let device = device_of_name(&device_name)?;
    let mut plan = Plan::new(config, &device)?;
    // Before anything long: a folder that cannot be used is said at once.
    if let (None, Some(out)) = (&arguments.resume, &arguments.out) {
        refuse_used_folder(out)?;
    }
    let dataset = data::open(&plan.config.data.train, stop)?;
    if stop.is_requested() {
        return Err(Interrupted.into());
    }
    plan.config.data.train = data::absolute(&plan.config.data.train)?;
    let model = Mae::new(&plan.model, plan.config.seed, &device.clone().autodiff())?;
    let prepared = Prepared {
        config_hash: hash_of(&plan.config)?,
        optimiser: Optimiser::new(&plan.config.optim),
        plan,
        dataset,
        device_name,
        device,
        model,
    };
    match &arguments.resume {
        None => prepared.start(arguments),
        Some(folder) => prepared.resume(folder),
    }
}

/// The device that is asked for, or that the run to go on had.
fn device_name(arguments: &RunArguments) -> Result<String> {
    let before = match &arguments.resume {
        Some(folder) => last_start(&RunDir::environment_of(folder), "device")?,
        None => None,
    };
    Ok(arguments
        .device
        .clone()
        .or(before)
        .unwrap_or_else(|| "cpu".to_owned()))
}

/// The configuration of a new run, or of the run that goes on.
fn read_config(arguments: &RunArguments) -> Result<Config> {
    let mut overrides = arguments.overrides.clone();
    if let Some(data) = &arguments.data {
        // As a TOML string, whatever characters it has.
        overrides.push(format!("data.train={}", toml::Value::String(data.clone())));
    }
    let Some(folder) = &arguments.resume else {
        return Config::load(arguments.config.as_deref(), &overrides);
    };
    if arguments.out.is_some() {
        bail!("--resume goes on in its own folder; leave out --out");
    }
    if !folder.is_dir() {
        bail!("--resume {}: there is no such folder", folder.display());
    }
    let stored_path = RunDir::resolved_config(folder);
    if !stored_path.is_file() {
        bail!(
            "{} holds no run (there is no config.resolved.toml in it)",
            folder.display()
        );
    }
    let stored = Config::load(Some(&stored_path), &[])?;
    let given = Config::load(
        Some(arguments.config.as_ref().unwrap_or(&stored_path)),
        &overrides,
    )?;
    let refused: Vec<String> = differences(&stored, &given)?
        .into_iter()
        .filter(|difference| !CHANGEABLE.contains(&difference.key.as_str()))
        .map(|Difference { key, first, second }| format!("{key} was {first} and would be {second}"))
        .collect();
    if !refused.is_empty() {
        bail!(
            "{} cannot go on with another configuration: {}; start a new run instead",
            folder.display(),
            refused.join("; ")
        );
    }
    Ok(given)
}

fn refuse_used_folder(out: &Path) -> Result<()> {
    if RunDir::resolved_config(out).exists() {
        bail!(
            "{0} already holds a run; continue it with `trainer run --resume {0}`, or choose another --out",
            out.display()
        );
    }
    if out.is_file() {
        bail!("--out {}: that is a file", out.display());
    }
    Ok(())
}

/// What a run is made of, checked, before it has a folder.
struct Prepared {
    plan: Plan,
    dataset: Arc<Dataset>,
    config_hash: String,
    device_name: String,
    device: Device,
    model: Mae,
    optimiser: Optimiser,
}

impl Prepared {
    /// A new run in a folder of its own.
    fn start(self, arguments: &RunArguments) -> Result<Training> {
        let loader = Loader::start(Arc::clone(&self.dataset), self.plan.loader(), None)?;
        // Read before the folder is made: data that cannot be read leaves no folder.
        let fixed_set = self.fixed_set()?;
        let run_dir = RunDir::create(
            arguments.out.as_deref(),
            &self.plan.config,
            arguments.config.as_deref(),
        )?;
        self.assemble(loader, fixed_set, run_dir, 0)
    }

    /// The run in `folder`, from its last checkpoint on.
    fn resume(mut self, folder: &Path) -> Result<Training> {
        let run_dir = RunDir::open(folder)?;
        let known_data = last_start(&run_dir.environment(), "data_manifest_hash")?;
        if let Some(known) = known_data.filter(|known| known != self.dataset.hash()) {
            bail!(
                "{} cannot go on with other data: its manifest hash was {known} and would be {}",
                folder.display(),
                self.dataset.hash()
            );
        }
        let (first_step, state) = match checkpoint::saved_steps(&run_dir.checkpoints())?.last() {
            Some(step) => {
                let (model, state) = checkpoint::load(
                    &run_dir.checkpoints(),
                    *step,
                    self.model,
                    &mut self.optimiser,
                    &self.device,
                )?;
                self.model = model;
                (state.step, Some(state.loader))
            }
            // Stopped before the first checkpoint: the run begins anew, in its own folder.
            None => (0, None),
        };
        let epoch = state.as_ref().map_or(0, |state| state.epoch);
        let loader = Loader::start(Arc::clone(&self.dataset), self.plan.loader(), state)
            .with_context(|| format!("{} cannot go on with this data", folder.display()))?;
        run_dir.forget_steps_from(first_step)?;
        run_dir.forget_receipts_from(epoch)?;
        // The data may have moved: from here on the run knows its new place.
        run_dir.write_resolved(&self.plan.config)?;
        let fixed_set = self.fixed_set()?;
        self.assemble(loader, fixed_set, run_dir, first_step)
    }

    fn fixed_set(&self) -> Result<FixedSet> {
        FixedSet::read(
            &self.dataset,
            self.plan.config.log.pictures,
            self.plan.height_width(),
        )
    }

    fn assemble(
        self,
        loader: Loader,
        fixed_set: FixedSet,
        run_dir: RunDir,
        first_step: u64,
    ) -> Result<Training> {
        let Self {
            plan,
            dataset,
            config_hash,
            device_name,
            device,
            model,
            optimiser,
        } = self;
        let steps_per_epoch = loader.steps_per_epoch();
        let train = &plan.config.train;
        let total_steps = if train.steps > 0 {
            train.steps
        } else {
            train.epochs * steps_per_epoch
        };
        let schedule = Schedule::new(
            &plan.config.optim,
            plan.global_batch,
            steps_per_epoch,
            total_steps,
        );
        record_start(
            &run_dir.environment(),
            &Facts {
                device: &device_name,
                first_step,
                parameters: model.num_params(),
                images: dataset.len(),
                manifest_hash: dataset.hash(),
                config_hash: &config_hash,
                global_batch: plan.global_batch,
                steps_per_epoch,
                total_steps,
            },
        )?;
        let context = LogContext {
            grid: plan.model.grid(),
            config_hash,
            rank: plan.ranks.rank,
            with_salience: plan.config.log.salience,
        };
        let mask_log = MaskLog::start(run_dir.masks(), context)?;
        let metrics = Metrics::open(&run_dir.metrics())?;
        let tensorboard = TensorBoard::create(run_dir.root())?;
        let resume_point = loader.state().clone();
        Ok(Training {
            plan,
            device,
            dataset,
            loader,
            resume_point,
            model: Some(model),
            optimiser,
            schedule,
            run_dir,
            mask_log: Some(mask_log),
            metrics,
            tensorboard,
            fixed_set,
            step: first_step,
            total_steps,
            steps_per_epoch,
        })
    }
}

/// Hash of the configuration, without the keys that a resume may change.
fn hash_of(config: &Config) -> Result<String> {
    let mut significant = config.clone();
    significant.data.train.clear();
    significant.data.threads = 0;
    significant.data.fetch_threads = 0;
    significant.data.fetch_ahead_mb = 0;
    significant.data.on_error = OnError::Error;
    significant.data.max_skipped_share = 0.0;
    significant.data.prefetch_batches = 0;
    significant.data.verify_checksums = false;
    significant.checkpoint.every_steps = 0;
    significant.checkpoint.keep_last = 0;
    let digest = Sha256::digest(significant.to_toml()?.as_bytes());
    Ok(digest
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
}
