//! Transform and colours with AVX2.

#![allow(
    unsafe_code,
    reason = "loads and stores of vectors take pointers; functions compiled for AVX2 are called after asking for it"
)]

use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm_mullo_epi16, _mm_or_si128, _mm_setr_epi8,
    _mm_shuffle_epi8, _mm_storeu_si128, _mm_unpackhi_epi16, _mm_unpacklo_epi16, _mm256_add_epi16,
    _mm256_add_epi32, _mm256_castsi256_si128, _mm256_cvtepu8_epi16, _mm256_extract_epi64,
    _mm256_extracti128_si256, _mm256_madd_epi16, _mm256_mulhrs_epi16, _mm256_packs_epi32,
    _mm256_packus_epi16, _mm256_permute4x64_epi64, _mm256_set_m128i, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_setr_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_srai_epi32, _mm256_storeu_si256, _mm256_sub_epi16, _mm256_sub_epi32,
    _mm256_unpackhi_epi16, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi16,
    _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
};

use super::huffman::{Block, COEFFICIENTS};
use super::idct::{EVEN, ODD, ONE, ROUND_FIRST, ROUND_LAST, SHIFT_FIRST, SHIFT_LAST};
use super::kernels::{BLUE, COLOUR_PRECISION, COLOUR_ROUND, GREEN, Kernels, Portable, RED};
use super::scan::{Scan, ScanProblem};

/// Pixels that are converted at a time.
const GROUP: usize = 16;

/// The instructions of AVX2 and BMI2; there is one only on processors that have them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2")).then_some(Self(()))
    }

    /// Decodes a scan, all of it compiled for these instructions.
    pub(super) fn decode(self, scan: &mut Scan<'_>) -> Result<(), ScanProblem> {
        // SAFETY: the processor has the instructions, or there were no `self`.
        unsafe { decode(self, scan) }
    }
}

#[target_feature(enable = "avx2,bmi2")]
fn decode(kernels: Avx2, scan: &mut Scan<'_>) -> Result<(), ScanProblem> {
    scan.decode(kernels)
}

impl Kernels for Avx2 {
    #[inline(always)]
    fn transform(
        self,
        block: &mut Block,
        steps: &[i16; COEFFICIENTS],
        levels: &mut [u8],
        stride: usize,
    ) {
        // SAFETY: the processor has the instructions, or there were no `self`.
        unsafe { transform(block, steps, levels, stride) }
    }

    #[inline(always)]
    fn colours(self, luma: &[u8], chroma: [&[u8]; 2], rgb: &mut [u8]) {
        // SAFETY: the processor has the instructions, or there were no `self`.
        unsafe { colours(luma, chroma, rgb) }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load_row(row: &[i16; 8]) -> __m128i {
    // SAFETY: the array has the 16 bytes, and alignment is not asked for.
    unsafe { _mm_loadu_si128(row.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load_levels(levels: &[u8]) -> __m128i {
    let levels: &[u8; GROUP] = levels[..GROUP].as_array().expect("a group");
    // SAFETY: the array has the 16 bytes, and alignment is not asked for.
    unsafe { _mm_loadu_si128(levels.as_ptr().cast()) }
}

/// The same two weights for each pair of numbers.
#[target_feature(enable = "avx2")]
#[inline]
fn weights(first: i16, second: i16) -> __m256i {
    _mm256_set1_epi32(i32::from(first) & 0xffff | i32::from(second) << 16)
}

/// Pairs of the numbers of two rows, those of the first four columns in the lower half.
#[target_feature(enable = "avx2")]
#[inline]
fn pairs(first: __m128i, second: __m128i) -> __m256i {
    _mm256_set_m128i(
        _mm_unpackhi_epi16(first, second),
        _mm_unpacklo_epi16(first, second),
    )
}

/// One axis: `inputs` are pairs of rows 0 and 4, 2 and 6, 1 and 3, 5 and 7.
#[target_feature(enable = "avx2")]
#[inline]
fn pass<const SHIFT: i32>(inputs: [__m256i; 4], round: i32) -> [__m256i; 8] {
    let [in04, in26, in13, in57] = inputs;
    let round = _mm256_set1_epi32(round);
    let sum = _mm256_add_epi32(_mm256_madd_epi16(in04, weights(ONE, ONE)), round);
    let difference = _mm256_add_epi32(_mm256_madd_epi16(in04, weights(ONE, -ONE)), round);
    let outer = _mm256_madd_epi16(in26, weights(EVEN[0][0], EVEN[0][1]));
    let inner = _mm256_madd_epi16(in26, weights(EVEN[1][0], EVEN[1][1]));
    let even = [
        _mm256_add_epi32(sum, outer),
        _mm256_add_epi32(difference, inner),
        _mm256_sub_epi32(difference, inner),
        _mm256_sub_epi32(sum, outer),
    ];
    let odd = |at: usize| {
        let [one, three, five, seven] = ODD[at];
        _mm256_add_epi32(
            _mm256_madd_epi16(in13, weights(one, three)),
            _mm256_madd_epi16(in57, weights(five, seven)),
        )
    };
    let odd = [odd(0), odd(1), odd(2), odd(3)];
    let plus = |at: usize| _mm256_srai_epi32::<SHIFT>(_mm256_add_epi32(even[at], odd[at]));
    let minus = |at: usize| _mm256_srai_epi32::<SHIFT>(_mm256_sub_epi32(even[at], odd[at]));
    [
        plus(0),
        plus(1),
        plus(2),
        plus(3),
        minus(3),
        minus(2),
        minus(1),
        minus(0),
    ]
}

#[target_feature(enable = "avx2")]
#[inline]
fn transform(block: &mut Block, steps: &[i16; COEFFICIENTS], levels: &mut [u8], stride: usize) {
    let (coefficients, _) = block[..COEFFICIENTS].as_chunks_mut::<8>();
    let (steps, _) = steps.as_chunks::<8>();
    let row = |at: usize| _mm_mullo_epi16(load_row(&coefficients[at]), load_row(&steps[at]));
    let inputs = [
        pairs(row(0), row(4)),
        pairs(row(2), row(6)),
        pairs(row(1), row(3)),
        pairs(row(5), row(7)),
    ];
    let rows = pass::<{ SHIFT_FIRST as i32 }>(inputs, ROUND_FIRST);
    let (cleared, _) = coefficients.as_chunks_mut::<2>();
    for two in cleared {
        // SAFETY: the array has the 32 bytes, and alignment is not asked for.
        unsafe { _mm256_storeu_si256(two.as_mut_ptr().cast(), _mm256_setzero_si256()) };
    }

    // Columns become rows. First two rows a register, their numbers in turn.
    let turns = _mm256_setr_epi8(
        0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15, //
        0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15,
    );
    let two = |at: usize| _mm256_shuffle_epi8(_mm256_packs_epi32(rows[at], rows[at + 1]), turns);
    let [rows01, rows23, rows45, rows67] = [two(0), two(2), two(4), two(6)];
    let (low, high) = (
        _mm256_unpacklo_epi32(rows01, rows23),
        _mm256_unpackhi_epi32(rows01, rows23),
    );
    let (low4, high4) = (
        _mm256_unpacklo_epi32(rows45, rows67),
        _mm256_unpackhi_epi32(rows45, rows67),
    );
    let columns04 = _mm256_unpacklo_epi64(low, low4);
    let columns15 = _mm256_unpackhi_epi64(low, low4);
    let columns26 = _mm256_unpacklo_epi64(high, high4);
    let columns37 = _mm256_unpackhi_epi64(high, high4);
    let halves = |columns: __m256i| {
        (
            _mm256_castsi256_si128(columns),
            _mm256_extracti128_si256::<1>(columns),
        )
    };
    let ((c1, c5), (c3, c7)) = (halves(columns15), halves(columns37));
    let ((c0, c4), (c2, c6)) = (halves(columns04), halves(columns26));
    let inputs = [pairs(c0, c4), pairs(c2, c6), pairs(c1, c3), pairs(c5, c7)];
    let columns = pass::<{ SHIFT_LAST as i32 }>(inputs, ROUND_LAST);

    // Bytes of four columns of four rows in each half, then rows again.
    let four = |at: usize| {
        _mm256_packus_epi16(
            _mm256_packs_epi32(columns[at], columns[at + 1]),
            _mm256_packs_epi32(columns[at + 2], columns[at + 3]),
        )
    };
    let turns = _mm256_setr_epi8(
        0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, //
        0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
    );
    let (left, right) = (
        _mm256_shuffle_epi8(four(0), turns),
        _mm256_shuffle_epi8(four(4), turns),
    );
    let rows0145 = _mm256_unpacklo_epi32(left, right);
    let rows2367 = _mm256_unpackhi_epi32(left, right);
    let rows = [
        _mm256_extract_epi64::<0>(rows0145),
        _mm256_extract_epi64::<1>(rows0145),
        _mm256_extract_epi64::<0>(rows2367),
        _mm256_extract_epi64::<1>(rows2367),
        _mm256_extract_epi64::<2>(rows0145),
        _mm256_extract_epi64::<3>(rows0145),
        _mm256_extract_epi64::<2>(rows2367),
        _mm256_extract_epi64::<3>(rows2367),
    ];
    for (number, row) in rows.into_iter().enumerate() {
        levels[number * stride..][..8].copy_from_slice(&row.to_le_bytes());
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn colours(luma: &[u8], [blue, red]: [&[u8]; 2], rgb: &mut [u8]) {
    let pixels = luma.len();
    if pixels < GROUP {
        return Portable.colours(luma, [blue, red], rgb);
    }
    for at in (0..pixels).step_by(GROUP) {
        // The last group starts earlier and does some pixels once more.
        let at = at.min(pixels - GROUP);
        let found = colour(
            load_levels(&luma[at..]),
            load_levels(&blue[at..]),
            load_levels(&red[at..]),
        );
        let out: &mut [u8; 3 * GROUP] = rgb[at * 3..][..3 * GROUP]
            .as_mut_array()
            .expect("three groups");
        let (out, _) = out.as_chunks_mut::<GROUP>();
        for (out, found) in out.iter_mut().zip(found) {
            // SAFETY: the array has the 16 bytes, and alignment is not asked for.
            unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), found) };
        }
    }
}

/// Sixteen pixels.
#[target_feature(enable = "avx2")]
#[inline]
fn colour(luma: __m128i, blue: __m128i, red: __m128i) -> [__m128i; 3] {
    let middle = _mm256_set1_epi16(128);
    let luma = _mm256_cvtepu8_epi16(luma);
    let blue = _mm256_sub_epi16(_mm256_cvtepu8_epi16(blue), middle);
    let red = _mm256_sub_epi16(_mm256_cvtepu8_epi16(red), middle);
    // Rounds by one more than `COLOUR_ROUND`, of which no chroma of 8 bits tells.
    let weighted = |chroma: __m256i, weight: i16| {
        _mm256_mulhrs_epi16(_mm256_add_epi16(chroma, chroma), _mm256_set1_epi16(weight))
    };
    let green = |chroma: __m256i| {
        let sum = _mm256_madd_epi16(chroma, weights(GREEN[0], GREEN[1]));
        let sum = _mm256_add_epi32(sum, _mm256_set1_epi32(COLOUR_ROUND));
        _mm256_srai_epi32::<{ COLOUR_PRECISION as i32 }>(sum)
    };
    let green = _mm256_packs_epi32(
        green(_mm256_unpacklo_epi16(blue, red)),
        green(_mm256_unpackhi_epi16(blue, red)),
    );
    let reds = _mm256_add_epi16(luma, weighted(red, RED));
    let greens = _mm256_add_epi16(luma, green);
    let blues = _mm256_add_epi16(luma, weighted(blue, BLUE));
    let bytes = |first: __m256i, second: __m256i| {
        _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi16(first, second))
    };
    let (reds_greens, blues) = (bytes(reds, greens), bytes(blues, blues));
    let (reds, greens, blues) = (
        _mm256_castsi256_si128(reds_greens),
        _mm256_extracti128_si256::<1>(reds_greens),
        _mm256_castsi256_si128(blues),
    );
    let place = |reds_at, greens_at, blues_at| {
        _mm_or_si128(
            _mm_or_si128(
                _mm_shuffle_epi8(reds, reds_at),
                _mm_shuffle_epi8(greens, greens_at),
            ),
            _mm_shuffle_epi8(blues, blues_at),
        )
    };
    [
        place(
            _mm_setr_epi8(0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5),
            _mm_setr_epi8(-1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1),
            _mm_setr_epi8(-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1),
        ),
        place(
            _mm_setr_epi8(-1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1),
            _mm_setr_epi8(5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10),
            _mm_setr_epi8(-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1),
        ),
        place(
            _mm_setr_epi8(
                -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1,
            ),
            _mm_setr_epi8(
                -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1,
            ),
            _mm_setr_epi8(
                10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15,
            ),
        ),
    ]
}
