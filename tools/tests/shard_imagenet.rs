//! The command `shard_imagenet` as a user runs it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use jpeg_encoder::{ColorType, Encoder};

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
    assert!(lines[1].starts_with("left out 1 other file"), "{out}");
    assert_eq!(lines[2..], ["next: trainer run --data 'my shards'"]);
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
