//! Properties of packed folders that users rely on, through the public API.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use jpeg_encoder::{ColorType, Encoder};
use sbam_loader::{Decoder, Manifest};
use sbam_tools::{
    CropReady, Interrupted, OddFiles, PackOptions, PackReport, Progress, Rewrite, ShardSize,
    pack_image_folder, pack_image_folder_into_cache,
};

/// A small JPEG that no other number gives.
fn jpeg(number: usize) -> Vec<u8> {
    let (width, height) = (8 + number % 50, 16 + number % 7);
    let pixels: Vec<u8> = (0..width * height * 3)
        .map(|i| (i * (number + 3) % 251) as u8)
        .collect();
    let mut bytes = Vec::new();
    Encoder::new(&mut bytes, 90)
        .encode(&pixels, width as u16, height as u16, ColorType::Rgb)
        .unwrap();
    bytes
}

/// `jpeg` as it is packed by default.
fn crop_ready(jpeg: &[u8]) -> Vec<u8> {
    let mut decoder = Decoder::new();
    let decoded = decoder.decode(jpeg).unwrap();
    CropReady::new()
        .rewrite(jpeg, Some(&decoded))
        .unwrap()
        .bytes
}

fn put(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A tree of 3 classes with 20 images each, made in the given order.
fn tree(root: &Path, order: impl Iterator<Item = usize>) {
    for i in order {
        put(
            root,
            &format!("train/{}/img.{i}.JPEG", ["cat", "Dog", "ant.eater"][i % 3]),
            &jpeg(i),
        );
    }
}

fn pack(input: &Path, out: &Path, options: &PackOptions) -> Result<PackReport> {
    pack_image_folder(input, out, options, &AtomicBool::new(false), &mut |_| {})
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (
                path.file_name().unwrap().to_str().unwrap().to_owned(),
                std::fs::read(path).unwrap(),
            )
        })
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Key, label and bytes of every sample, read at the manifest's offsets.
fn samples(out: &Path) -> Vec<(String, Option<i32>, Vec<u8>)> {
    let manifest = Manifest::read(&out.join(Manifest::FILE_NAME)).unwrap();
    let shards = files(out);
    manifest
        .samples
        .iter()
        .map(|sample| {
            let shard = &shards[&manifest.shards[sample.shard_index as usize].name];
            let bytes = shard[sample.offset as usize..][..sample.length as usize].to_vec();
            assert_eq!(sample.crc32c, i64::from(crc32c::crc32c(&bytes)));
            (sample.key.clone(), sample.label, bytes)
        })
        .collect()
}

#[test]
fn output_depends_on_images_and_seed_alone() {
    let place = tempfile::tempdir().unwrap();
    let (one, other) = (place.path().join("one"), place.path().join("other"));
    tree(&one, 0..60);
    tree(&other, (0..60).rev());
    let options = PackOptions {
        shard_size: ShardSize::Count(4),
        ..PackOptions::default()
    };
    let mut outputs = Vec::new();
    for (input, threads) in [(&one, 1), (&one, 2), (&one, 5), (&other, 3)] {
        let out = place.path().join(format!("out-{}", outputs.len()));
        pack(
            input,
            &out,
            &PackOptions {
                threads,
                ..options.clone()
            },
        )
        .unwrap();
        outputs.push(files(&out));
    }
    assert!(outputs.iter().all(|output| *output == outputs[0]));

    let reseeded = place.path().join("reseeded");
    pack(&one, &reseeded, &PackOptions { seed: 1, ..options }).unwrap();
    let (first, second) = (samples(&place.path().join("out-0")), samples(&reseeded));
    assert_ne!(first, second, "another seed, another order");
    assert_eq!(
        first.iter().collect::<BTreeSet<_>>(),
        second.iter().collect(),
        "of the same samples"
    );
    let numbers: Vec<&String> = first.iter().map(|(key, ..)| key).collect();
    assert!(!numbers.is_sorted());
}

#[test]
fn every_image_is_there_with_its_bytes_label_and_key() {
    every_image_is_there(Rewrite::KeepBytes, &<[u8]>::to_vec);
}

#[test]
fn every_image_is_there_crop_ready() {
    every_image_is_there(Rewrite::CropReady, &crop_ready);
}

fn every_image_is_there(rewrite: Rewrite, bytes_of: &dyn Fn(&[u8]) -> Vec<u8>) {
    let place = tempfile::tempdir().unwrap();
    let (input, out) = (place.path().join("images"), place.path().join("out"));
    tree(&input, 0..60);
    let options = PackOptions {
        rewrite,
        ..PackOptions::default()
    };
    let report = pack(&input, &out, &options).unwrap();
    let rewritten = report.rewrites.map(|counts| counts.rewritten);
    assert_eq!(rewritten, (rewrite == Rewrite::CropReady).then_some(60));
    assert_eq!(
        (report.images, report.classes, report.shards),
        (60, Some(3), 1)
    );
    let manifest = Manifest::read(&out.join(Manifest::FILE_NAME)).unwrap();
    assert_eq!(manifest.class_names, ["Dog", "ant.eater", "cat"]);
    assert_eq!(manifest.seed, Some(0));
    let mut found = samples(&out);
    found.sort();
    let mut expected: Vec<_> = (0..60)
        .map(|i| {
            (
                format!("img_{i}"),
                Some([2, 0, 1][i % 3]),
                bytes_of(&jpeg(i)),
            )
        })
        .collect();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_flat_folder_is_packed_without_labels() {
    let place = tempfile::tempdir().unwrap();
    let (input, out) = (place.path().join("images"), place.path().join("out"));
    for i in 0..5 {
        put(&input, &format!("{i}.jpg"), &jpeg(i));
    }
    put(&input, "notes.txt", b"hello");
    let report = pack(&input, &out, &PackOptions::default()).unwrap();
    assert_eq!(
        (report.images, report.classes, report.files_left_out),
        (5, None, 1)
    );
    assert!(samples(&out).iter().all(|(_, label, _)| label.is_none()));
    let tar =
        webdataset::shard::TarFiles::open(out.join("train-000000.tar").to_str().unwrap()).unwrap();
    assert!(
        tar.map(|file| file.unwrap().name)
            .all(|name| Path::new(&name)
                .extension()
                .is_some_and(|extension| extension == "jpg")),
        "no .cls members"
    );
}

#[test]
fn shards_are_as_large_or_as_many_as_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let input = place.path().join("images");
    tree(&input, 0..60);
    // Shards are planned by the sizes of files.
    let kept = PackOptions {
        rewrite: Rewrite::KeepBytes,
        ..PackOptions::default()
    };
    for most in [20_000, 30_000, 60_000] {
        let out = place.path().join(format!("most-{most}"));
        pack(
            &input,
            &out,
            &PackOptions {
                shard_size: ShardSize::Bytes(most),
                ..kept.clone()
            },
        )
        .unwrap();
        let manifest = Manifest::read(&out.join(Manifest::FILE_NAME)).unwrap();
        assert!(
            manifest.shards.len() > 1 && manifest.shards.iter().all(|shard| shard.bytes <= most)
        );
        let total: u64 = manifest.shards.iter().map(|shard| shard.bytes).sum();
        assert!(
            manifest.shards.len() as u64 <= total.div_ceil(most - 5_000),
            "no more shards than needed"
        );
    }
    for count in [1, 7, 60] {
        let out = place.path().join(format!("count-{count}"));
        let options = PackOptions {
            shard_size: ShardSize::Count(count),
            prefix: Some("part".to_owned()),
            ..kept.clone()
        };
        assert_eq!(
            pack(&input, &out, &options).unwrap().shards,
            u64::from(count)
        );
        let mut expected: Vec<String> = (0..count).map(|i| format!("part-{i:06}.tar")).collect();
        expected.insert(0, "manifest.parquet".to_owned());
        assert_eq!(names(&out), expected);
    }
    let error = pack(
        &input,
        &place.path().join("no"),
        &PackOptions {
            shard_size: ShardSize::Count(61),
            ..kept.clone()
        },
    );
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("cannot make 61 shards of 60 images")
    );
    assert!(!place.path().join("no").exists());
}

#[test]
fn unreadable_images_end_the_packing_or_are_left_out_and_reported() {
    let place = tempfile::tempdir().unwrap();
    let (input, out) = (place.path().join("images"), place.path().join("out"));
    tree(&input, 0..10);
    let whole = jpeg(99);
    put(&input, "train/cat/png.jpg", b"\x89PNG\r\n\x1a\n and more");
    put(&input, "train/cat/empty.jpg", b"");
    put(&input, "train/cat/cut.jpg", &whole[..whole.len() * 2 / 3]);
    let error = pack(&input, &out, &PackOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("train/cat/") && error.contains("--odd-files skip"),
        "{error}"
    );
    assert_eq!(names(place.path()), ["images"], "nothing is left behind");

    let skip = PackOptions {
        odd_files: OddFiles::Skip,
        ..PackOptions::default()
    };
    let report = pack(&input, &out, &skip).unwrap();
    let odd: Vec<_> = report
        .odd_files
        .iter()
        .map(|odd| odd.path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(
        (report.images, odd),
        (10, vec!["cut.jpg", "empty.jpg", "png.jpg"])
    );
    assert_eq!(samples(&out).len(), 10);

    let only_odd = place.path().join("odd");
    put(&only_odd, "a.jpg", b"no");
    let error = pack(&only_odd, &place.path().join("none"), &skip)
        .unwrap_err()
        .to_string();
    assert!(error.contains("none of the 1"), "{error}");
    assert_eq!(names(place.path()), ["images", "odd", "out"]);
}

#[test]
fn interrupted_in_the_middle_it_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let input = place.path().join("images");
    tree(&input, 0..60);
    let stop = AtomicBool::new(false);
    let options = PackOptions {
        shard_size: ShardSize::Count(6),
        ..PackOptions::default()
    };
    let mut most = 0;
    let error = pack_image_folder(
        &input,
        &place.path().join("new/out"),
        &options,
        &stop,
        &mut |progress| {
            if let Progress::Packing { images, .. } = progress {
                most = images;
                stop.store(images >= 30, Ordering::Relaxed);
            }
        },
    )
    .unwrap_err();
    assert!(error.is::<Interrupted>() && most == 30);
    assert_eq!(names(place.path()), ["images"]);
}

#[test]
fn an_output_in_use_or_inside_the_input_is_refused_and_kept() {
    let place = tempfile::tempdir().unwrap();
    let input = place.path().join("images");
    tree(&input, 0..6);
    put(place.path(), "used/precious.txt", b"keep");
    put(place.path(), "file", b"keep");
    for (out, reason) in [
        ("used", "not empty"),
        ("file", "not a folder"),
        ("images", "the same folder"),
        ("images/shards", "inside the input"),
        ("images/train/../x", "inside the input"),
    ] {
        let error = pack(&input, &place.path().join(out), &PackOptions::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{out}: {error}");
    }
    assert_eq!(names(place.path()), ["file", "images", "used"]);
    assert_eq!(names(&input), ["train"]);
    assert_eq!(
        std::fs::read(place.path().join("used/precious.txt")).unwrap(),
        b"keep"
    );
}

#[test]
fn equal_names_in_different_classes_get_different_keys() {
    let place = tempfile::tempdir().unwrap();
    let (input, out) = (place.path().join("images"), place.path().join("out"));
    for (i, name) in ["cat/1.jpg", "cat/1.jpeg", "dog/1.jpg", "dog/2.jpg"]
        .iter()
        .enumerate()
    {
        put(&input, name, &jpeg(i));
    }
    pack(&input, &out, &PackOptions::default()).unwrap();
    let mut keys: Vec<_> = samples(&out)
        .into_iter()
        .map(|(key, _, bytes)| (key, bytes))
        .collect();
    keys.sort();
    // "1.jpeg" sorts before "1.jpg".
    let expected = [("2", 3), ("cat_1_1", 1), ("cat_1_2", 0), ("dog_1", 2)];
    assert_eq!(
        keys,
        expected.map(|(key, i)| (key.to_owned(), crop_ready(&jpeg(i))))
    );
}

#[test]
fn the_cache_holds_crop_ready_images_and_is_found_again() {
    let place = tempfile::tempdir().unwrap();
    let (input, cache) = (place.path().join("images"), place.path().join("cache"));
    tree(&input, 0..6);
    let stop = AtomicBool::new(false);
    let packed = || pack_image_folder_into_cache(&input, &cache, &stop, &mut |_| {}).unwrap();
    let (folder, report) = packed();
    assert!(report.unwrap().rewrites.is_some());
    assert!(
        samples(&folder)
            .iter()
            .any(|(.., bytes)| *bytes == crop_ready(&jpeg(0)))
    );
    let (again, report) = packed();
    assert!(again == folder && report.is_none());
}
