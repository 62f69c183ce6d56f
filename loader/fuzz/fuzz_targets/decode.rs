//! Whatever the bytes are, decoding survives, and a box shows what the whole shows there.
//!
//! ```sh
//! cargo install cargo-fuzz
//! python3 tools/fuzz/seeds.py loader/fuzz/corpus/decode
//! cd loader
//! cargo +nightly fuzz run -s none decode -- -max_total_time=60
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use sbam_loader::{Decoder, SampleProblem, jpeg_size, restart_mcus};
use sbam_loader_fuzz::{draw_box, say_nothing_of_panics_in};

/// Larger photographs would take the fuzzer's time.
const MOST_PIXELS: u32 = 1 << 20;

fuzz_target!(init: say_nothing_of_panics_in(&["zune-jpeg"]), |bytes: &[u8]| {
    let Ok(size) = jpeg_size(bytes) else {
        assert!(Decoder::new().decode(bytes).is_err());
        return;
    };
    if size.width.saturating_mul(size.height) > MOST_PIXELS {
        return;
    }
    let needed = draw_box(bytes, size);
    let (mut decoder, mut other) = (Decoder::new(), Decoder::new());
    let part = decoder.decode_part(bytes, &needed, restart_mcus(bytes));
    let whole = other.decode(bytes);
    let Ok(whole) = whole else {
        // Damage outside the box goes unnoticed.
        return;
    };
    assert_eq!((whole.width, whole.height), (size.width, size.height));
    // What the loader decodes itself is the box alone. zune-jpeg leaves rows of some damaged files unwritten, or fails,
    // with others of a cut than of the whole.
    let part = match part {
        Ok(part) if part.place == needed => part,
        Ok(_) | Err(SampleProblem::Decode { .. }) => return,
        Err(problem) => panic!("the whole decodes, but {needed:?} does not: {problem}"),
    };
    for y in 0..needed.height {
        let row = |pixels: &'_ [u8], x: u32, y: u32, width: u32| {
            let at = (y * width + x) as usize * 3;
            pixels[at..at + needed.width as usize * 3].to_vec()
        };
        let (place, rgb) = (part.place, part.rgb);
        assert_eq!(
            row(
                rgb.pixels,
                needed.x - place.x,
                needed.y + y - place.y,
                rgb.width
            ),
            row(whole.pixels, needed.x, needed.y + y, whole.width),
            "row {y} of {needed:?}"
        );
    }
});
