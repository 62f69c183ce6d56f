//! Decoding the part of a scan that a box needs.
//!
//! MCUs come row by row. Those that the box needs are transformed, the others only passed over, by jumping to the next
//! restart segment where there is one. A row of MCUs is turned into pixels as soon as it is there, with the last rows of
//! levels of the one above, which enlarging chroma takes.

use std::ops::Range;

use sbam_augment::CropBox;

use super::bits::Bits;
use super::frame::{Component, Frame, Tables};
use super::huffman::{Block, COEFFICIENTS, ImpossibleCode, Table, decode_block};
use super::idct::flat;
use super::kernels::Kernels;
use super::rows::{BLOCK, CARRIED, Planes};

/// Where the segments of a scan start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segments<'a> {
    /// MCUs of a segment; 0 if the scan is one segment.
    pub(super) interval: usize,
    /// Their first bytes, at least one.
    pub(super) starts: &'a [usize],
}

/// Something wrong in the entropy-coded data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScanProblem {
    /// An impossible Huffman code, about at this byte.
    Code { at: usize },
    /// There is less than the header promises; the segment's number, from 0.
    Short { segment: usize },
}

/// A scan to decode.
pub(super) struct Scan<'a> {
    pub(super) jpeg: &'a [u8],
    pub(super) frame: &'a Frame,
    pub(super) tables: &'a Tables,
    pub(super) segments: Segments<'a>,
    /// The pixels that are wanted.
    pub(super) needed: CropBox,
    /// The MCUs that decide about them.
    pub(super) columns: Range<usize>,
    pub(super) rows: Range<usize>,
    pub(super) planes: &'a mut Planes,
    /// `[height, width, 3]` of `needed`.
    pub(super) rgb: &'a mut [u8],
}

/// A block of an MCU, and how it is decoded.
#[derive(Clone, Copy)]
struct McuBlock<'a> {
    component: usize,
    codes: (&'a Table, &'a Table),
    steps: &'a [i16; COEFFICIENTS],
    /// Where in the plane the levels of the first MCU go, and how much further those of the next.
    at: usize,
    step: usize,
}

/// Blocks in the MCUs that are decoded here.
const MOST_BLOCKS: usize = 6;

/// The reader of a scan: where it is.
struct Reader<'a> {
    jpeg: &'a [u8],
    segments: Segments<'a>,
    bits: Bits<'a>,
    predictions: [i32; 3],
    segment: usize,
    /// The next MCU.
    next: usize,
    /// The first MCU of the next segment.
    segment_end: usize,
}

impl<'a> Reader<'a> {
    fn new(jpeg: &'a [u8], segments: Segments<'a>) -> Self {
        let mut reader = Self {
            jpeg,
            segments,
            bits: Bits::new(jpeg, 0),
            predictions: [0; 3],
            segment: 0,
            next: 0,
            segment_end: 0,
        };
        reader.start_segment(0);
        reader
    }

    /// Goes to the first MCU of a segment.
    fn start_segment(&mut self, segment: usize) {
        let interval = self.segments.interval;
        self.segment = segment;
        self.next = segment * interval;
        self.segment_end = match interval {
            0 => usize::MAX,
            _ => self.next + interval,
        };
        self.bits = Bits::new(self.jpeg, self.segments.starts[segment]);
        self.predictions = [0; 3];
    }

    /// Jumps to the segment that has the MCU, if it is ahead.
    fn jump_towards(&mut self, mcu: usize) -> Result<(), ScanProblem> {
        if mcu >= self.segment_end {
            self.check_end()?;
            self.start_segment(mcu / self.segments.interval);
        }
        Ok(())
    }

    /// Goes on to the next segment if this one is through.
    #[inline(always)]
    fn before_mcu(&mut self) -> Result<(), ScanProblem> {
        if self.next == self.segment_end {
            self.check_end()?;
            self.start_segment(self.segment + 1);
        }
        self.next += 1;
        Ok(())
    }

    /// Decodes the next block; gives back how many coefficients it has.
    #[inline(always)]
    fn decode_block<const KEEP: bool>(
        &mut self,
        of: &McuBlock<'_>,
        block: &mut Block,
    ) -> Result<usize, ScanProblem> {
        let prediction = &mut self.predictions[of.component];
        decode_block::<KEEP>(&mut self.bits, of.codes, prediction, block)
            .map_err(|problem| self.problem(problem))
    }

    /// Checks that what was read was there.
    fn check_end(&self) -> Result<(), ScanProblem> {
        if self.bits.overrun() {
            return Err(ScanProblem::Short {
                segment: self.segment,
            });
        }
        Ok(())
    }

    /// Says where damage is. Past its end a segment is zeros, which may be impossible codes.
    #[cold]
    fn problem(&self, ImpossibleCode: ImpossibleCode) -> ScanProblem {
        match self.check_end() {
            Ok(()) => ScanProblem::Code {
                at: self.bits.position(),
            },
            Err(short) => short,
        }
    }
}

impl<'a> Scan<'a> {
    /// Decodes it.
    #[inline(always)]
    pub(super) fn decode(&mut self, kernels: impl Kernels) -> Result<(), ScanProblem> {
        let frame = self.frame;
        self.planes.prepare(frame, self.columns.len());
        let (blocks, count) = self.blocks();
        let blocks = &blocks[..count];
        let mut reader = Reader::new(self.jpeg, self.segments);
        let mut block: Block = [0; 2 * COEFFICIENTS];
        for row in self.rows.clone() {
            let first = row * frame.grid.columns as usize + self.columns.start;
            reader.jump_towards(first)?;
            while reader.next < first {
                reader.before_mcu()?;
                for part in blocks {
                    reader.decode_block::<false>(part, &mut block)?;
                }
                reader.check_end()?;
            }
            for mcu in 0..self.columns.len() {
                reader.before_mcu()?;
                for part in blocks {
                    let coefficients = reader.decode_block::<true>(part, &mut block)?;
                    let stride = self.planes.strides[part.component];
                    let levels =
                        &mut self.planes.levels[part.component][part.at + mcu * part.step..];
                    if coefficients == 1 {
                        let level = flat(&block, part.steps);
                        block[0] = 0;
                        for levels in levels.chunks_mut(stride).take(BLOCK) {
                            levels[..BLOCK].fill(level);
                        }
                    } else {
                        kernels.transform(&mut block, part.steps, levels, stride);
                    }
                }
            }
            reader.check_end()?;
            let place = (row, self.columns.start);
            self.planes
                .write(kernels, frame, place, &self.needed, self.rgb);
            if frame.down > 1 {
                self.planes.carry();
            }
        }
        Ok(())
    }

    /// The blocks of an MCU in their order, and how many there are.
    fn blocks(&self) -> ([McuBlock<'a>; MOST_BLOCKS], usize) {
        let (frame, tables) = (self.frame, self.tables);
        let block = |component: usize, of: Component, (x, y): (usize, usize), across| McuBlock {
            component,
            codes: (&tables.codes[0][of.codes[0]], &tables.codes[1][of.codes[1]]),
            steps: tables.steps[of.steps]
                .as_ref()
                .expect("a frame's tables are there"),
            at: (CARRIED + y * BLOCK) * self.planes.strides[component] + x * BLOCK,
            step: across * BLOCK,
        };
        let mut blocks = [block(0, frame.luma, (0, 0), frame.across); MOST_BLOCKS];
        let mut count = 0;
        for y in 0..frame.down {
            for x in 0..frame.across {
                blocks[count] = block(0, frame.luma, (x, y), frame.across);
                count += 1;
            }
        }
        for (number, &component) in frame.chroma.iter().flatten().enumerate() {
            blocks[count] = block(number + 1, component, (0, 0), 1);
            count += 1;
        }
        (blocks, count)
    }
}
