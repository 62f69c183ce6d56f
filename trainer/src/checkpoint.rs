//! Checkpoints: everything a run needs to go on exactly where it was.
//!
//! `checkpoints/step-00001200/` holds the state after 1,200 optimiser steps. It is written beside
//! and renamed, after the mask log's parts, so that a folder of that name is always whole.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use sbam_loader::LoaderState;
use sbam_model::Mae;
use sbam_model::weights::{load_arrays, read_safetensors, to_arrays, write_safetensors};
use serde::{Deserialize, Serialize};

use crate::files::{sync_folder, write_whole};
use crate::optimiser::Optimiser;

/// Version of `state.json`.
const STATE_VERSION: u32 = 1;
const MODEL_FILE: &str = "model.safetensors";
const OPTIMISER_FILE: &str = "optimizer.safetensors";
const STATE_FILE: &str = "state.json";

/// What stands beside the weights and the optimiser's moments.
///
/// There is no generator state: every draw is a function of seed, epoch and sample.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunState {
    version: u32,
    /// Completed optimiser steps.
    pub(crate) step: u64,
    /// Updates of the optimiser.
    updates: u64,
    /// Where the loader goes on.
    pub(crate) loader: LoaderState,
}

/// The folder of the checkpoint after `step` steps.
pub(crate) fn folder_of_step(checkpoints: &Path, step: u64) -> PathBuf {
    checkpoints.join(format!("step-{step:08}"))
}

/// The steps of which there are whole checkpoints, ascending.
pub(crate) fn saved_steps(checkpoints: &Path) -> Result<Vec<u64>> {
    if !checkpoints.exists() {
        return Ok(Vec::new());
    }
    let mut steps = Vec::new();
    for entry in fs::read_dir(checkpoints)
        .with_context(|| format!("cannot list {}", checkpoints.display()))?
    {
        let name = entry?.file_name();
        if let Some(step) = name
            .to_string_lossy()
            .strip_prefix("step-")
            .and_then(|step| step.parse().ok())
        {
            steps.push(step);
        }
    }
    steps.sort_unstable();
    Ok(steps)
}

/// Saves the state after `step` steps, then removes all but the newest `keep_last` checkpoints.
pub(crate) fn save(
    checkpoints: &Path,
    step: u64,
    model: &Mae,
    optimiser: &Optimiser,
    loader: &LoaderState,
    keep_last: usize,
) -> Result<()> {
    fs::create_dir_all(checkpoints)
        .with_context(|| format!("cannot make {}", checkpoints.display()))?;
    let partial = checkpoints.join(format!(".partial-step-{step:08}"));
    remove_folder(&partial)?;
    fs::create_dir(&partial).with_context(|| format!("cannot make {}", partial.display()))?;
    let (moments, updates) = optimiser.to_arrays();
    let state = RunState {
        version: STATE_VERSION,
        step,
        updates,
        loader: loader.clone(),
    };
    write_whole(
        &partial.join(MODEL_FILE),
        &write_safetensors(&to_arrays(model), HashMap::new())?,
    )?;
    write_whole(
        &partial.join(OPTIMISER_FILE),
        &write_safetensors(&moments, HashMap::new())?,
    )?;
    write_whole(
        &partial.join(STATE_FILE),
        &serde_json::to_vec_pretty(&state)?,
    )?;
    let folder = folder_of_step(checkpoints, step);
    remove_folder(&folder)?;
    fs::rename(&partial, &folder)
        .with_context(|| format!("cannot rename {}", partial.display()))?;
    sync_folder(checkpoints)?;

    let steps = saved_steps(checkpoints)?;
    for old in steps.iter().rev().skip(keep_last) {
        remove_folder(&folder_of_step(checkpoints, *old))?;
    }
    Ok(())
}

/// Puts the checkpoint after `step` steps into a model and an optimiser of the same configuration.
pub(crate) fn load(
    checkpoints: &Path,
    step: u64,
    model: Mae,
    optimiser: &mut Optimiser,
    device: &Device,
) -> Result<(Mae, RunState)> {
    let folder = folder_of_step(checkpoints, step);
    let in_folder = || {
        format!(
            "the checkpoint {} cannot be resumed; remove that folder to go on from the checkpoint before it",
            folder.display()
        )
    };
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read(&path)
            .with_context(|| format!("cannot read {}", path.display()))
            .with_context(in_folder)
    };
    let state: RunState = serde_json::from_slice(&read(STATE_FILE)?).with_context(in_folder)?;
    ensure!(
        state.version == STATE_VERSION,
        "{}: its version is {}, this program reads {STATE_VERSION}",
        in_folder(),
        state.version
    );
    let model = load_arrays(
        model,
        read_safetensors(&read(MODEL_FILE)?).with_context(in_folder)?,
    )
    .with_context(in_folder)?;
    let moments = read_safetensors(&read(OPTIMISER_FILE)?).with_context(in_folder)?;
    optimiser
        .load_arrays(&model, moments, state.updates, device)
        .with_context(in_folder)?;
    Ok((model, state))
}

/// Removes what a killed run left of an unfinished checkpoint.
pub(crate) fn remove_partial(checkpoints: &Path) -> Result<()> {
    if !checkpoints.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(checkpoints)? {
        let path = entry?.path();
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(".partial-"))
        {
            remove_folder(&path)?;
        }
    }
    Ok(())
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
