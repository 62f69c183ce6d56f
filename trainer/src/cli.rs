//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::config::DEFAULT_TOML;
use crate::forward::{ForwardArguments, forward};
use crate::run::{RunArguments, run};
use crate::say;

/// Pre-trains Vision Transformers by masked image modelling with salience-based adaptive masking.
#[derive(Debug, Parser)]
#[command(name = "trainer", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Pre-train: without arguments, a small model on a built-in data set
    Run(Run),
    /// Run the model on tensors from a file, to compare it with another implementation
    Forward(Forward),
    /// Print every configuration key with its default
    Config,
}

#[derive(Debug, Args)]
struct Run {
    /// Configuration file (TOML); what it leaves out has its default
    config: Option<PathBuf>,
    /// What to train on: "builtin", a folder of .tar shards, a brace list of shards, or a folder of photographs
    #[arg(long)]
    data: Option<String>,
    /// Override one configuration key, for example mask.delta=0.3; may be given often
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Folder of the new run [default: the first free of runs/run-001, runs/run-002 …]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// cpu, or with the feature of that name: cuda, cuda:1, wgpu, vulkan
    /// [default: cpu; with --resume, the run's own]
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Go on with the run in this folder, exactly where its last checkpoint stands
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Forward {
    /// Configuration file (TOML)
    #[arg(long)]
    config: Option<PathBuf>,
    /// Override one configuration key
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Weights under MAE's names (safetensors, f32)
    #[arg(long)]
    weights: PathBuf,
    /// Tensors images [N,3,H,W], already normalised, and noise [N,L] (safetensors, f32)
    #[arg(long)]
    input: PathBuf,
    /// Where to write salience, ratio, n_keep, mask, ids_restore, pred, loss and loss_per_sample (safetensors)
    #[arg(long)]
    output: PathBuf,
    /// cpu, or with the feature of that name: cuda, cuda:1, wgpu, vulkan
    #[arg(long, default_value = "cpu", value_name = "NAME")]
    device: String,
}

/// Runs the program on this process's arguments: exit code 0 done, 1 failed, 2 wrong usage, 130 stopped.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match execute(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say::note(&format!("error: {}", chain_text(&error)));
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<u8> {
    match command {
        Command::Run(Run {
            config,
            data,
            overrides,
            out,
            device,
            resume,
        }) => run(&RunArguments {
            config,
            data,
            overrides,
            out,
            device,
            resume,
        }),
        Command::Forward(Forward {
            config,
            overrides,
            weights,
            input,
            output,
            device,
        }) => forward(&ForwardArguments {
            config,
            overrides,
            weights,
            input,
            output,
            device,
        })
        .map(|()| 0),
        Command::Config => {
            use std::io::Write;
            std::io::stdout().write_all(DEFAULT_TOML.as_bytes())?;
            Ok(0)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// The chain of causes as one line; a cause that its consequence already quotes is not said twice.
fn chain_text(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if said.is_empty() {
            said = cause;
        } else if !said.ends_with(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}
