//! From levels to pixels: enlarging chroma, then colours.

use sbam_augment::CropBox;

use super::frame::Frame;
use super::kernels::{Kernels, blend_rows, widen_row};

/// Width and height of a block.
pub(super) const BLOCK: usize = 8;

/// Rows in front of those of a row of MCUs: the last one of the row of MCUs above, which enlarging chroma takes.
pub(super) const CARRIED: usize = 1;

/// The levels of one row of MCUs, component by component.
#[derive(Debug, Default)]
pub(super) struct Planes {
    pub(super) levels: [Vec<u8>; 3],
    pub(super) strides: [usize; 3],
    /// A row of each chroma, blended with the one above or below.
    blended: [Vec<u8>; 2],
    /// The same at luma's width.
    widened: [Vec<u8>; 2],
}

impl Planes {
    /// Makes room for so many MCUs side by side. What is there before they are decoded is anything.
    pub(super) fn prepare(&mut self, frame: &Frame, mcus: usize) {
        let wide = mcus * BLOCK;
        let (luma_width, luma_rows) = (wide * frame.across, frame.down * BLOCK);
        let chroma_width = frame.chroma.map_or(0, |_| wide);
        self.strides = [luma_width, chroma_width, chroma_width];
        let rows = [luma_rows, BLOCK, BLOCK];
        for ((levels, stride), rows) in self.levels.iter_mut().zip(self.strides).zip(rows) {
            levels.resize(stride * (CARRIED + rows), 0);
        }
        for (blended, widened) in self.blended.iter_mut().zip(&mut self.widened) {
            blended.resize(chroma_width, 0);
            widened.resize(chroma_width * frame.across, 0);
        }
    }

    /// Moves the last row of each plane to the front, where it is the one above the next row of MCUs.
    pub(super) fn carry(&mut self) {
        for (levels, stride) in self.levels.iter_mut().zip(self.strides) {
            let last = levels.len() - stride;
            levels.copy_within(last.., 0);
        }
    }

    /// Writes the pixels of `needed` that the planes, which start at MCU `column` of MCU row `row`, complete: with chroma
    /// of half the height the last of them have to wait for the next row of MCUs.
    ///
    /// Beyond the last MCUs there is nothing; chroma at the edges is enlarged as if it went on as it ends.
    #[inline(always)]
    pub(super) fn write(
        &mut self,
        kernels: impl Kernels,
        frame: &Frame,
        (row, column): (usize, usize),
        needed: &CropBox,
        rgb: &mut [u8],
    ) {
        let width = needed.width as usize;
        let x = needed.x as usize - column * frame.across * BLOCK;
        let top = row * frame.down * BLOCK;
        let (mut start, mut end) = (top, top + frame.down * BLOCK);
        if frame.down > 1 {
            start = start.saturating_sub(1);
            if row + 1 < frame.grid.rows as usize {
                end -= 1;
            }
        }
        let first = needed.y as usize;
        for y in start.max(first)..end.min(first + needed.height as usize) {
            let out = &mut rgb[(y - first) * width * 3..][..width * 3];
            let luma = &self.row(0, CARRIED + y - top)[x..][..width];
            if frame.chroma.is_none() {
                let (pixels, _) = out.as_chunks_mut::<3>();
                for (pixel, &level) in pixels.iter_mut().zip(luma) {
                    *pixel = [level; 3];
                }
                continue;
            }
            let near = CARRIED + y / frame.down - row * BLOCK;
            if frame.down > 1 {
                let last = CARRIED + BLOCK - 1;
                // At the edges of the photograph a row is its own neighbour.
                let far = match y % 2 {
                    0 if y == 0 => near,
                    0 => near - 1,
                    _ => (near + 1).min(last),
                };
                for plane in 0..2 {
                    let mut blended = std::mem::take(&mut self.blended[plane]);
                    blend_rows(
                        self.row(plane + 1, near),
                        self.row(plane + 1, far),
                        &mut blended,
                    );
                    self.blended[plane] = blended;
                }
            }
            if frame.across > 1 {
                for plane in 0..2 {
                    let mut widened = std::mem::take(&mut self.widened[plane]);
                    widen_row(self.chroma(frame, plane, near), &mut widened);
                    self.widened[plane] = widened;
                }
            }
            let chroma = [0, 1].map(|plane| match frame.across {
                1 => &self.chroma(frame, plane, near)[x..][..width],
                _ => &self.widened[plane][x..][..width],
            });
            let luma = &self.row(0, CARRIED + y - top)[x..][..width];
            kernels.colours(luma, chroma, out);
        }
    }

    #[inline(always)]
    fn row(&self, plane: usize, row: usize) -> &[u8] {
        let stride = self.strides[plane];
        &self.levels[plane][row * stride..][..stride]
    }

    /// A row of chroma at luma's height.
    #[inline(always)]
    fn chroma(&self, frame: &Frame, plane: usize, near: usize) -> &[u8] {
        match frame.down {
            1 => self.row(plane + 1, near),
            _ => &self.blended[plane],
        }
    }
}
