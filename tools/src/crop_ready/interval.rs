//! How far apart restart markers are.

/// Restart markers are as near to so many pixels apart as possible: shorter segments waste bytes and the time to start
/// them (at 32 pixels 1 % and 4 % more than at 64), longer ones waste decoding beside the crop.
const BEST_PIXELS: u32 = 64;

/// The least and most pixels between restart markers inside a row.
const PIXELS: std::ops::RangeInclusive<u32> = 32..=128;

/// MCUs between two restart markers of an image so many pixels wide, with MCUs `mcu_width` pixels wide.
///
/// It is the divisor of the row's number of MCUs that is nearest to 64 pixels within 32 to 128 (the smaller of two that
/// are equally near), or the whole row if there is none.
pub(super) fn restart_mcus(width: u32, mcu_width: u32) -> u32 {
    let row_mcus = width.div_ceil(mcu_width);
    (1..=*PIXELS.end() / mcu_width)
        .filter(|mcus| row_mcus.is_multiple_of(*mcus) && PIXELS.contains(&(mcus * mcu_width)))
        .min_by_key(|mcus| (mcus * mcu_width).abs_diff(BEST_PIXELS))
        .unwrap_or(row_mcus)
}

#[cfg(test)]
mod tests {
    use super::restart_mcus;

    #[test]
    fn the_rule() {
        for (width, mcu_width, expected) in [
            (512, 8, 8),    // 64 MCUs, 64 pixels
            (500, 16, 4),   // 32 MCUs, 64 pixels
            (375, 8, 47),   // 47 MCUs is prime: the whole row
            (376, 16, 4),   // 24 MCUs
            (504, 8, 7),    // 63 MCUs: 56 and 72 pixels are equally near
            (8 * 25, 8, 5), // 25 MCUs: 40 pixels
            (8 * 26, 8, 13),
            (16 * 22, 16, 2), // 32 pixels, the least
            (8 * 34, 8, 34),  // 136 pixels are too many, 16 too few: the whole row
            (24 * 15, 24, 3),
            (1, 8, 1),
            (65_500, 32, 1),
        ] {
            let found = restart_mcus(width, mcu_width);
            assert_eq!(found, expected, "{width} pixels, MCUs of {mcu_width}");
        }
    }
}
