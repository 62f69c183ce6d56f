use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

use crate::{Error, Manifest, Sample, Shard};

prop_compose! {
    fn sample()(
        key in "[a-z/é.]{1,12}", gap in 512_i64..4096, length in 1..100_000_i32, width in 1..=65_535_i32,
        height in 1..=65_535_i32, label in prop::option::of(0..3_i32), crc32c: u32, restart_mcus in 0..999_i32,
    ) -> (i64, Sample) {
        let crc32c = i64::from(crc32c);
        (gap, Sample { shard_index: 0, key, offset: 0, length, width, height, label, crc32c, restart_mcus })
    }
}

prop_compose! {
    fn manifests()(
        shards in prop::collection::vec(prop::collection::vec(sample(), 0..20), 1..6),
        crc32c: u32, seed: Option<u64>, tool in ".{0,20}", class_names in prop::collection::vec(".{0,9}", 3),
    ) -> Manifest {
        let mut manifest = Manifest { class_names, seed, tool, ..Manifest::default() };
        for (index, samples) in shards.into_iter().enumerate() {
            let mut end = 0;
            for (gap, mut sample) in samples {
                sample.shard_index = index as i32;
                sample.offset = end + gap;
                end = sample.offset + i64::from(sample.length);
                manifest.samples.push(sample);
            }
            manifest.shards.push(Shard { name: format!("s-{index}.tar"), bytes: end as u64, crc32c });
        }
        manifest
    }
}

proptest! {
    // Every case syncs to the disk.
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn comes_back_as_it_was_written(manifest in manifests()) {
        let folder = tempfile::tempdir().unwrap();
        let (path, again) = (folder.path().join(Manifest::FILE_NAME), folder.path().join("again"));
        manifest.write(&path).unwrap();
        let read = Manifest::read(&path).unwrap();
        prop_assert_eq!(&read, &manifest);
        prop_assert_eq!(read.hash(), manifest.hash());
        manifest.write(&again).unwrap();
        prop_assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&again).unwrap());
        prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left behind");
    }

    #[test]
    fn damage_is_an_error_or_changes_nothing(at: prop::sample::Index, value: u8, keep: prop::sample::Index) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        two_shards().write(&path).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        *at.get_mut(&mut bytes) = value;
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(read) = Manifest::read(&path) {
            prop_assert_eq!(read.hash(), two_shards().hash());
        }
        bytes.truncate(keep.index(bytes.len()));
        std::fs::write(&path, &bytes).unwrap();
        prop_assert!(Manifest::read(&path).is_err());
    }
}

fn two_shards() -> Manifest {
    let sample = |shard_index, key: &str, offset| Sample {
        shard_index,
        key: key.to_owned(),
        offset,
        length: 100,
        width: 20,
        height: 10,
        label: Some(1),
        crc32c: 5,
        restart_mcus: 0,
    };
    let shard = |name: &str| Shard {
        name: name.to_owned(),
        bytes: 4096,
        crc32c: 1,
    };
    Manifest {
        shards: vec![shard("a.tar"), shard("b.tar")],
        samples: vec![
            sample(0, "x", 512),
            sample(0, "y", 1536),
            sample(1, "z", 512),
        ],
        class_names: vec!["cat".to_owned(), "dog".to_owned()],
        seed: Some(3),
        tool: "test 1".to_owned(),
    }
}

type Change = fn(&mut Manifest);

#[test]
fn refuses_rows_that_cannot_be_true() {
    let cases: [(Change, &str); 19] = [
        (|m| m.samples[1].shard_index = 7, "there are 2 shards"),
        (|m| m.samples[1].shard_index = -1, "there are 2 shards"),
        (|m| m.samples[0].shard_index = 1, "must be in shard order"),
        (
            |m| m.samples[1].offset = 600,
            "before the end of the sample above",
        ),
        (|m| m.samples[1].offset = 0, "impossible offset 0"),
        (|m| m.samples[1].offset = i64::MAX, "past the shard's end"),
        (|m| m.samples[1].length = 0, "length 0"),
        (
            |m| m.samples[1].length = 4000,
            "past the shard's end at 4096",
        ),
        (|m| m.samples[1].width = 0, "impossible size 0x10"),
        (|m| m.samples[1].height = 70_000, "impossible size 20x70000"),
        (|m| m.samples[1].label = Some(-1), "label -1"),
        (
            |m| m.samples[1].label = Some(2),
            "label 2 where there are 2 class names",
        ),
        (|m| m.samples[1].crc32c = -1, "impossible crc32c"),
        (|m| m.samples[1].restart_mcus = -1, "restart_mcus -1"),
        (|m| m.samples[1].key.clear(), "a key has 1 to"),
        (|m| m.samples[1].key = "k".repeat(5000), "a key has 1 to"),
        (|m| m.shards[1].name = "a.tar".to_owned(), "listed twice"),
        (
            |m| m.shards[1].name = "../a.tar".to_owned(),
            "plain file name",
        ),
        (|m| m.shards[1].name = "..".to_owned(), "plain file name"),
    ];
    two_shards().check().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (change, part) in cases {
        let mut manifest = two_shards();
        change(&mut manifest);
        let message = manifest.check().unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
        assert!(manifest.write(&folder.path().join("m")).is_err());
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            0,
            "nothing half-written"
        );
    }
    let mut manifest = two_shards();
    manifest.samples[1].width = 0;
    let message = manifest.check().unwrap_err().to_string();
    assert!(
        message.starts_with("manifest row 1 (shard a.tar, sample y): "),
        "{message}"
    );
}

#[test]
fn the_hash_is_of_the_data_and_of_nothing_else() {
    let base = two_shards();
    let same = Manifest {
        seed: None,
        tool: "other".to_owned(),
        ..base.clone()
    };
    assert_eq!(same.hash(), base.hash());
    let changes: [Change; 13] = [
        |m| m.samples[1].key.push('x'),
        |m| m.samples[1].offset += 1,
        |m| m.samples[1].length += 1,
        |m| m.samples[1].width += 1,
        |m| m.samples[1].height += 1,
        |m| m.samples[1].label = None,
        |m| m.samples[1].crc32c += 1,
        |m| m.samples[1].restart_mcus += 1,
        |m| m.samples.truncate(2),
        |m| m.shards[1].name.push('x'),
        |m| m.shards[1].bytes += 1,
        |m| m.shards[1].crc32c += 1,
        |m| m.class_names[1].push('x'),
    ];
    let mut hashes = std::collections::HashSet::from([base.hash()]);
    for change in changes {
        let mut changed = base.clone();
        change(&mut changed);
        assert!(hashes.insert(changed.hash()));
    }
    assert_eq!(base.hash().len(), 64);
}

#[test]
fn says_which_column_or_entry_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    std::fs::write(&path, "no parquet").unwrap();
    assert!(matches!(
        Manifest::read(&path),
        Err(Error::ManifestFile { .. })
    ));
    let column: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let foreign = RecordBatch::try_from_iter([("x", column)]).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(&path).unwrap(), foreign.schema(), None).unwrap();
    writer.write(&foreign).unwrap();
    writer.close().unwrap();
    let message = Manifest::read(&path).unwrap_err().to_string();
    assert!(
        message.contains("metadata sbam.schema_version: missing"),
        "{message}"
    );
}

#[test]
fn others_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, plain) = (folder.path().join("m"), folder.path().join("plain"));
    two_shards().write(&path).unwrap();
    File::create(&plain).unwrap();
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(
        mode(&path),
        mode(&plain),
        "the umask decides, as for any new file"
    );
}
