use std::fs;
use std::path::Path;

use crate::fixture::{dataset, open, small_jpeg, write_shards};
use crate::{Dataset, Error, Manifest};

fn try_open(spec: &str, cache: &Path) -> Result<Dataset, Error> {
    Dataset::open(spec, cache, &mut |_, _| {})
}

fn message(spec: &str) -> String {
    let cache = tempfile::tempdir().unwrap();
    let message = try_open(spec, cache.path()).unwrap_err().to_string();
    assert!(
        fs::read_dir(cache.path()).unwrap().next().is_none(),
        "nothing half-written"
    );
    message
}

#[test]
fn reads_the_bytes_of_every_sample() {
    let (_folder, dataset) = dataset(&[3, 0, 4]);
    assert_eq!(dataset.len(), 7);
    let mut bytes = vec![1, 2, 3];
    for number in [6, 0, 3] {
        dataset.read(number, &mut bytes).unwrap();
        assert_eq!(bytes, small_jpeg(number as u32));
        assert_eq!(dataset.sample(number).key, format!("k{number}"));
    }
    assert_eq!(dataset.shard(3).name, "s-2.tar");
}

#[test]
fn indexes_once_and_again_when_a_shard_changes() {
    let folder = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    write_shards(folder.path(), &[3, 2], small_jpeg);
    let spec = folder.path().to_str().unwrap();
    let open = || {
        let mut told = 0;
        let dataset = Dataset::open(spec, cache.path(), &mut |_, _| told += 1).unwrap();
        (dataset.hash().to_owned(), dataset.len(), told > 0)
    };
    let (hash, samples, indexed) = open();
    assert_eq!((samples, indexed), (5, true));
    assert_eq!(open(), (hash.clone(), 5, false));
    // A damaged cache is made anew.
    let cached = fs::read_dir(cache.path().join("manifests"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    fs::write(&cached, "rubbish").unwrap();
    assert_eq!(open(), (hash.clone(), 5, true));
    write_shards(folder.path(), &[3, 4], small_jpeg);
    let (changed, samples, indexed) = open();
    assert_eq!((samples, indexed), (7, true));
    assert_ne!(changed, hash);
    // Nothing was written beside the shards.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_list_takes_a_part_of_what_the_manifest_describes() {
    let folder = tempfile::tempdir().unwrap();
    write_shards(folder.path(), &[3, 2, 4, 1], small_jpeg);
    let whole = open(folder.path());
    fs::remove_dir_all(folder.path().join("cache")).unwrap();
    let indexed_part = {
        let cache = tempfile::tempdir().unwrap();
        try_open(
            &format!("{}/s-{{1..2}}.tar", folder.path().display()),
            cache.path(),
        )
        .unwrap()
    };
    whole
        .manifest
        .write(&folder.path().join(Manifest::FILE_NAME))
        .unwrap();
    let nowhere = Path::new("/nonexistent/cache");
    assert_eq!(
        try_open(folder.path().to_str().unwrap(), nowhere)
            .unwrap()
            .hash(),
        whole.hash()
    );
    let part = try_open(
        &format!("{}/s-{{1..2}}.tar", folder.path().display()),
        nowhere,
    )
    .unwrap();
    assert_eq!(part.manifest.samples, indexed_part.manifest.samples);
    assert_eq!(part.hash(), indexed_part.hash());
    let backwards = try_open(
        &format!("{}/s-{{2..1}}.tar", folder.path().display()),
        nowhere,
    )
    .unwrap();
    let keys = |d: &Dataset| {
        d.manifest
            .samples
            .iter()
            .map(|s| s.key.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&backwards), ["k5", "k6", "k7", "k8", "k3", "k4"]);
    let mut bytes = Vec::new();
    backwards.read(4, &mut bytes).unwrap();
    assert_eq!(bytes, small_jpeg(3));
    let one = try_open(folder.path().join("s-3.tar").to_str().unwrap(), nowhere).unwrap();
    assert_eq!(keys(&one), ["k9"]);
    let twice = try_open(
        &format!("{}/s-{{1,1}}.tar", folder.path().display()),
        nowhere,
    )
    .unwrap_err();
    assert!(twice.to_string().contains("listed twice"), "{twice}");
}

#[test]
fn says_what_is_wrong_with_what_was_named() {
    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    assert!(message("").contains("no data named"));
    assert!(message("pipe:cat x.tar").contains("refused"));
    assert!(message("https://host/x.tar").contains("URLs are not read so far"));
    assert!(message(&inside("nothing")).contains("there is no"));
    assert!(message(&inside("x-{0..1.tar")).contains("unbalanced braces"));
    assert!(message(folder.path().to_str().unwrap()).contains("no .tar shards"));
    fs::write(inside("x.tar.gz"), b"").unwrap();
    assert!(message(&inside("x.tar.gz")).contains("is compressed"));
    assert!(message(folder.path().to_str().unwrap()).contains("is compressed"));
    fs::remove_file(inside("x.tar.gz")).unwrap();
    fs::create_dir(inside("y.tar")).unwrap();
    assert!(message(&inside("{y,y}.tar")).contains("is not a file"));
    fs::remove_dir(inside("y.tar")).unwrap();
    fs::write(inside("z.tar"), "no tar at all").unwrap();
    let not_tar = message(folder.path().to_str().unwrap());
    assert!(not_tar.contains("z.tar: not a tar file"), "{not_tar}");
}

#[test]
fn shards_that_do_not_fit_their_manifest_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_shards(folder.path(), &[3, 2], small_jpeg);
    let manifest = open(folder.path()).manifest.clone();
    manifest
        .write(&folder.path().join(Manifest::FILE_NAME))
        .unwrap();
    fs::remove_dir_all(folder.path().join("cache")).unwrap();
    let spec = folder.path().to_str().unwrap();
    let shard = folder.path().join("s-1.tar");

    fs::write(folder.path().join("s-9.tar"), b"").unwrap();
    let extra = message(spec);
    assert!(
        extra.contains("shard s-9.tar") && extra.contains("does not list it"),
        "{extra}"
    );
    fs::remove_file(folder.path().join("s-9.tar")).unwrap();

    let bytes = fs::read(&shard).unwrap();
    fs::write(&shard, &bytes[..bytes.len() - 512]).unwrap();
    let shorter = message(spec);
    let expected = format!(
        "it has {} bytes, the manifest says {}",
        bytes.len() - 512,
        bytes.len()
    );
    assert!(
        shorter.contains("s-1.tar") && shorter.contains(&expected),
        "{shorter}"
    );

    fs::remove_file(&shard).unwrap();
    let missing = message(spec);
    assert!(
        missing.contains("shard s-1.tar") && missing.contains("there is no file"),
        "{missing}"
    );
}
