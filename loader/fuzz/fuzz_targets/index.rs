//! Whatever a shard's bytes are, indexing survives, and what it finds is where it says.
//!
//! ```sh
//! cargo install cargo-fuzz
//! python3 loader/fuzz/seeds.py loader/fuzz/corpus
//! cd loader
//! cargo +nightly fuzz run -s none index -- -max_total_time=60 -max_len=20000
//! ```
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sbam_loader::{Dataset, index_shards};
use sbam_loader_fuzz::say_nothing_of_panics_in;

/// A folder of this process for the shard.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("sbam-fuzz-index-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the shard");
    folder
});

fuzz_target!(init: say_nothing_of_panics_in(&["webdataset"]), |bytes: &[u8]| {
    let shard = FOLDER.join("s-0.tar");
    std::fs::write(&shard, bytes).expect("writes the shard");
    let Ok(manifest) = index_shards(&[shard.clone()], &mut |_, _| {}) else {
        return;
    };
    assert_eq!(manifest.shards[0].bytes, bytes.len() as u64);
    let written = FOLDER.join("manifest.parquet");
    manifest
        .write(&written)
        .expect("what was indexed can be written");
    let spec = FOLDER.to_str().expect("UTF-8");
    let dataset = Dataset::open(spec, &FOLDER.join("cache"), &mut |_, _| {})
        .expect("what was written can be opened");
    let mut jpeg = Vec::new();
    for index in 0..dataset.len() {
        let sample = dataset.sample(index);
        let (start, length) = (sample.offset as usize, sample.length as usize);
        dataset
            .read(index, &mut jpeg)
            .expect("a sample is inside its shard");
        assert_eq!(jpeg, bytes[start..start + length]);
        assert_eq!(i64::from(crc(&jpeg)), sample.crc32c);
    }
    let _ = std::fs::remove_file(written);
});

/// CRC-32C, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |mut crc, &byte| {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
        crc
    })
}
