//! Decoding only what a box needs of a baseline JPEG, straight from its bytes.
//!
//! | file | holds |
//! |---|---|
//! | `frame.rs` | [`Frame`]: what is decoded here; its tables |
//! | `huffman.rs`, `bits.rs` | codes, and the bits they are in |
//! | `scan.rs` | [`Scan`](scan::Scan): from restart segments to blocks, those outside the box passed over |
//! | `idct.rs` | from coefficients to levels |
//! | `rows.rs` | from levels to pixels |
//! | `kernels.rs`, `avx2.rs` | what is done to many numbers at a time, in plain Rust and with AVX2 |
//!
//! The pixels are those of zune-jpeg, bit for bit, which decodes what is not decoded here.

#![allow(
    clippy::inline_always,
    reason = "what runs for each symbol or block must be compiled with the instructions of its caller"
)]

#[cfg(target_arch = "x86_64")]
mod avx2;
mod bits;
mod frame;
mod huffman;
mod idct;
mod kernels;
mod rows;
mod scan;
#[cfg(test)]
mod tests;

use std::ops::Range;

use sbam_augment::CropBox;

pub(super) use self::frame::Frame;
use self::frame::{Tables, adobe};
use self::kernels::Instructions;
use self::rows::Planes;
use self::scan::{Scan, ScanProblem, Segments};
use super::header::{Grid, Header};
use super::markers::{APP14, DHT, DQT, SOS, is_frame};
use super::segments;
use crate::error::SampleProblem;

/// Decodes baseline JPEGs with buffers that it keeps.
#[derive(Debug, Default)]
pub(super) struct Baseline {
    tables: Tables,
    planes: Planes,
    starts: Vec<usize>,
    instructions: Instructions,
}

/// A header, and the frame if it is of a kind that is decoded here.
pub(super) struct Parsed {
    pub(super) header: Header,
    pub(super) frame: Option<Frame>,
}

impl Baseline {
    /// Reads a header with its tables.
    pub(super) fn parse(&mut self, jpeg: &[u8]) -> Result<Parsed, SampleProblem> {
        let (mut adobe_body, mut frame_body, mut scan_body) = (None, None, None);
        let tables = &mut self.tables;
        tables.start();
        let header = Header::parse(jpeg, |marker, body| match marker {
            DQT => tables.define_steps(body),
            DHT => tables.define_codes(body),
            APP14 => adobe_body = adobe(body).or(adobe_body),
            SOS => scan_body = Some(body),
            marker if is_frame(marker) => frame_body = Some(body),
            _ => {}
        })?;
        let frame = header
            .grid
            .and_then(|grid| Frame::new(grid, tables, adobe_body, frame_body?, scan_body?));
        Ok(Parsed { header, frame })
    }

    /// Decodes the pixels of `needed`, a box inside the frame, into `rgb`, `[height, width, 3]` of it; all are written
    /// unless there is an error. Gives back how many pixels had to be transformed for it.
    ///
    /// # Errors
    /// When the part that is looked at is damaged, and when restart markers are missing, superfluous or out of order
    /// anywhere.
    pub(super) fn decode(
        &mut self,
        jpeg: &[u8],
        header: &Header,
        frame: &Frame,
        needed: CropBox,
        rgb: &mut [u8],
    ) -> Result<u64, SampleProblem> {
        let interval = header.restart_interval as usize;
        let (columns, rows) = mcus_around(&frame.grid, &needed);
        if interval > 0 {
            let mcus = frame.grid.columns as usize * frame.grid.rows as usize;
            segments::find(
                jpeg,
                header.scan_at,
                mcus.div_ceil(interval),
                &mut self.starts,
            )?;
        } else {
            self.starts.clear();
            self.starts.push(header.scan_at);
        }
        let transformed = columns.len() as u64
            * rows.len() as u64
            * u64::from(frame.grid.mcu_width)
            * u64::from(frame.grid.mcu_height);
        let mut scan = Scan {
            jpeg,
            frame,
            tables: &self.tables,
            segments: Segments {
                interval,
                starts: &self.starts,
            },
            needed,
            columns,
            rows,
            planes: &mut self.planes,
            rgb,
        };
        match self.instructions.decode(&mut scan) {
            Ok(()) => Ok(transformed),
            Err(ScanProblem::Code { at }) => Err(SampleProblem::Code { at }),
            Err(ScanProblem::Short { .. }) if interval == 0 => Err(SampleProblem::Truncated {
                length: jpeg.len(),
                part: "scan",
            }),
            Err(ScanProblem::Short { segment }) => Err(SampleProblem::Restart {
                at: self.starts[segment],
                reason: format!(
                    "segment {} of {} is too short",
                    segment + 1,
                    self.starts.len() - 1
                ),
            }),
        }
    }
}

/// The columns and rows of the MCUs that decide about the pixels of a box.
fn mcus_around(grid: &Grid, needed: &CropBox) -> (Range<usize>, Range<usize>) {
    let range = |start: u32, length: u32, mcu: u32, count: u32| {
        let margin = super::cut::margin(mcu);
        let first = start.saturating_sub(margin) / mcu;
        let end = (start + length + margin).div_ceil(mcu).min(count);
        first as usize..end as usize
    };
    (
        range(needed.x, needed.width, grid.mcu_width, grid.columns),
        range(needed.y, needed.height, grid.mcu_height, grid.rows),
    )
}
