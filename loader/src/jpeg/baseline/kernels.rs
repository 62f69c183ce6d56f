//! What is done to many numbers at a time, in plain Rust and for processors with AVX2. Both give the same bytes.

#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;
use super::huffman::{Block, COEFFICIENTS};
use super::idct;
use super::scan::{Scan, ScanProblem};

/// The instructions that a scan is decoded with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Instructions {
    /// Those of any processor.
    Portable,
    /// Those of most x86-64 processors since 2013.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
}

impl Default for Instructions {
    /// The best that this processor has.
    fn default() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = Avx2::detect() {
            return Self::Avx2(avx2);
        }
        Self::Portable
    }
}

impl Instructions {
    pub(super) fn decode(self, scan: &mut Scan<'_>) -> Result<(), ScanProblem> {
        match self {
            Self::Portable => scan.decode(Portable),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(avx2) => avx2.decode(scan),
        }
    }
}

/// The operations on blocks and rows.
pub(super) trait Kernels: Copy {
    /// Transforms a block of coefficients into the levels of eight rows that are `stride` apart, and clears it.
    fn transform(
        self,
        block: &mut Block,
        steps: &[i16; COEFFICIENTS],
        levels: &mut [u8],
        stride: usize,
    );

    /// Converts rows of luma and chroma to RGB.
    fn colours(self, luma: &[u8], chroma: [&[u8]; 2], rgb: &mut [u8]);
}

/// Plain Rust.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portable;

impl Kernels for Portable {
    #[inline(always)]
    fn transform(
        self,
        block: &mut Block,
        steps: &[i16; COEFFICIENTS],
        levels: &mut [u8],
        stride: usize,
    ) {
        idct::transform(block, steps, levels, stride);
    }

    #[inline(always)]
    fn colours(self, luma: &[u8], [blue, red]: [&[u8]; 2], rgb: &mut [u8]) {
        let (pixels, _) = rgb.as_chunks_mut::<3>();
        for (((pixel, &luma), &blue), &red) in pixels.iter_mut().zip(luma).zip(blue).zip(red) {
            *pixel = colour(luma, blue, red);
        }
    }
}

/// Fractional bits of the colours' weights.
pub(super) const COLOUR_PRECISION: u32 = 14;
/// What rounds them: half, a little less.
pub(super) const COLOUR_ROUND: i32 = (1 << (COLOUR_PRECISION - 1)) - 1;
/// What red takes of red-difference chroma; the weights are those of BT.601 for full range.
pub(super) const RED: i16 = 22970;
/// What blue takes of blue-difference chroma.
pub(super) const BLUE: i16 = 29032;
/// What green takes of blue-difference and red-difference chroma.
pub(super) const GREEN: [i16; 2] = [-5638, -11700];

/// Luma and chroma to red, green and blue, as zune-jpeg rounds.
#[inline(always)]
fn colour(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let (luma, blue, red) = (i32::from(luma), i32::from(blue) - 128, i32::from(red) - 128);
    let add = |weighted: i32| {
        (luma + ((weighted + COLOUR_ROUND) >> COLOUR_PRECISION)).clamp(0, 255) as u8
    };
    let green = i32::from(GREEN[0]) * blue + i32::from(GREEN[1]) * red;
    [
        add(i32::from(RED) * red),
        add(green),
        add(i32::from(BLUE) * blue),
    ]
}

/// Blends a row with the one above or below it, three parts to one: what one axis of enlarging twice does.
#[inline(always)]
pub(super) fn blend_rows(near: &[u8], far: &[u8], out: &mut [u8]) {
    for ((out, &near), &far) in out.iter_mut().zip(near).zip(far) {
        *out = blend(near, far);
    }
}

/// Makes a row of at least two samples twice as long: each half of a sample is three parts of it and one of its neighbour
/// on that side.
#[inline(always)]
pub(super) fn widen_row(row: &[u8], out: &mut [u8]) {
    let (out, _) = out.as_chunks_mut::<2>();
    let inner = row.len() - 2;
    let (before, own, after) = (&row[..inner], &row[1..][..inner], &row[2..]);
    let pairs = out[1..][..inner].iter_mut();
    for (((pair, &before), &own), &after) in pairs.zip(before).zip(own).zip(after) {
        // Two bytes as one number, so that they are written in one go.
        let halves = u16::from(blend(own, before)) | u16::from(blend(own, after)) << 8;
        *pair = halves.to_le_bytes();
    }
    out[0] = [row[0], blend(row[0], row[1])];
    out[inner + 1] = [blend(row[inner + 1], row[inner]), row[inner + 1]];
}

#[inline(always)]
fn blend(near: u8, far: u8) -> u8 {
    ((3 * u16::from(near) + u16::from(far) + 2) >> 2) as u8
}
