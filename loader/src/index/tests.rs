use std::fs;

use proptest::prelude::*;

use crate::fixture::{Tar, jpeg, small_jpeg, write_shards};
use crate::{Error, Manifest, index_shards};

/// Indexes one shard of these bytes, named `x.tar`.
fn index(bytes: &[u8]) -> Result<Manifest, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tar");
    fs::write(&path, bytes).unwrap();
    index_shards(&[path], &mut |_, _| {})
}

fn message(bytes: &[u8]) -> String {
    index(bytes).unwrap_err().to_string()
}

proptest! {
    #[test]
    fn finds_every_jpeg_where_it_is(counts in prop::collection::vec(0_usize..6, 1..5), extra in 0_usize..1500) {
        prop_assume!(counts.iter().sum::<usize>() > 0);
        let folder = tempfile::tempdir().unwrap();
        // Data after the end of an image makes lengths of every remainder by 512.
        let bytes = |number| [small_jpeg(number), vec![0; extra + number as usize]].concat();
        write_shards(folder.path(), &counts, bytes);
        let paths: Vec<_> = (0..counts.len()).map(|s| folder.path().join(format!("s-{s}.tar"))).collect();
        let mut last = (0, 0);
        let manifest = index_shards(&paths, &mut |done, total| {
            assert!(done >= last.0 && done <= total);
            last = (done, total);
        }).unwrap();
        prop_assert_eq!(last.0, last.1, "progress ends at the end");
        prop_assert_eq!(manifest.samples_per_shard(), counts.iter().map(|&c| c as u64).collect::<Vec<_>>());
        for (number, sample) in manifest.samples.iter().enumerate() {
            let (number, shard) = (number as u32, &paths[sample.shard_index as usize]);
            let shard = fs::read(shard).unwrap();
            let found = &shard[sample.offset as usize..][..sample.length as usize];
            prop_assert_eq!(found, &bytes(number)[..]);
            prop_assert_eq!(sample.crc32c, i64::from(crc32c::crc32c(found)));
            prop_assert_eq!(&sample.key, &format!("k{number}"));
            prop_assert_eq!(sample.label, Some((number % 10) as i32));
            let listed = &manifest.shards[sample.shard_index as usize];
            prop_assert_eq!((listed.bytes, listed.crc32c), (shard.len() as u64, crc32c::crc32c(&shard)));
        }
    }

    #[test]
    fn no_damage_makes_it_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        keep: prop::sample::Index,
    ) {
        let mut tar = Tar::default();
        tar.add("a.jpg", &jpeg(9, 9, 1));
        tar.add("a.cls", b"4");
        tar.add("b.jpg", &jpeg(8, 9, 1));
        let mut bytes = tar.finish();
        for (at, value) in changes {
            *at.get_mut(&mut bytes) = value;
        }
        bytes.truncate(keep.index(bytes.len() + 1));
        let _ = index(&bytes);
    }
}

#[test]
fn a_shard_cut_off_anywhere_is_an_error_with_its_place() {
    let mut tar = Tar::default();
    tar.add("a.jpg", &jpeg(30, 20, 1));
    tar.add("a.cls", b"4");
    let last = tar.add("b.jpg", &jpeg(30, 20, 2));
    let data_end = tar.0.len();
    let whole = tar.finish();
    assert_eq!(index(&whole).unwrap().samples.len(), 2);
    // Every block's start and end, and places between.
    let lengths =
        (1..=data_end).filter(|length| length % 512 < 2 || length % 512 == 511 || length % 67 == 0);
    for length in lengths {
        match index(&whole[..length]).unwrap_err() {
            Error::NotTar { .. } => assert!(length < 512),
            Error::Tar { offset, .. } => assert!(length >= 512 && offset <= length as u64),
            error => panic!("{length}: {error}"),
        }
    }
    let cut = message(&whole[..last as usize + 5]);
    let expected = format!("x.tar at byte {}: tar archive ends mid-entry", last - 512);
    assert!(cut.contains(&expected), "{cut}");
    let no_end = message(&whole[..data_end]);
    assert!(
        no_end.contains(&format!("at byte {data_end}: it ends without")),
        "{no_end}"
    );
}

#[test]
fn what_is_not_a_tar_is_said_so() {
    assert!(message(b"").contains("an empty file"));
    assert!(message(&[b'x'; 5000]).contains("not a tar file"));
    assert!(message(b"short").contains("not a tar file"));
    assert!(message(&[0x1f, 0x8b, 8, 0, 0, 0]).contains("gunzip"));
    assert!(message(&[0x28, 0xb5, 0x2f, 0xfd, 0, 0]).contains("unzstd"));
    let nothing = message(&Tar::default().finish());
    assert!(nothing.contains("no sample with a .jpg"), "{nothing}");
}

type Members<'a> = Vec<(&'a str, &'a [u8])>;

#[test]
fn bad_members_are_named_with_their_place() {
    let photograph = jpeg(9, 9, 1);
    let cases: Vec<(Members, usize, &str, &str)> = vec![
        (
            vec![("a.jpg", &photograph), ("a.cls", b"cat")],
            1,
            "sample a at byte",
            "holds \"cat\", not a class index",
        ),
        (
            vec![("a.jpg", &photograph), ("a.cls", b"-1")],
            1,
            "sample a at byte",
            "not a class index",
        ),
        (
            vec![("a.jpg", &photograph), ("a.cls", b"")],
            1,
            "sample a at byte",
            "not a class index",
        ),
        (
            vec![("a.jpg", &photograph), ("a.cls", b"9999999999")],
            1,
            "sample a at byte",
            "not a class index",
        ),
        (
            vec![("a.jpg", &photograph), ("a.cls", b"1"), ("a.cls", b"1")],
            2,
            "sample a at byte",
            "a second .cls",
        ),
        (
            vec![("a.jpg", &photograph), ("a.JPEG", &photograph)],
            1,
            "sample a at byte",
            "a second JPEG",
        ),
        (
            vec![
                ("a.jpg", &photograph),
                ("b.jpg", &photograph),
                ("a.cls", b"1"),
            ],
            2,
            "sample a at byte",
            "not consecutive",
        ),
        (
            vec![("d/a.jpg", b"\x89PNG....")],
            0,
            "sample d/a at byte",
            "it is a PNG",
        ),
        (
            vec![("a.cls", b"1"), ("b.jpg", &photograph)],
            0,
            "sample a at byte",
            "a .cls without a .jpg",
        ),
        (
            vec![("b.jpg", &photograph), ("a.cls", b"1"), ("a.png", b"x")],
            1,
            "sample a at byte",
            "a .cls without a .jpg",
        ),
    ];
    for (members, at_fault, place, problem) in cases {
        let mut tar = Tar::default();
        let offsets: Vec<u64> = members
            .iter()
            .map(|(name, data)| tar.add(name, data))
            .collect();
        let text = message(&tar.finish());
        let place = format!("x.tar, {place} {}: ", offsets[at_fault]);
        assert!(
            text.contains(&place) && text.contains(problem),
            "{text} / {place}"
        );
    }
}

#[test]
fn groups_as_webdataset_does_and_ignores_what_it_does_not_know() {
    let mut tar = Tar::default();
    tar.add("__index__", b"meta");
    tar.add(".hidden", b"");
    tar.add("README", b"");
    tar.add("d/a.JPEG", &jpeg(11, 7, 0));
    tar.add("d/a.json", b"{}");
    tar.add("d/a.Cls", b" 12\n");
    tar.add_of_type(b'5', "folder/", b"");
    tar.add("b.seg.png", b"not a photograph");
    // A key in a long name, as GNU tar writes it.
    let long = format!("{}/c.jpg", "x".repeat(150));
    tar.add_of_type(b'L', "././@LongLink", format!("{long}\0").as_bytes());
    let offset = tar.add("cut short", &jpeg(12, 8, 0));
    let mut bytes = tar.finish();
    bytes.extend([0; 5000]);
    let manifest = index(&bytes).unwrap();
    let found: Vec<_> = manifest
        .samples
        .iter()
        .map(|s| (s.key.as_str(), s.label, s.width, s.height))
        .collect();
    assert_eq!(
        found,
        [
            ("d/a", Some(12), 11, 7),
            (long.strip_suffix(".jpg").unwrap(), None, 12, 8)
        ]
    );
    assert_eq!(manifest.samples[1].offset, offset as i64);
    bytes.extend(Tar::default().finish());
    bytes.extend([1]);
    assert!(message(&bytes).contains("data follows the end of the archive"));
}

/// The lengths in extended headers are foreign text.
#[test]
fn an_extended_header_that_makes_no_sense_is_an_error_with_its_place() {
    for record in [&b"003 path=b.jpg\n"[..], b"1 path=b.jpg\n"] {
        let mut tar = Tar::default();
        tar.add("a.jpg", &jpeg(9, 9, 1));
        let content = tar.add_of_type(b'x', "@PaxHeader", record);
        tar.add("b.jpg", &jpeg(8, 9, 1));
        let found = index(&tar.finish()).unwrap_err();
        assert!(
            matches!(found, Error::Tar { offset, .. } if offset == content - 512),
            "{found}"
        );
    }
}
