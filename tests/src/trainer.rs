//! The trainer as a process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A small and fast configuration: six steps of sixteen samples an epoch for 100 pictures.
const SMALL: [&str; 14] = [
    "model.image_size=32",
    "model.patch_size=8",
    "model.dim=32",
    "model.depth=2",
    "model.heads=2",
    "model.decoder_dim=16",
    "model.decoder_depth=1",
    "model.decoder_heads=2",
    "data.batch_size=8",
    "optim.accumulate=2",
    "data.streams=4",
    "train.epochs=2",
    "checkpoint.every_steps=4",
    "log.pictures=2",
];

/// `trainer run` with the small configuration, its cache in a folder of the test's.
#[derive(Debug, Clone)]
pub struct Trainer {
    binary: PathBuf,
    cache: PathBuf,
    arguments: Vec<String>,
}

impl Trainer {
    /// The binary at `binary` (`env!("CARGO_BIN_EXE_trainer-under-test")`), with its cache in `folder`.
    pub fn new(binary: &str, folder: &Path) -> Self {
        Self {
            binary: binary.into(),
            cache: folder.join("cache"),
            arguments: Vec::new(),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds an option with a path.
    #[must_use]
    pub fn path(self, option: &str, path: &Path) -> Self {
        self.arg(option).arg(path.to_string_lossy())
    }

    /// Adds `--set key=value`.
    #[must_use]
    pub fn set(self, assignment: &str) -> Self {
        self.arg("--set").arg(assignment)
    }

    /// `run --data data --out out` with the small configuration.
    #[must_use]
    pub fn small_run(self, data: &Path, out: &Path) -> Self {
        let run = self.arg("run").path("--data", data).path("--out", out);
        SMALL
            .iter()
            .fold(run, |run, assignment| run.set(assignment))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(&self.arguments)
            .env("SBAM_CACHE", &self.cache)
            .stdin(Stdio::null());
        command
    }

    /// Runs to the end.
    ///
    /// # Panics
    /// If the binary cannot be started.
    pub fn output(&self) -> Output {
        self.command().output().expect("the trainer starts")
    }

    /// Runs to the end, which must be a success; returns standard output.
    ///
    /// # Panics
    /// If it fails, with what it said.
    pub fn succeeds(&self) -> String {
        let output = self.output();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{:?} failed: {said}",
            self.arguments
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs to the end, which must be a failure with this exit code; returns standard error.
    ///
    /// # Panics
    /// If it succeeds, or ends with another code.
    pub fn fails(&self, code: i32) -> String {
        let output = self.output();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{:?} said: {said}",
            self.arguments
        );
        said
    }

    /// Starts it and goes on.
    ///
    /// # Panics
    /// If the binary cannot be started.
    pub fn start(&self) -> Running {
        let child = self
            .command()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the trainer starts");
        Running { child }
    }

    /// Starts it with pipes for its output whose readers are gone at once.
    ///
    /// # Panics
    /// If the binary cannot be started.
    pub fn start_unread(&self) -> Running {
        let mut command = self.command();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the trainer starts");
        drop((child.stdout.take(), child.stderr.take()));
        Running { child }
    }
}

/// A trainer that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

impl Running {
    /// Waits until `reached` is true or the process has ended; tells whether it still runs.
    ///
    /// # Panics
    /// If the process cannot be asked.
    pub fn until(&mut self, mut reached: impl FnMut() -> bool) -> bool {
        loop {
            if self
                .child
                .try_wait()
                .expect("the trainer can be asked")
                .is_some()
            {
                return false;
            }
            if reached() {
                return true;
            }
            std::thread::yield_now();
        }
    }

    /// Sends a signal by name, for example `INT`, and waits for the end; returns the exit code, none
    /// after a signal that ended the process.
    ///
    /// # Panics
    /// If the signal cannot be sent.
    pub fn signal(mut self, name: &str) -> Option<i32> {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status();
        assert!(
            sent.expect("kill can be run").success(),
            "SIG{name} was sent"
        );
        self.child.wait().expect("the trainer ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that fails must not leave its process behind; one that has ended cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
