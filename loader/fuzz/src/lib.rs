//! What the fuzz targets share.

use sbam_augment::CropBox;
use sbam_loader::JpegSize;

/// A box inside a photograph that the end of its file draws, where changes do not turn it into another file.
pub fn draw_box(bytes: &[u8], size: JpegSize) -> CropBox {
    let draw = |at: usize, below: u32| {
        let end = bytes.len().saturating_sub(4 * at);
        let four = bytes.get(end.wrapping_sub(4)..end).unwrap_or(&[1, 2, 3, 4]);
        u32::from_le_bytes([four[0], four[1], four[2], four[3]]) % below
    };
    let (x, y) = (draw(0, size.width), draw(1, size.height));
    CropBox {
        x,
        y,
        width: 1 + draw(2, size.width - x),
        height: 1 + draw(3, size.height - y),
    }
}

/// Says nothing of panics in these libraries, which the loader catches; the fuzzer's own hook would end the run. What
/// nobody catches ends it all the same.
pub fn say_nothing_of_panics_in(libraries: &'static [&'static str]) {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or("", |place| place.file());
        if !libraries.iter().any(|library| place.contains(library)) {
            eprintln!("{panic}");
        }
    }));
}
