//! The command `loader_bench` as a user runs it.

use std::path::Path;
use std::process::{Command, Output};

use jpeg_encoder::{ColorType, Encoder};
use serde_json::Value;

/// 20 photographs, packed with these flags into `folder/shards`.
fn shards(folder: &Path, flag: &str) {
    let class = folder.join("photographs/train/class");
    std::fs::create_dir_all(&class).unwrap();
    for number in 0..20_u32 {
        let pixels: Vec<u8> = (0..200 * 150 * 3_u32)
            .map(|at| (at.wrapping_mul(at ^ number) >> 6) as u8)
            .collect();
        let encoder = Encoder::new_file(class.join(format!("{number}.jpg")), 80).unwrap();
        encoder.encode(&pixels, 200, 150, ColorType::Rgb).unwrap();
    }
    let packed = Command::new(env!("CARGO_BIN_EXE_shard_imagenet"))
        .args(["photographs", "shards", "--quiet", flag])
        .current_dir(folder)
        .status()
        .unwrap();
    assert!(packed.success());
}

fn run(folder: &Path, arguments: &str) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_loader_bench"))
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .env("SBAM_CACHE", folder.join("cache"))
        .output()
        .unwrap();
    (
        status.code(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

fn report(folder: &Path, arguments: &str) -> Value {
    let (code, out, error) = run(folder, arguments);
    assert_eq!(code, Some(0), "{arguments}: {error}");
    assert_eq!(out.lines().count(), 1, "one line of JSON: {out}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn reports_what_was_read_and_decoded() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    for (flag, cut) in [("--keep-bytes", 0.0), ("--crop-ready", 1.0)] {
        let _ = std::fs::remove_dir_all(folder.join("shards"));
        shards(folder, flag);
        for (arguments, images) in [
            ("--threads 1", 20),
            (
                "--threads 2 --output f32 --layout interleaved --size 64",
                20,
            ),
            ("--threads 2 --batch-size 8 --views 2 --images 48", 48),
            ("--threads 2 --stage decode", 20),
            ("--threads 1 --stage read --images 50", 50),
            ("--threads 2 --stage resize --images 40", 40),
        ] {
            let report = report(folder, &format!("--shards shards --json {arguments}"));
            assert_eq!(report["images"], images, "{arguments}: {report}");
            assert!(report["images_per_s"].as_f64().unwrap() > 0.0);
            let decodes = !arguments.contains("read") && !arguments.contains("resize");
            if decodes {
                assert_eq!(report["crop_ready_share"], cut, "{arguments}: {report}");
                assert!(report["decoded_pixels_per_image"].as_f64().unwrap() <= 200.0 * 150.0);
            }
            if !arguments.contains("resize") {
                assert!(report["read_bytes"].as_u64().unwrap() > 20 * 1000);
            }
            if !arguments.contains("stage") {
                assert!(report["first_batch_s"].as_f64().unwrap() > 0.0);
                assert!(report["verdict"].as_str().unwrap().starts_with("bound by"));
            }
        }
    }
    let (code, text, _) = run(folder, "--shards shards");
    assert_eq!(code, Some(0));
    for part in ["images/s", "queues:", "first batch after", "bound by"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn wrong_use_and_bad_data_say_what_and_where() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    shards(folder, "--crop-ready");
    for (arguments, code, part) in [
        ("--threads 2", 2, "--shards"),
        ("--shards shards --threads 0", 2, "--threads"),
        ("--shards shards --images 0", 2, "--images"),
        ("--shards shards --output u16", 2, "u8"),
        ("--shards shards --scale 0,1", 2, "--scale"),
        (
            "--shards shards --batch-size 6 --views 4",
            2,
            "multiple of 4",
        ),
        (
            "--shards shards --stage decode --views 2",
            2,
            "leave out --stage",
        ),
        ("--shards nowhere", 1, "nowhere"),
        ("--shards photographs", 1, "no .tar shards"),
    ] {
        let (found, _, error) = run(folder, arguments);
        assert_eq!(found, Some(code), "{arguments}: {error}");
        assert!(error.contains(part), "{arguments}: {error}");
    }
    // One restart marker becomes entropy-coded data.
    let shard = folder.join("shards/train-000000.tar");
    let mut bytes = std::fs::read(&shard).unwrap();
    let at = (2000..bytes.len())
        .find(|&at| bytes[at] == 0xff && bytes[at + 1] == 0xd1)
        .unwrap();
    bytes[at] = 0;
    std::fs::write(&shard, bytes).unwrap();
    for stage in ["all", "decode"] {
        let (code, _, error) = run(folder, &format!("--shards shards --stage {stage}"));
        assert_eq!(code, Some(1));
        for part in ["train-000000.tar", "sample ", "at byte", "restart marker"] {
            assert!(error.contains(part), "{stage}: {error}");
        }
    }
}

/// The threads that did start wait for each other; they must be let go.
#[test]
#[cfg(target_os = "linux")]
fn a_thread_that_cannot_be_started_is_an_error_and_no_standstill() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    shards(folder, "--crop-ready");
    let command = "ulimit -v 1200000; exec timeout 60 \"$0\" --shards shards --threads 1024";
    let output = Command::new("sh")
        .args(["-c", command, env!("CARGO_BIN_EXE_loader_bench")])
        .current_dir(folder)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("cannot start thread"), "{error}");
}
