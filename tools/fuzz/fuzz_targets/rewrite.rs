//! Whatever the bytes are, rewriting survives; what it rewrites decodes to the same pixels and keeps its coefficients.
//!
//! ```sh
//! cargo install cargo-fuzz
//! cd tools
//! python3 fuzz/seeds.py fuzz/corpus/rewrite
//! cargo +nightly fuzz run -s none rewrite -- -max_total_time=60
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use sbam_loader::{Decoder, Rgb, jpeg_size};
use sbam_tools::{CropReady, KeptAsIs};

/// Larger images find nothing more, and slowly.
const MOST_PIXELS: u64 = 1 << 18;

/// The JPEG decoder panics on some damaged files; the loader catches that. What nobody catches ends the run all the same.
fn say_nothing_of_caught_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or("", |place| place.file());
        if !place.contains("zune-jpeg") {
            eprintln!("{panic}");
        }
    }));
}

fuzz_target!(init: say_nothing_of_caught_panics(), |bytes: &[u8]| {
    if let Ok(size) = jpeg_size(bytes)
        && u64::from(size.width) * u64::from(size.height) > MOST_PIXELS
    {
        return;
    }
    let nothing = Rgb {
        width: 0,
        height: 0,
        pixels: &[],
    };
    let (mut decoder, mut rewriter) = (Decoder::new(), CropReady::new());
    // Bytes that do not decode are rewritten too, as far as that goes.
    let decoded = decoder.decode(bytes);
    let decoded = decoded.as_ref().unwrap_or(&nothing);
    match rewriter.rewrite(bytes, Some(decoded)) {
        Ok(rewritten) => {
            let mut decoder = Decoder::new();
            let again = decoder
                .decode(&rewritten.bytes)
                .expect("a rewritten image decodes");
            assert!(again.pixels == decoded.pixels, "rewriting changed pixels");
            let twice = rewriter.rewrite(&rewritten.bytes, Some(&again));
            assert_eq!(
                twice.as_ref(),
                Ok(&rewritten),
                "a second rewriting changes nothing"
            );
        }
        Err(reason) => assert_ne!(reason, KeptAsIs::Differs, "coefficients changed"),
    }
});
