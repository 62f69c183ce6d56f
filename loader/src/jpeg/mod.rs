//! JPEG: what a header says, cutting a smaller JPEG out of one with restart markers, decoding to RGB.
//!
//! | file | holds |
//! |---|---|
//! | `markers.rs` | walking the marker segments |
//! | `header.rs` | [`Header`](header::Header): size, components, grid of MCUs; [`jpeg_size`] |
//! | `segments.rs` | finding the restart segments of a scan; [`restart_mcus`] |
//! | `baseline/` | what most JPEGs are, decoded where a box needs it |
//! | `cut.rs` | [`Cutter`]: a smaller JPEG of some of the segments |
//! | `decoder.rs` | [`Decoder`]: all of a JPEG, or what a box needs of it |

mod baseline;
mod cut;
mod decoder;
mod header;
mod markers;
mod segments;

pub use cut::{Cut, Cutter};
pub use decoder::{Decoder, Part, Rgb};
pub use header::{JpegSize, MAX_PIXELS, jpeg_size};
pub use segments::restart_mcus;

#[cfg(test)]
mod cut_tests;
#[cfg(test)]
mod tests;
