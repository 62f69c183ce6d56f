//! Whatever a manifest's bytes are, reading survives; one that is read is written and read again as it was.
//!
//! ```sh
//! cargo install cargo-fuzz
//! python3 loader/fuzz/seeds.py loader/fuzz/corpus
//! cd loader
//! cargo +nightly fuzz run -s none manifest -- -max_total_time=60 -max_len=20000
//! ```
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sbam_loader::Manifest;
use sbam_loader_fuzz::say_nothing_of_panics_in;

/// A file of this process for the manifest.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    std::env::temp_dir().join(format!("sbam-fuzz-{}.parquet", std::process::id()))
});

fuzz_target!(init: say_nothing_of_panics_in(&["parquet", "arrow"]), |bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).expect("writes the manifest");
    let Ok(manifest) = Manifest::read(&FILE) else {
        return;
    };
    manifest.write(&FILE).expect("what was read can be written");
    let again = Manifest::read(&FILE).expect("what was written can be read");
    assert!(again == manifest, "another manifest than was written");
});
