//! `environment.json`: with what each start of a run ran.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::files::write_whole;

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

/// Adds this start to `environment.json`: an object with a list `starts`, the oldest first.
pub(crate) fn record_start(path: &Path, facts: &Facts<'_>) -> Result<()> {
    let mut starts = match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice::<Value>(&bytes)
            .with_context(|| format!("{} is not valid JSON", path.display()))?["starts"]
            .as_array()
            .cloned()
            .unwrap_or_default(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    starts.push(json!({
        "first_step": facts.first_step,
        "sbam_version": env!("CARGO_PKG_VERSION"),
        "burn_version": "0.22.1",
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
