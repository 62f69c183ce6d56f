//! One axis of a resize at a time, with AVX2 and without allocation.
//!
//! The arithmetic is that of fast_image_resize: 16-bit weights, 32-bit sums, rounded and clipped to 8 bits. So the bytes are
//! the same, and which of the two runs shows in the time alone.

#![allow(unsafe_code, reason = "loads and stores of vectors take pointers")]

use std::arch::x86_64::{
    __m128i, __m256i, _mm_cvtsi32_si128, _mm_cvtsi128_si64, _mm_loadu_si128, _mm256_add_epi32,
    _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_packs_epi32, _mm256_packus_epi16, _mm256_set_epi8, _mm256_set_m128i, _mm256_set1_epi32,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_sra_epi32, _mm256_storeu_si256,
    _mm256_unpackhi_epi8, _mm256_unpacklo_epi8,
};

use crate::taps::Taps;

/// Rows that [`columns`] resizes at a time.
pub(crate) const STRIP: usize = 4;

/// Bytes that [`rows`] resizes at a time; rows are at least as long.
pub(crate) const BLOCK: usize = 32;

/// The multiple that [`columns`] wants the number of weights to be of.
pub(crate) const COLUMN_GROUP: usize = 4;

/// The multiple that [`rows`] wants the number of weights to be of.
pub(crate) const ROW_GROUP: usize = 2;

/// Bytes that [`columns`] may read after the last weighted pixel, and writes after the last output.
pub(crate) const SLACK: usize = 4;

#[target_feature(enable = "avx2")]
#[inline]
fn load16(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: the array has the 16 bytes, and alignment is not asked for.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load32(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: the array has the 32 bytes, and alignment is not asked for.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// Adds the products of the levels of four pixels of two rows with their weights.
#[target_feature(enable = "avx2")]
#[inline]
fn add_pixels(
    sum: __m256i,
    rows: [&[u8]; 2],
    at: usize,
    order: [__m256i; 2],
    weights: [__m256i; 2],
) -> __m256i {
    let load = |row: &[u8]| load16(row[at..][..16].as_array().expect("16 bytes"));
    let pixels = _mm256_set_m128i(load(rows[1]), load(rows[0]));
    let first = _mm256_madd_epi16(_mm256_shuffle_epi8(pixels, order[0]), weights[0]);
    let last = _mm256_madd_epi16(_mm256_shuffle_epi8(pixels, order[1]), weights[1]);
    _mm256_add_epi32(_mm256_add_epi32(sum, first), last)
}

fn pair(weights: [i16; 2]) -> i32 {
    i32::from(weights[0]) & 0xffff | i32::from(weights[1]) << 16
}

/// Resizes four rows of RGB pixels along the row.
///
/// # Shapes
/// - `source`: 4 rows that begin at the first column; `taps.per_output() * 3 + SLACK` bytes from each first input on exist
/// - `out`: `[4, stride]`, `stride` at least [`SLACK`] more than three times the outputs
#[target_feature(enable = "avx2")]
pub(crate) fn columns(source: [&[u8]; STRIP], taps: &Taps, out: &mut [u8], stride: usize) {
    // To 16-bit pairs of one channel of two pixels, of the first and of the last two of four pixels.
    let first = _mm256_set_epi8(
        -1, -1, -1, -1, -1, 5, -1, 2, -1, 4, -1, 1, -1, 3, -1, 0, //
        -1, -1, -1, -1, -1, 5, -1, 2, -1, 4, -1, 1, -1, 3, -1, 0,
    );
    let last = _mm256_set_epi8(
        -1, -1, -1, -1, -1, 11, -1, 8, -1, 10, -1, 7, -1, 9, -1, 6, //
        -1, -1, -1, -1, -1, 11, -1, 8, -1, 10, -1, 7, -1, 9, -1, 6,
    );
    let half = _mm256_set1_epi32(1 << taps.precision() >> 1);
    let precision = _mm_cvtsi32_si128(i32::from(taps.precision()));
    let bytes = taps.per_output() * 3 + SLACK;
    let (out0, rest) = out.split_at_mut(stride);
    let (out1, rest) = rest.split_at_mut(stride);
    let (out2, out3) = rest.split_at_mut(stride);
    for (x, (from, weights)) in taps.iter().enumerate() {
        let reach = from * 3..from * 3 + bytes;
        let rows01 = [&source[0][reach.clone()], &source[1][reach.clone()]];
        let rows23 = [&source[2][reach.clone()], &source[3][reach]];
        let (mut sum01, mut sum23) = (half, half);
        let (groups, _) = weights.as_chunks::<COLUMN_GROUP>();
        for (group, &[a, b, c, d]) in groups.iter().enumerate() {
            let weights = [
                _mm256_set1_epi32(pair([a, b])),
                _mm256_set1_epi32(pair([c, d])),
            ];
            sum01 = add_pixels(sum01, rows01, group * 12, [first, last], weights);
            sum23 = add_pixels(sum23, rows23, group * 12, [first, last], weights);
        }
        let (sum01, sum23) = (
            _mm256_sra_epi32(sum01, precision),
            _mm256_sra_epi32(sum23, precision),
        );
        let words = _mm256_packs_epi32(sum01, sum23);
        let levels = _mm256_packus_epi16(words, words);
        let rows02 = _mm_cvtsi128_si64(_mm256_castsi256_si128(levels)).to_le_bytes();
        let rows13 = _mm_cvtsi128_si64(_mm256_extracti128_si256::<1>(levels)).to_le_bytes();
        // The fourth byte is overwritten by the next pixel.
        out0[x * 3..][..4].copy_from_slice(&rows02[..4]);
        out1[x * 3..][..4].copy_from_slice(&rows13[..4]);
        out2[x * 3..][..4].copy_from_slice(&rows02[4..]);
        out3[x * 3..][..4].copy_from_slice(&rows13[4..]);
    }
}

/// Resizes rows of `length` bytes along the columns.
///
/// # Shapes
/// - `source`: `height` rows, `stride` bytes apart
/// - `out`: `[outputs, length]`, `length` at least [`BLOCK`]
#[target_feature(enable = "avx2")]
pub(crate) fn rows(
    source: &[u8],
    stride: usize,
    height: usize,
    taps: &Taps,
    out: &mut [u8],
    length: usize,
) {
    let half = _mm256_set1_epi32(1 << taps.precision() >> 1);
    let precision = _mm_cvtsi32_si128(i32::from(taps.precision()));
    let zero = _mm256_setzero_si256();
    for (out, (first, weights)) in out.chunks_exact_mut(length).zip(taps.iter()) {
        let (pairs, _) = weights.as_chunks::<ROW_GROUP>();
        for at in (0..length).step_by(BLOCK) {
            let at = at.min(length - BLOCK);
            let (mut sum0, mut sum1, mut sum2, mut sum3) = (half, half, half, half);
            for (number, &weights) in pairs.iter().enumerate() {
                // Rows that do not exist have weight 0.
                let row = (first + number * 2).min(height - 1);
                let next = (row + 1).min(height - 1);
                let a = &source[row * stride + at..][..BLOCK];
                let b = &source[next * stride + at..][..BLOCK];
                let a = load32(a.as_array().expect("a block"));
                let b = load32(b.as_array().expect("a block"));
                let weights = _mm256_set1_epi32(pair(weights));
                let (low, high) = (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b));
                let product0 = _mm256_madd_epi16(_mm256_unpacklo_epi8(low, zero), weights);
                let product1 = _mm256_madd_epi16(_mm256_unpackhi_epi8(low, zero), weights);
                let product2 = _mm256_madd_epi16(_mm256_unpacklo_epi8(high, zero), weights);
                let product3 = _mm256_madd_epi16(_mm256_unpackhi_epi8(high, zero), weights);
                sum0 = _mm256_add_epi32(sum0, product0);
                sum1 = _mm256_add_epi32(sum1, product1);
                sum2 = _mm256_add_epi32(sum2, product2);
                sum3 = _mm256_add_epi32(sum3, product3);
            }
            let words01 = _mm256_packs_epi32(
                _mm256_sra_epi32(sum0, precision),
                _mm256_sra_epi32(sum1, precision),
            );
            let words23 = _mm256_packs_epi32(
                _mm256_sra_epi32(sum2, precision),
                _mm256_sra_epi32(sum3, precision),
            );
            let levels = _mm256_packus_epi16(words01, words23);
            let block: &mut [u8; BLOCK] = out[at..][..BLOCK].as_mut_array().expect("a block");
            // SAFETY: the array has the 32 bytes, and alignment is not asked for.
            unsafe { _mm256_storeu_si256(block.as_mut_ptr().cast(), levels) };
        }
    }
}
