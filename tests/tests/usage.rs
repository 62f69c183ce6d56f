//! The trainer as a user meets it: what a run leaves, and what bad input is told.

use std::fs;
use std::path::{Path, PathBuf};

use sbam_tests::{RunFolder, Trainer, write_photographs};

const BINARY: &str = env!("CARGO_BIN_EXE_trainer-under-test");

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn with_photographs(count: usize) -> Self {
        let desk = Self::new();
        write_photographs(&desk.data(), count);
        desk
    }

    fn data(&self) -> PathBuf {
        self.path("photographs")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn trainer(&self) -> Trainer {
        Trainer::new(BINARY, self.folder.path())
    }

    fn run(&self) -> Trainer {
        self.trainer().small_run(&self.data(), &self.path("run"))
    }

    /// The run must fail, say all of `parts`, and leave no run folder.
    fn refuses(&self, run: &Trainer, parts: &[&str]) {
        let said = run.fails(1);
        for part in parts {
            assert!(said.contains(part), "{part:?} is not in: {said}");
        }
        assert_eq!(
            said.trim()
                .lines()
                .filter(|line| line.starts_with("error:"))
                .count(),
            1,
            "{said}"
        );
        let left = RunFolder::new(&self.path("run"));
        assert!(
            !left.path("config.resolved.toml").exists(),
            "a run folder was begun"
        );
        assert!(left.files_of("masks", "parquet").is_empty());
    }
}

#[test]
fn a_run_leaves_everything_it_promises() {
    let desk = Desk::with_photographs(100);
    let said = desk.run().set("log.salience=true").succeeds();
    for part in ["loss", "images/s", "mask ratio", "next", "masks/"] {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    let run = RunFolder::new(&desk.path("run"));
    for name in [
        "config.toml",
        "config.resolved.toml",
        "environment.json",
        "metrics.jsonl",
    ] {
        assert!(run.path(name).is_file(), "{name}");
    }
    assert_eq!(
        run.checkpoints(),
        ["step-00000008", "step-00000012"],
        "the last two of three"
    );
    assert_eq!(
        run.files_of("pictures", "png").len(),
        4,
        "untrained and at three checkpoints"
    );
    assert_eq!(run.files_of("receipts", "json").len(), 2);
    assert_eq!(run.files_of("", "sbam").len(), 1, "one event file");
    let hidden: Vec<PathBuf> = run.files_of("", "partial");
    assert!(hidden.is_empty(), "left over: {hidden:?}");

    let rows = run.mask_rows();
    assert_eq!(rows.len(), 12 * 16, "a row per sample and step");
    for row in &rows {
        assert_eq!(row.n_tokens, 16);
        let masked: u32 = row.mask.iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(masked as i32, row.n_tokens - row.n_keep);
        let ratio = f32::from_bits(row.mask_ratio_bits);
        assert!((0.65 - 1e-6..=0.85 + 1e-6).contains(&ratio), "{ratio}");
        // floor(L·(1 − r)) in f32, the definition.
        assert_eq!(row.n_keep, (16.0f32 * (1.0 - ratio)) as i32);
        assert!(f32::from_bits(row.loss_bits) > 0.0);
    }
    let ratios: std::collections::BTreeSet<u32> =
        rows.iter().map(|row| row.mask_ratio_bits).collect();
    assert!(ratios.len() > 3, "the ratio adapts to the sample");
    // Every sample at most once an epoch: 96 of 100, four are dropped.
    for epoch in 0..2 {
        let mut seen: Vec<i64> = rows
            .iter()
            .filter(|row| row.epoch == epoch)
            .map(|row| row.sample_index)
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 96);
    }
}

#[test]
fn the_same_run_gives_the_same_bits_and_another_seed_others() {
    let desk = Desk::with_photographs(60);
    let weights = |name: &str, seed: &str, threads: &str| {
        desk.trainer()
            .small_run(&desk.data(), &desk.path(name))
            .set(seed)
            .set(threads)
            .set("train.epochs=1")
            .succeeds();
        RunFolder::new(&desk.path(name)).last_checkpoint_file("model.safetensors")
    };
    let first = weights("a", "seed=1", "data.threads=1");
    assert!(
        first == weights("b", "seed=1", "data.threads=3"),
        "threads must not matter"
    );
    assert!(first != weights("c", "seed=2", "data.threads=1"));
}

#[test]
fn every_mask_setting_trains() {
    let desk = Desk::with_photographs(40);
    for (number, settings) in [
        ["mask.strategy=random", "train.loss_reduction=patch"],
        ["mask.source=embedding", "mask.ratio_mode=batch-mean"],
        ["mask.layer=1", "mask.ratio_mode=fixed"],
        ["mask.warmup_epochs=1", "train.loss_reduction=sample"],
        ["data.drop_last=false", "optim.clip_norm=0.5"],
        ["model.image_size=[32, 48]", "log.masks=every=2"],
        ["train.length_multiple=4", "train.steps=3"],
    ]
    .iter()
    .enumerate()
    {
        let out = desk.path(&format!("run-{number}"));
        let run = settings.iter().fold(
            desk.trainer().small_run(&desk.data(), &out),
            |run, setting| run.set(setting),
        );
        run.succeeds();
        let rows = RunFolder::new(&out).mask_rows();
        assert!(!rows.is_empty(), "{settings:?}");
        if number == 3 {
            let random_first = rows
                .iter()
                .filter(|row| row.epoch == 0)
                .all(|row| row.n_keep == 4);
            let adaptive_then = rows
                .iter()
                .filter(|row| row.epoch == 1)
                .any(|row| row.n_keep != 4);
            assert!(
                random_first && adaptive_then,
                "random at the base ratio while warming up, then adaptive"
            );
        }
        if number == 5 {
            assert!(
                rows.iter()
                    .all(|row| row.step % 2 == 0 && row.n_tokens == 24)
            );
        }
    }
}

#[test]
fn a_configuration_that_cannot_be_is_refused() {
    let desk = Desk::with_photographs(20);
    desk.refuses(
        &desk.run().set("mask.detla=0.3"),
        &["mask.detla", "did you mean mask.delta?"],
    );
    desk.refuses(&desk.run().set("mask.ratio=1.5"), &["mask.ratio"]);
    desk.refuses(&desk.run().set("mask.layer=9"), &["layer", "1 to 2"]);
    desk.refuses(&desk.run().set("data.batch_size=64"), &["20"]);
    desk.refuses(&desk.run().arg("--device").arg("cuda"), &["cuda"]);
    desk.refuses(&desk.run().arg("--device").arg("tpu"), &["tpu", "cpu"]);
    let missing = desk.run().arg("no-such-config.toml");
    desk.refuses(&missing, &["no-such-config.toml"]);
    fs::write(desk.path("bad.toml"), "[mask]\ndelat = 1\n").expect("written");
    let bad = desk.run().arg(desk.path("bad.toml").to_string_lossy());
    desk.refuses(&bad, &["bad.toml", "mask.delat"]);
    fs::write(desk.path("worse.toml"), "[mask\n").expect("written");
    desk.refuses(
        &desk.run().arg(desk.path("worse.toml").to_string_lossy()),
        &["worse.toml", "TOML"],
    );
    desk.trainer().arg("run").arg("--no-such-flag").fails(2);
}

#[test]
fn data_that_cannot_be_read_is_refused() {
    let desk = Desk::new();
    desk.refuses(&desk.run(), &["photographs"]);
    fs::create_dir(desk.data()).expect("made");
    desk.refuses(&desk.run(), &["photographs"]);
    fs::write(
        desk.data().join("train-000000.tar"),
        b"this is not a tar file at all",
    )
    .expect("written");
    desk.refuses(&desk.run(), &["train-000000.tar"]);
    let piped = desk
        .trainer()
        .small_run(Path::new("pipe:cat x.tar"), &desk.path("run"));
    desk.refuses(&piped, &["pipe:"]);
}

#[test]
fn a_folder_that_holds_a_run_is_kept() {
    let desk = Desk::with_photographs(20);
    desk.run().set("train.epochs=1").succeeds();
    let before = RunFolder::new(&desk.path("run")).mask_rows();
    let said = desk.run().fails(1);
    assert!(said.contains("--resume"), "{said}");
    assert_eq!(RunFolder::new(&desk.path("run")).mask_rows(), before);
}

#[test]
fn a_resume_with_another_configuration_or_other_data_says_what_differs() {
    let desk = Desk::with_photographs(40);
    desk.run().succeeds();
    let resume = || {
        desk.trainer()
            .arg("run")
            .path("--resume", &desk.path("run"))
    };
    let said = resume().set("mask.delta=0.4").set("optim.blr=1.0").fails(1);
    for part in ["mask.delta was 0.25 and would be 0.4", "optim.blr"] {
        assert!(said.contains(part), "{said}");
    }
    let other = desk.path("other");
    write_photographs(&other, 50);
    let said = resume().path("--data", &other).fails(1);
    assert!(said.contains("manifest hash"), "{said}");
    let said = desk
        .trainer()
        .arg("run")
        .path("--resume", &desk.path("nothing"))
        .fails(1);
    assert!(said.contains("nothing"), "{said}");
}

#[test]
fn shards_without_a_manifest_are_indexed_once() {
    let desk = Desk::with_photographs(40);
    let shards = desk.path("shards");
    let stop = std::sync::atomic::AtomicBool::new(false);
    sbam_tools::pack_image_folder(
        &desk.data(),
        &shards,
        &sbam_tools::PackOptions::default(),
        &stop,
        &mut |_| {},
    )
    .expect("packed");
    let run = |name: &str| {
        desk.trainer()
            .small_run(&shards, &desk.path(name))
            .set("train.epochs=1")
    };
    run("with").succeeds();
    fs::remove_file(shards.join("manifest.parquet")).expect("removed");
    let output = run("without").output();
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("indexing"), "{said}");
    let again = String::from_utf8_lossy(&run("again").output().stderr).into_owned();
    assert!(!again.contains("indexing"), "{again}");
    let weights =
        |name: &str| RunFolder::new(&desk.path(name)).last_checkpoint_file("model.safetensors");
    assert!(weights("without") == weights("again"));
    assert!(
        !shards.join("manifest.parquet").exists(),
        "a user's data folder is not written to"
    );
}

/// Packs the desk's photographs and overwrites the middle of the given samples' JPEGs.
fn shards_with_damage(desk: &Desk, damaged: &[usize]) -> PathBuf {
    let shards = desk.path("shards");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let options = sbam_tools::PackOptions::default();
    sbam_tools::pack_image_folder(&desk.data(), &shards, &options, &stop, &mut |_| {})
        .expect("packed");
    let manifest = sbam_loader::Manifest::read(&shards.join("manifest.parquet")).expect("read");
    for index in damaged {
        let sample = &manifest.samples[*index];
        let shard = shards.join(&manifest.shards[sample.shard_index as usize].name);
        let mut bytes = fs::read(&shard).expect("read");
        let start = sample.offset as usize + 20;
        bytes[start..sample.offset as usize + sample.length as usize].fill(0);
        fs::write(&shard, bytes).expect("written");
    }
    shards
}

#[test]
fn a_bad_image_ends_the_run_saved_and_can_then_be_skipped() {
    let desk = Desk::with_photographs(120);
    let shards = shards_with_damage(&desk, &[77]);
    let said = desk
        .trainer()
        .small_run(&shards, &desk.path("run"))
        .fails(1);
    for part in ["train-000000.tar", "data.on_error", "saved in"] {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    let resume = || {
        desk.trainer()
            .arg("run")
            .path("--resume", &desk.path("run"))
    };
    let said = resume()
        .set("data.on_error=skip")
        .set("data.max_skipped_share=0.05")
        .succeeds();
    assert!(said.contains("1 images could not be decoded"), "{said}");
    let run = RunFolder::new(&desk.path("run"));
    assert_eq!(run.mask_rows().len(), 14 * 16, "the batch keeps its shape");
    let skipped: i64 = run
        .metrics()
        .iter()
        .filter_map(|line| line["quarantined"].as_i64())
        .max()
        .unwrap_or(0);
    assert_eq!(skipped, 1);
}

#[test]
fn more_bad_images_than_the_budget_are_an_error() {
    let desk = Desk::with_photographs(60);
    let shards = shards_with_damage(&desk, &(0..30).collect::<Vec<_>>());
    let run = desk
        .trainer()
        .small_run(&shards, &desk.path("run"))
        .set("data.on_error=skip");
    let said = run.fails(1);
    assert!(said.contains("data.max_skipped_share"), "{said}");
}

#[test]
fn a_reader_that_goes_away_does_not_end_a_run() {
    let desk = Desk::with_photographs(100);
    let mut running = desk.run().set("train.epochs=200").start_unread();
    let run = RunFolder::new(&desk.path("run"));
    assert!(
        running.until(|| run.metrics_lines() >= 3),
        "it goes on without a reader"
    );
    assert_eq!(running.signal("INT"), Some(130));
    assert!(!run.checkpoints().is_empty(), "and saves");
}
