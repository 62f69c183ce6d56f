//! Whatever the bytes are, finding segments and cutting survive; what is cut is a JPEG that can be cut again.
//!
//! ```sh
//! cargo install cargo-fuzz
//! python3 tools/fuzz/seeds.py loader/fuzz/corpus/cut
//! cd loader
//! cargo +nightly fuzz run -s none cut -- -max_total_time=60
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use sbam_loader::{Cutter, jpeg_size, restart_mcus};
use sbam_loader_fuzz::draw_box;

fuzz_target!(|bytes: &[u8]| {
    let interval = restart_mcus(bytes);
    let Ok(size) = jpeg_size(bytes) else {
        assert_eq!(interval, 0, "no size, but it can be cut");
        return;
    };
    let needed = draw_box(bytes, size);
    let mut cutter = Cutter::new();
    // Also with an interval that is not the file's.
    for asked in [interval, 1, 7] {
        match cutter.cut(bytes, &needed, asked) {
            Err(problem) => assert!(asked != interval || interval == 0, "{problem}"),
            Ok(None) => assert_eq!(asked, interval),
            Ok(Some(cut)) => {
                let part = cut.part;
                assert!(part.lies_inside(size.width, size.height));
                assert!(part.x <= needed.x && part.x + part.width >= needed.x + needed.width);
                assert!(part.y <= needed.y && part.y + part.height >= needed.y + needed.height);
                assert!(cut.jpeg.len() <= bytes.len());
                let cut_size = jpeg_size(cut.jpeg).expect("what is cut is a JPEG");
                assert_eq!((cut_size.width, cut_size.height), (part.width, part.height));
                assert_eq!(
                    restart_mcus(cut.jpeg),
                    asked,
                    "what is cut can be cut again"
                );
            }
        }
    }
});
