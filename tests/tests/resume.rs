//! A run that is stopped at any moment and resumed equals one that is not, bit for bit.

use std::path::{Path, PathBuf};

use sbam_tests::{RunFolder, Running, Trainer, write_photographs};

const BINARY: &str = env!("CARGO_BIN_EXE_trainer-under-test");

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write_photographs(&folder.path().join("photographs"), 100);
        Self { folder }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("photographs")
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn trainer(&self) -> Trainer {
        Trainer::new(BINARY, self.folder.path())
    }

    fn run(&self, name: &str) -> Trainer {
        self.trainer().small_run(&self.data(), &self.out(name))
    }

    fn resume(&self, name: &str) -> Trainer {
        self.trainer().arg("run").path("--resume", &self.out(name))
    }
}

fn assert_same_run(expected: &Path, found: &Path) {
    let (expected, found) = (RunFolder::new(expected), RunFolder::new(found));
    assert_eq!(found.metrics(), expected.metrics());
    let (expected_rows, found_rows) = (expected.mask_rows(), found.mask_rows());
    assert_eq!(
        found_rows.len(),
        expected_rows.len(),
        "every row of the mask log once"
    );
    assert_eq!(found_rows, expected_rows);
    for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
        assert!(
            found.last_checkpoint_file(file) == expected.last_checkpoint_file(file),
            "{file} differs"
        );
    }
    let receipts = |run: &RunFolder| -> Vec<Vec<u8>> {
        run.files_of("receipts", "json")
            .iter()
            .map(|path| std::fs::read(path).expect("a receipt"))
            .collect()
    };
    assert_eq!(receipts(&found), receipts(&expected));
    assert_eq!(receipts(&found).len(), 2, "one receipt an epoch");
}

/// How often a run that ended before the signal came is started anew.
const ATTEMPTS: usize = 5;

/// Kills (or stops) a run when `reached`, resumes it until it is done, and compares.
///
/// The signal must come while the run goes on: a run that was faster is tried again.
fn stopped_and_resumed(
    bench: &Bench,
    name: &str,
    signal: &str,
    reached: impl Fn(&RunFolder) -> bool,
) {
    for attempt in 0..ATTEMPTS {
        let name = format!("{name}-{attempt}");
        let folder = RunFolder::new(&bench.out(&name));
        let mut running: Running = bench.run(&name).start();
        if !running.until(|| reached(&folder)) {
            continue;
        }
        let expected = if signal == "KILL" { None } else { Some(130) };
        if running.signal(signal) != expected {
            continue;
        }
        assert!(reached(&folder), "{name}: what was waited for is there");
        assert!(
            folder.metrics_lines() < 12,
            "{name}: there is something left to do"
        );
        bench.resume(&name).set("data.threads=1").succeeds();
        assert_same_run(&bench.out("whole"), &bench.out(&name));
        return;
    }
    panic!("{name}: in {ATTEMPTS} runs no signal came in time");
}

#[test]
fn a_run_that_is_killed_anywhere_and_resumed_equals_one_that_is_not() {
    let bench = Bench::new();
    bench.run("whole").set("data.threads=2").succeeds();
    let whole = RunFolder::new(&bench.out("whole"));
    assert_eq!(whole.metrics().len(), 12, "two epochs of six steps");
    assert_eq!(whole.mask_rows().len(), 12 * 16);

    // Before the first checkpoint, in the middle, and in the second epoch.
    for lines in [1, 3, 6, 9, 11] {
        stopped_and_resumed(&bench, &format!("killed-after-{lines}"), "KILL", |run| {
            run.metrics_lines() >= lines
        });
    }
    // Right after a checkpoint: its part of the mask log is complete, the next has not begun.
    stopped_and_resumed(&bench, "killed-at-checkpoint", "KILL", |run| {
        run.checkpoints().contains(&"step-00000004".to_owned())
    });
    // Between the parts of the mask log and the checkpoint that follows them.
    stopped_and_resumed(&bench, "killed-before-checkpoint", "KILL", |run| {
        !run.parts().is_empty()
    });
    // Before anything was trained.
    stopped_and_resumed(&bench, "killed-at-start", "KILL", |run| {
        run.path("config.resolved.toml").exists()
    });
}

#[test]
fn a_run_that_is_asked_to_stop_saves_and_goes_on_where_it_was() {
    let bench = Bench::new();
    bench.run("whole").succeeds();
    for signal in ["INT", "TERM"] {
        stopped_and_resumed(&bench, signal, signal, |run| run.metrics_lines() >= 2);
    }
}

#[test]
fn a_run_can_be_stopped_and_resumed_many_times() {
    let bench = Bench::new();
    bench.run("whole").succeeds();
    let folder = RunFolder::new(&bench.out("often"));
    let mut running = bench.run("often").start();
    for lines in [1, 2, 5, 8, 10] {
        let still_runs = running.until(|| folder.metrics_lines() >= lines);
        if still_runs {
            running.signal(if lines % 2 == 0 { "INT" } else { "KILL" });
        }
        running = bench.resume("often").start();
    }
    running.until(|| false);
    assert_same_run(&bench.out("whole"), &bench.out("often"));
}

#[test]
fn a_finished_run_resumes_to_nothing_more() {
    let bench = Bench::new();
    bench.run("whole").succeeds();
    let before = RunFolder::new(&bench.out("whole")).mask_rows();
    let said = bench.resume("whole").succeeds();
    assert!(said.contains("done already"), "{said}");
    assert_eq!(RunFolder::new(&bench.out("whole")).mask_rows(), before);
}
