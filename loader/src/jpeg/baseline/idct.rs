//! From coefficients to levels: the inverse discrete cosine transform in integers.
//!
//! It is the one of the Independent JPEG Group's "islow" with 12 fractional bits, as zune-jpeg has it, so that levels are
//! the same. Numbers that only damaged files have wrap at 16 bits when they are multiplied with their quantisation step, and
//! saturate there between the two passes: so that 16-bit products do, and all processors give the same.

use super::huffman::{Block, COEFFICIENTS};

/// Fractional bits of the weights.
const PRECISION: u32 = 12;
/// Fractional bits that the first pass leaves.
const BETWEEN: u32 = 2;
/// What the first pass takes away.
pub(super) const SHIFT_FIRST: u32 = PRECISION - BETWEEN;
/// What the second pass takes away; the transform of two axes is eight times too large.
pub(super) const SHIFT_LAST: u32 = PRECISION + BETWEEN + 3;
/// What rounds in the first pass.
pub(super) const ROUND_FIRST: i32 = 1 << (SHIFT_FIRST - 1);
/// What rounds in the second pass, with the half that the first had, and the 128 that levels are above numbers.
pub(super) const ROUND_LAST: i32 = ROUND_FIRST + (1 << (SHIFT_LAST - 1)) + (128 << SHIFT_LAST);

/// Weights of the even part: of inputs 2 and 6, for outputs 0 and 7 or 3 and 4, and for the others.
pub(super) const EVEN: [[i16; 2]; 2] = [[5352, 2217], [2217, -5350]];
/// One, with [`PRECISION`].
pub(super) const ONE: i16 = 1 << PRECISION;
/// Weights of the odd part: of inputs 1, 3, 5 and 7, for outputs 0, 1, 2 and 3, and negative for 7, 6, 5 and 4.
pub(super) const ODD: [[i16; 4]; 4] = [
    [5683, 4816, 3219, 1131],
    [4816, -1129, -5681, -3218],
    [3219, -5681, 1132, 4816],
    [1131, -3218, 4816, -5680],
];

/// The level of a block of one level, by its first coefficient and quantisation step.
#[inline(always)]
pub(super) fn flat(block: &Block, steps: &[i16; COEFFICIENTS]) -> u8 {
    let number = i32::from(block[0].wrapping_mul(steps[0]));
    ((number + 4 + (128 << 3)) >> 3).clamp(0, 255) as u8
}

/// Transforms a block into the levels of eight rows that are `stride` apart, and clears it.
#[inline(always)]
pub(super) fn transform(
    block: &mut Block,
    steps: &[i16; COEFFICIENTS],
    levels: &mut [u8],
    stride: usize,
) {
    let mut numbers = [0_i16; COEFFICIENTS];
    for ((number, coefficient), &step) in numbers.iter_mut().zip(&*block).zip(steps) {
        *number = coefficient.wrapping_mul(step);
    }
    block[..COEFFICIENTS].fill(0);
    for column in 0..8 {
        let found = pass(
            std::array::from_fn(|row| numbers[row * 8 + column]),
            ROUND_FIRST,
        );
        for (row, found) in found.into_iter().enumerate() {
            let found = found >> SHIFT_FIRST;
            numbers[row * 8 + column] = found.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        }
    }
    let (rows, _) = numbers.as_chunks::<8>();
    for (&row, levels) in rows.iter().zip(levels.chunks_mut(stride)) {
        let found = pass(row, ROUND_LAST);
        for (level, found) in levels.iter_mut().zip(found) {
            *level = (found >> SHIFT_LAST).clamp(0, 255) as u8;
        }
    }
}

/// One axis.
#[inline(always)]
fn pass(inputs: [i16; 8], round: i32) -> [i32; 8] {
    let input = inputs.map(i32::from);
    let even = EVEN.map(|[two, six]| input[2] * i32::from(two) + input[6] * i32::from(six));
    let sum = ((input[0] + input[4]) << PRECISION) + round;
    let difference = ((input[0] - input[4]) << PRECISION) + round;
    let even = [
        sum + even[0],
        difference + even[1],
        difference - even[1],
        sum - even[0],
    ];
    let odd = ODD.map(|weights| {
        let weighted = |at: usize| input[at * 2 + 1] * i32::from(weights[at]);
        (weighted(0) + weighted(1)) + (weighted(2) + weighted(3))
    });
    std::array::from_fn(|at| match at {
        0..4 => even[at] + odd[at],
        _ => even[7 - at] - odd[7 - at],
    })
}
