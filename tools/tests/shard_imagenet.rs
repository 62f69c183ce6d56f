//! The command `shard_imagenet` as a user runs it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use jpeg_encoder::{ColorType, Encoder};
use sbam_loader::{Manifest, Sample};

fn images(folder: &Path) {
    for class in ["cat", "dog"] {
        let class = folder.join("train").join(class);
        std::fs::create_dir_all(&class).unwrap();
        for i in 0..3 {
            let encoder = Encoder::new_file(class.join(format!("{i}.JPEG")), 90).unwrap();
            encoder
                .encode(&[i * 40; 16 * 16 * 3], 16, 16, ColorType::Rgb)
                .unwrap();
        }
    }
}

fn command(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shard_imagenet"));
    command.args(arguments).current_dir(folder);
    command
}

fn run(arguments: &[&str], folder: &Path) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command(arguments, folder).output().unwrap();
    (
        status.code(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

#[test]
fn the_last_lines_say_what_was_written_and_what_comes_next() {
    let place = tempfile::tempdir().unwrap();
    images(&place.path().join("images"));
    std::fs::write(place.path().join("images/train/cat/notes.txt"), "").unwrap();
    let (code, out, error) = run(&["images", "my shards", "--shard-count", "2"], place.path());
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let lines: Vec<&str> = out.lines().collect();
    assert!(
        lines[0].starts_with("wrote 6 images of 2 classes to my shards: 2 shards, "),
        "{out}"
    );
    assert!(
        lines[1].starts_with("6 of 6 images rewritten crop-ready (0."),
        "{out}"
    );
    assert!(lines[1].ends_with(" of their bytes)"), "{out}");
    assert!(lines[2].starts_with("left out 1 other file"), "{out}");
    assert_eq!(lines[3..], ["next: trainer run --data 'my shards'"]);
}

/// Segment lengths as the manifest has them, and every image's bytes.
fn packed(out: &Path) -> Vec<(i32, Vec<u8>)> {
    let manifest = Manifest::read(&out.join(Manifest::FILE_NAME)).unwrap();
    let read = |sample: &Sample| {
        let shard = &manifest.shards[sample.shard_index as usize].name;
        let shard = std::fs::read(out.join(shard)).unwrap();
        let bytes = &shard[sample.offset as usize..][..sample.length as usize];
        assert_eq!(sample.crc32c, i64::from(crc32c::crc32c(bytes)));
        (sample.restart_mcus, bytes.to_vec())
    };
    manifest.samples.iter().map(read).collect()
}

#[test]
fn images_are_rewritten_or_kept_as_asked_for() {
    let place = tempfile::tempdir().unwrap();
    images(&place.path().join("images"));
    // An image with a stray byte between its segments: it decodes, but not without a guess.
    let odd = place.path().join("images/train/dog/0.JPEG");
    let mut bytes = std::fs::read(&odd).unwrap();
    bytes.insert(20, 7);
    std::fs::write(&odd, &bytes).unwrap();
    for (flag, rewritten, report) in [
        (None, 5, true),
        (Some("--crop-ready"), 5, true),
        (Some("--keep-bytes"), 0, false),
    ] {
        let name = flag.unwrap_or("default");
        let arguments: Vec<&str> = flag.into_iter().chain(["--", "images", name]).collect();
        let (code, out, error) = run(&arguments, place.path());
        assert_eq!((code, error.as_str()), (Some(0), ""));
        let kept = "5 of 6 images rewritten crop-ready";
        assert_eq!(out.contains(kept), report, "{out}");
        assert_eq!(
            out.contains(
                "; 1 kept as it is: 1 already damaged\n  images/train/dog/0.JPEG: already damaged\n"
            ),
            report,
            "{out}"
        );
        let packed = packed(&place.path().join(name));
        let count = packed.iter().filter(|(mcus, _)| *mcus > 0).count();
        assert_eq!(count, rewritten, "{name}");
        assert!(packed.contains(&(0, bytes.clone())), "{name}");
    }
}

#[test]
fn quiet_prints_nothing() {
    let place = tempfile::tempdir().unwrap();
    images(&place.path().join("images"));
    let result = run(
        &[
            "--quiet",
            "images",
            "out",
            "--shard-bytes",
            "1MiB",
            "--threads",
            "1",
        ],
        place.path(),
    );
    assert_eq!(result, (Some(0), String::new(), String::new()));
}

#[test]
fn failures_exit_with_1_and_wrong_usage_with_2() {
    let place = tempfile::tempdir().unwrap();
    images(&place.path().join("images"));
    std::fs::create_dir(place.path().join("empty")).unwrap();
    for (arguments, code, reason) in [
        (&["gone", "out"][..], 1, "there is no folder gone"),
        (&["empty", "out"], 1, "no .jpg or .jpeg"),
        (&["images", "images"], 1, "the same folder"),
        (&["images", "."], 1, "not empty"),
        (&["images", "out", "--split", "val"], 1, "has no folder val"),
        (&["images"], 2, "<OUT>"),
        (&["images", "out", "--shard-bytes", "lots"], 2, "256MiB"),
        (&["images", "out", "--shard-bytes", "0"], 2, "above 0"),
        (&["images", "out", "--shard-count", "0"], 2, "shard-count"),
        (
            &[
                "images",
                "out",
                "--shard-count",
                "2",
                "--shard-bytes",
                "1MB",
            ],
            2,
            "cannot be used with",
        ),
        (
            &["images", "out", "--crop-ready", "--keep-bytes"],
            2,
            "cannot be used with",
        ),
        (&["images", "out", "--prefix", "a/b"], 2, "letters, digits"),
        (&["images", "out", "--threads", "0"], 2, "threads"),
    ] {
        let (found, out, error) = run(arguments, place.path());
        assert_eq!(
            (found, out.as_str()),
            (Some(code), ""),
            "{arguments:?}: {error}"
        );
        assert!(error.contains(reason), "{arguments:?}: {error}");
        assert!(code == 2 || error.lines().count() == 1, "one line: {error}");
    }
    let left: Vec<_> = std::fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "nothing is left behind: {left:?}");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let place = tempfile::tempdir().unwrap();
    images(&place.path().join("images"));
    let mut child = command(&["images", "out"], place.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    assert!(place.path().join("out/manifest.parquet").exists());
}
