//! `environment.json`: with what each start of a run ran.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::files::write_whole;

/// As pinned in `Cargo.toml`.
const BURN_VERSION: &str = "0.22.1";

/// Facts about the run that do not come from its configuration.
pub(crate) struct Facts<'a> {
    pub(crate) device: &'a str,
    pub(crate) first_step: u64,
    pub(crate) parameters: usize,
    pub(crate) images: u64,
    pub(crate) manifest_hash: &'a str,
    pub(crate) config_hash: &'a str,
    pub(crate) global_batch: u64,
    pub(crate) steps_per_epoch: u64,
    pub(crate) total_steps: u64,
}

/// What each start recorded, the oldest first; none where there is no file yet.
fn read_starts(path: &Path) -> Result<Vec<Value>> {
    match std::fs::read(path) {
        Ok(bytes) => {
            let value: Value = serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is not valid JSON", path.display()))?;
            Ok(value["starts"].as_array().cloned().unwrap_or_default())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// What the last start recorded under a key, for example `device`.
pub(crate) fn last_start(path: &Path, key: &str) -> Result<Option<String>> {
    let starts = read_starts(path)?;
    Ok(starts
        .last()
        .and_then(|start| start[key].as_str())
        .map(ToOwned::to_owned))
}

/// Adds this start to `environment.json`: an object with a list `starts`, the oldest first.
pub(crate) fn record_start(path: &Path, facts: &Facts<'_>) -> Result<()> {
    let mut starts = read_starts(path)?;
    starts.push(json!({
        "first_step": facts.first_step,
        "sbam_version": env!("CARGO_PKG_VERSION"),
        "burn_version": BURN_VERSION,
        "command_line": std::env::args().collect::<Vec<_>>(),
        "device": facts.device,
        "operating_system": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "cpu": cpu_name(),
        "memory_bytes": memory_bytes(),
        "parameters": facts.parameters,
        "data_images": facts.images,
        "data_manifest_hash": facts.manifest_hash,
        "config_hash": facts.config_hash,
        "global_batch": facts.global_batch,
        "steps_per_epoch": facts.steps_per_epoch,
        "total_steps": facts.total_steps,
    }));
    write_whole(
        path,
        &serde_json::to_vec_pretty(&json!({ "starts": starts }))?,
    )
}

/// The processor's name where the system tells it (Linux).
fn cpu_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}
