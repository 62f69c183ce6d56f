//! Crop, resize and flip in two passes of [`avx2`], on buffers that are kept.

#![allow(
    unsafe_code,
    reason = "to call functions compiled for AVX2, after asking the processor for it"
)]

use crate::avx2::{self, BLOCK, COLUMN_GROUP, ROW_GROUP, SLACK, STRIP};
use crate::resize::Axis;
use crate::taps::Taps;
use crate::{CHANNELS, CropBox};

/// What the passes keep from one image to the next, so that they allocate nothing once they have seen the largest.
#[derive(Debug, Default, Clone)]
pub(crate) struct Passes {
    columns: Taps,
    rows: Taps,
    /// What the first pass leaves for the second.
    between: Vec<u8>,
    strip: Strip,
}

impl Passes {
    /// Renders the box `crop` of `rgb`, rows of `width` pixels, into `out` of `size` (width, height). Says whether it did:
    /// processors without AVX2, images of few columns and plain copies are left to others.
    pub(crate) fn render(
        &mut self,
        rgb: &[u8],
        width: u32,
        crop: CropBox,
        flip: bool,
        out: &mut [u8],
        size: (u32, u32),
    ) -> bool {
        let narrow = crop.width.min(size.0) as usize * CHANNELS < BLOCK;
        let columns = flip || crop.width != size.0;
        let rows = crop.height != size.1;
        if narrow || !(columns || rows) || !is_x86_feature_detected!("avx2") {
            return false;
        }
        if columns {
            self.columns.fill(crop.width, size.0, COLUMN_GROUP, flip);
        }
        if rows {
            self.rows.fill(crop.height, size.1, ROW_GROUP, false);
        }
        let stride = width as usize * CHANNELS;
        let source = &rgb[crop.y as usize * stride + crop.x as usize * CHANNELS..];
        let (height, length) = (crop.height as usize, crop.width as usize * CHANNELS);
        let (out_height, out_length) = (size.1 as usize, size.0 as usize * CHANNELS);
        if !rows {
            self.strip
                .columns(source, stride, length, &self.columns, out, out_length);
        } else if !columns {
            // SAFETY: the processor has AVX2.
            unsafe { avx2::rows(source, stride, height, &self.rows, out, length) };
        } else if Axis::first((crop.width, crop.height), size) == Axis::Columns {
            let between = reserve(&mut self.between, height * out_length);
            self.strip
                .columns(source, stride, length, &self.columns, between, out_length);
            // SAFETY: the processor has AVX2.
            unsafe { avx2::rows(between, out_length, height, &self.rows, out, out_length) };
        } else {
            let between = reserve(&mut self.between, out_height * length);
            // SAFETY: the processor has AVX2.
            unsafe { avx2::rows(source, stride, height, &self.rows, between, length) };
            self.strip
                .columns(between, length, length, &self.columns, out, out_length);
        }
        true
    }
}

/// A few rows on their way along the columns' pass.
#[derive(Debug, Default, Clone)]
struct Strip {
    /// Source rows that end too near the end of their image.
    edge: Vec<u8>,
    out: Vec<u8>,
}

impl Strip {
    /// Resizes rows of `length` bytes, `stride` bytes apart, to all rows of `out`, of `out_length` bytes each.
    fn columns(
        &mut self,
        source: &[u8],
        stride: usize,
        length: usize,
        taps: &Taps,
        out: &mut [u8],
        out_length: usize,
    ) {
        let reach = taps.reach() * CHANNELS + SLACK;
        let strip = reserve(&mut self.out, STRIP * (out_length + SLACK));
        let edge = reserve(&mut self.edge, STRIP * reach);
        let last = out.len() / out_length - 1;
        for (number, out) in out.chunks_mut(STRIP * out_length).enumerate() {
            let starts: [usize; STRIP] =
                std::array::from_fn(|row| (number * STRIP + row).min(last) * stride);
            let ends_early = |start: usize| start + reach > source.len();
            for (edge, start) in edge.chunks_exact_mut(reach).zip(starts) {
                if ends_early(start) {
                    edge[..length].copy_from_slice(&source[start..][..length]);
                }
            }
            let rows = std::array::from_fn(|row| match starts[row] {
                start if ends_early(start) => &edge[row * reach..][..reach],
                start => &source[start..][..reach],
            });
            // SAFETY: `Passes::render` has found AVX2.
            unsafe { avx2::columns(rows, taps, strip, out_length + SLACK) };
            let rows = strip.chunks_exact(out_length + SLACK);
            for (out, row) in out.chunks_exact_mut(out_length).zip(rows) {
                out.copy_from_slice(&row[..out_length]);
            }
        }
    }
}

/// The first `length` bytes of `buffer`, which grows if it must.
fn reserve(buffer: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    &mut buffer[..length]
}
