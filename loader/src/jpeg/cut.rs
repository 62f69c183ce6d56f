//! Cutting a smaller JPEG out of one with restart markers, by copying bytes.
//!
//! Restart segments start at byte boundaries and depend on nothing before them. So the segments that a box touches are,
//! with a header of their own size and their markers numbered anew, a JPEG themselves.

use std::ops::Range;

use sbam_augment::CropBox;

use super::header::{Header, JpegSize};
use super::markers::{EOI, RST_FIRST, SOI, is_frame};
use super::segments::{self, Tiles};
use crate::error::SampleProblem;

/// How many samples of a component that is stored at lower resolution are needed around the box: enlarging them takes
/// the neighbour on either side.
const MARGIN_SAMPLES: u32 = 1;

/// Cuts smaller JPEGs out of ones with restart markers, with buffers that it keeps.
#[derive(Debug, Default)]
pub struct Cutter {
    starts: Vec<usize>,
    jpeg: Vec<u8>,
}

/// A smaller JPEG and which part of the photograph it shows.
#[derive(Debug, Clone, Copy)]
pub struct Cut<'a> {
    /// A whole JPEG.
    pub jpeg: &'a [u8],
    /// Where its pixels are in the photograph.
    pub part: CropBox,
}

impl Cutter {
    /// A cutter with empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// The smallest JPEG that can be cut out of `jpeg` and whose pixels inside `needed` are those of the whole.
    ///
    /// `None` if the box needs all of it.
    ///
    /// # Errors
    /// When the JPEG cannot be cut with this restart interval, when markers before the scan are damaged, and when
    /// restart markers are missing, superfluous or out of order anywhere in the scan, also outside the box; when the box
    /// is empty or reaches out of the photograph.
    pub fn cut(
        &mut self,
        jpeg: &[u8],
        needed: &CropBox,
        restart_mcus: u32,
    ) -> Result<Option<Cut<'_>>, SampleProblem> {
        let (header, size_at) = self.copy_header(jpeg)?;
        let out = &mut self.jpeg;
        check_inside(needed, header.size)?;
        let tiles = Tiles::expect(&header, restart_mcus)?;
        let scan_bytes = jpeg.len() - header.scan_at;
        // Before anything is allocated by what the header claims: a segment is a byte at least, and its marker two.
        if tiles.across() * tiles.down() > scan_bytes {
            return Err(SampleProblem::CutShort {
                length: jpeg.len(),
                segment: scan_bytes,
                segments: tiles.across() * tiles.down(),
            });
        }
        segments::find(
            jpeg,
            header.scan_at,
            tiles.across() * tiles.down(),
            &mut self.starts,
        )?;
        let (columns, rows) = tiles.around(needed, header.size);
        let part = tiles.pixels(&columns, &rows, header.size);
        if part == CropBox::whole(header.size.width, header.size.height) {
            return Ok(None);
        }
        put_size(out, size_at, &part);
        let mut number = 0;
        for row in rows {
            let first = row * tiles.across();
            let starts = &self.starts[first + columns.start..=first + columns.end];
            let moved = out.len();
            out.extend(&jpeg[starts[0]..starts[columns.len()]]);
            for start in &starts[1..] {
                // The code of the marker that stands before what follows.
                out[moved + start - starts[0] - 1] = RST_FIRST + number;
                number = (number + 1) % 8;
            }
        }
        // The last marker is not a restart but the end.
        if let Some(last) = out.last_mut() {
            *last = EOI;
        }
        Ok(Some(Cut { jpeg: out, part }))
    }

    /// A JPEG of the upper rows, down to where `needed` ends. It takes no restart markers, only one sequential scan:
    /// what follows in the scan is left there, and a decoder that is told of fewer rows does not read it.
    ///
    /// `None` if the box reaches down to the last row of MCUs, or the JPEG is of another kind.
    ///
    /// # Errors
    /// When markers before the scan are damaged; when the box is empty or reaches out of the photograph.
    pub fn cut_below(
        &mut self,
        jpeg: &[u8],
        needed: &CropBox,
    ) -> Result<Option<Cut<'_>>, SampleProblem> {
        let (header, size_at) = self.copy_header(jpeg)?;
        let size = header.size;
        check_inside(needed, size)?;
        let Some(grid) = header.grid else {
            return Ok(None);
        };
        let end = needed.y + needed.height + margin(grid.mcu_height);
        let part = CropBox::whole(size.width, end.next_multiple_of(grid.mcu_height));
        if part.height >= size.height {
            return Ok(None);
        }
        let out = &mut self.jpeg;
        put_size(out, size_at, &part);
        out.extend(&jpeg[header.scan_at..]);
        Ok(Some(Cut { jpeg: out, part }))
    }

    /// Starts the smaller JPEG with what decoding needs of the header; gives back where the size is in it, height first.
    fn copy_header(&mut self, jpeg: &[u8]) -> Result<(Header, usize), SampleProblem> {
        let out = &mut self.jpeg;
        out.clear();
        out.extend([0xff, SOI]);
        let mut size_at = 0;
        let header = Header::parse(jpeg, |marker, body| {
            out.extend([0xff, marker]);
            // A body was at most 65,533 bytes long where it came from.
            out.extend((body.len() as u16 + 2).to_be_bytes());
            if is_frame(marker) {
                // After the precision.
                size_at = out.len() + 1;
            }
            out.extend(body);
        })?;
        header.size.check()?;
        Ok((header, size_at))
    }
}

/// Writes the size of `part` where the frame header has it.
fn put_size(jpeg: &mut [u8], size_at: usize, part: &CropBox) {
    jpeg[size_at..size_at + 2].copy_from_slice(&(part.height as u16).to_be_bytes());
    jpeg[size_at + 2..size_at + 4].copy_from_slice(&(part.width as u16).to_be_bytes());
}

pub(super) fn check_inside(needed: &CropBox, size: JpegSize) -> Result<(), SampleProblem> {
    let JpegSize { width, height } = size;
    if needed.lies_inside(width, height) {
        return Ok(());
    }
    Err(SampleProblem::BoxOutside { width, height })
}

/// How many pixels around a box decide about those in it, where MCUs measure `mcu` pixels.
///
/// An MCU has as many blocks side by side as the factor by which a component may have to be enlarged; with one block
/// none has to be, and a pixel depends on its own MCU alone.
pub(super) fn margin(mcu: u32) -> u32 {
    match mcu / 8 {
        1 => 0,
        factor => factor * MARGIN_SAMPLES,
    }
}

impl Tiles {
    /// The tiles, as columns and rows of tiles, whose MCUs decide about the pixels of a box.
    fn around(&self, needed: &CropBox, size: JpegSize) -> (Range<usize>, Range<usize>) {
        let range = |start: u32, length: u32, limit: u32, mcu: u32, tile_mcus: u32| {
            let margin = margin(mcu);
            let tile = u64::from(mcu) * u64::from(tile_mcus);
            let first = u64::from(start.saturating_sub(margin)) / tile;
            let end = u64::from(start + length + margin).min(u64::from(limit));
            first as usize..end.div_ceil(tile) as usize
        };
        let grid = &self.grid;
        (
            range(
                needed.x,
                needed.width,
                size.width,
                grid.mcu_width,
                self.columns,
            ),
            range(
                needed.y,
                needed.height,
                size.height,
                grid.mcu_height,
                self.rows,
            ),
        )
    }

    /// The part of the photograph that tiles show.
    fn pixels(&self, columns: &Range<usize>, rows: &Range<usize>, size: JpegSize) -> CropBox {
        let range = |range: &Range<usize>, limit: u32, mcu: u32, tile_mcus: u32| {
            let tile = u64::from(mcu) * u64::from(tile_mcus);
            let start = range.start as u64 * tile;
            let end = (range.end as u64 * tile).min(u64::from(limit));
            (start as u32, (end - start) as u32)
        };
        let (x, width) = range(columns, size.width, self.grid.mcu_width, self.columns);
        let (y, height) = range(rows, size.height, self.grid.mcu_height, self.rows);
        CropBox {
            x,
            y,
            width,
            height,
        }
    }
}
