use std::panic::{AssertUnwindSafe, catch_unwind};

use sbam_augment::CropBox;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::baseline::{Baseline, Frame, Parsed};
use super::cut::{Cut, Cutter, check_inside};
use super::header::{Header, JpegSize};
use super::markers::{EOI, MARKER};
use super::segments::{self, Tiles};
use crate::error::SampleProblem;

/// The most a decoder keeps allocated between photographs, in bytes: 16 megapixels. Larger ones are rare.
const KEEP_BYTES: usize = 3 << 24;

/// A decoded photograph, `[height, width, 3]`.
#[derive(Debug, Clone, Copy)]
pub struct Rgb<'a> {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Red, green, blue, row by row.
    pub pixels: &'a [u8],
}

/// Decoded pixels of a photograph, and which they are.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The pixels.
    pub rgb: Rgb<'a>,
    /// Where they are in the photograph; of the size of `rgb`.
    pub place: CropBox,
    /// How many pixels were decoded for it, with those around it that had to be.
    pub decoded_pixels: u64,
}

/// Decodes JPEGs to 8-bit RGB into a buffer that it keeps.
///
/// Baseline JPEGs of one or three components are decoded here, straight from their bytes; progressive ones, ones of four
/// components and rare kinds by zune-jpeg. Where both can, the pixels are the same, bit for bit.
///
/// Greyscale, CMYK and YCCK become RGB (four-component files are taken as inverted, as Adobe writes them and Pillow
/// reads them). Data after the end of an image is ignored. A file that ends too early, or that holds impossible codes,
/// is an error and never grey pixels; damage that still reads as valid codes only its CRC can tell. Of what zune-jpeg
/// decodes, files that were given an end marker too early may pass, as they do with libjpeg.
///
/// At the right and lower edge chroma is enlarged with what the encoder put beside the photograph to fill blocks, as in
/// zune-jpeg; libjpeg repeats the last sample. A frame whose three components are called R, G and B is taken as RGB.
#[derive(Debug, Default)]
pub struct Decoder {
    rgb: Vec<u8>,
    baseline: Baseline,
    cutter: Cutter,
}

impl Decoder {
    /// A decoder with empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes the whole JPEG.
    pub fn decode(&mut self, jpeg: &[u8]) -> Result<Rgb<'_>, SampleProblem> {
        let Parsed { header, frame } = self.baseline.parse(jpeg)?;
        header.size.check()?;
        header.check_has_room(jpeg)?;
        check_has_end(jpeg, header.scan_at)?;
        let whole = CropBox::whole(header.size.width, header.size.height);
        if let Some(frame) = frame {
            let part = self.decode_frame(jpeg, &header, &frame, whole)?;
            return Ok(part.rgb);
        }
        check_markers(jpeg, &header)?;
        decode_all(jpeg, header.size, &mut self.rgb, Stale::Cleared)
    }

    /// Decodes what `needed`, a box inside the photograph, takes: of a JPEG with restart markers the segments that it
    /// touches, of another one in a single scan the rows down to its end, of any other all. Inside the box the pixels
    /// are those of [`decode`](Self::decode), exactly.
    ///
    /// `restart_mcus` is what [`restart_mcus`](crate::restart_mcus) or a manifest says of the JPEG. What is not decoded
    /// may be damaged without being noticed; but all restart markers are checked, and that the file has an end.
    ///
    /// # Errors
    /// When what is looked at is damaged or not supported, and when `needed` is empty or reaches out of the photograph.
    pub fn decode_part(
        &mut self,
        jpeg: &[u8],
        needed: &CropBox,
        restart_mcus: u32,
    ) -> Result<Part<'_>, SampleProblem> {
        let Parsed { header, frame } = self.baseline.parse(jpeg)?;
        header.size.check()?;
        header.check_has_room(jpeg)?;
        check_inside(needed, header.size)?;
        if restart_mcus > 0 {
            Tiles::expect(&header, restart_mcus)?;
        } else {
            check_has_end(jpeg, header.scan_at)?;
        }
        if let Some(frame) = frame {
            return self.decode_frame(jpeg, &header, &frame, *needed);
        }
        let (cut, stale) = if restart_mcus > 0 {
            // Its markers are looked at, so every row is decoded or there is an error.
            let cut = self.cutter.cut(jpeg, needed, restart_mcus)?;
            (cut, Stale::Overwritten)
        } else {
            check_markers(jpeg, &header)?;
            (self.cutter.cut_below(jpeg, needed)?, Stale::Cleared)
        };
        let (jpeg, place, stale) = if let Some(Cut { jpeg, part }) = cut {
            (jpeg, part, stale)
        } else {
            let whole = CropBox::whole(header.size.width, header.size.height);
            check_has_end(jpeg, header.scan_at)?;
            (jpeg, whole, Stale::Cleared)
        };
        let size = JpegSize {
            width: place.width,
            height: place.height,
        };
        let rgb = decode_all(jpeg, size, &mut self.rgb, stale)?;
        Ok(Part {
            rgb,
            place,
            decoded_pixels: u64::from(place.width) * u64::from(place.height),
        })
    }

    /// Decodes a box of a JPEG of the kind that is decoded here.
    fn decode_frame(
        &mut self,
        jpeg: &[u8],
        header: &Header,
        frame: &Frame,
        place: CropBox,
    ) -> Result<Part<'_>, SampleProblem> {
        let CropBox { width, height, .. } = place;
        resize(&mut self.rgb, width as usize * height as usize * 3);
        let decoded_pixels = self
            .baseline
            .decode(jpeg, header, frame, place, &mut self.rgb)?;
        let rgb = Rgb {
            width,
            height,
            pixels: &self.rgb,
        };
        Ok(Part {
            rgb,
            place,
            decoded_pixels,
        })
    }
}

/// Makes the buffer exactly so long. What it has in it is anything.
fn resize(rgb: &mut Vec<u8>, bytes: usize) {
    let keep = KEEP_BYTES.max(bytes);
    if rgb.capacity() > keep {
        rgb.truncate(bytes);
        rgb.shrink_to(keep);
    }
    rgb.resize(bytes, 0);
}

/// What becomes of the pixels of the photograph before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stale {
    /// The decoder leaves pixels of some damaged files unwritten: those with another scan or the end of the image
    /// where rows are missing. They must not show the photograph before.
    Cleared,
    /// All are written.
    Overwritten,
}

/// Decodes a JPEG of this size into `rgb`, which becomes exactly as long.
fn decode_all<'a>(
    jpeg: &[u8],
    size: JpegSize,
    rgb: &'a mut Vec<u8>,
    stale: Stale,
) -> Result<Rgb<'a>, SampleProblem> {
    size.check()?;
    let JpegSize { width, height } = size;
    let rgb_bytes = width as usize * height as usize * 3;
    if stale == Stale::Cleared {
        rgb.clear();
    }
    resize(rgb, rgb_bytes);
    match decode_into(jpeg, rgb, true) {
        // Common in the wild and harmless; libjpeg only warns. Strict mode has no finer setting.
        Err(DecodeErrors::FormatStatic(reason)) if reason.contains("Extra bytes between") => {
            rgb.fill(0);
            decode_into(jpeg, rgb, false)
        }
        result => result,
    }
    .map_err(|error| match error {
        DecodeErrors::Unsupported(scheme) => SampleProblem::Unsupported {
            feature: format!("{scheme:?}"),
        },
        error => SampleProblem::Decode {
            reason: error.to_string(),
        },
    })?;
    Ok(Rgb {
        width,
        height,
        pixels: rgb,
    })
}

fn decode_into(jpeg: &[u8], rgb: &mut [u8], strict: bool) -> Result<(), DecodeErrors> {
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .set_strict_mode(strict);
    // zune-jpeg indexes slices by what damaged files say and has panicked on some; such a file is a bad sample,
    // not the end of the run. The decoder is dropped and the buffer cleared, so nothing half-done survives.
    catch_unwind(AssertUnwindSafe(|| {
        JpegDecoder::new_with_options(ZCursor::new(jpeg), options).decode_into(rgb)
    }))
    .unwrap_or(Err(DecodeErrors::FormatStatic("the decoder panicked")))
}

/// Checks that the restart markers of a scan that holds everything are all there; zune-jpeg gets by without some.
fn check_markers(jpeg: &[u8], header: &Header) -> Result<(), SampleProblem> {
    let (Some(grid), interval @ 1..) = (header.grid, header.restart_interval) else {
        return Ok(());
    };
    let segments = (grid.columns * grid.rows).div_ceil(interval);
    segments::find(jpeg, header.scan_at, segments as usize, &mut Vec::new())
}

/// Checks that an end-of-image marker follows the start of the scan.
///
/// zune-jpeg alone does not notice a file that is cut off in its last rows.
fn check_has_end(jpeg: &[u8], scan_at: usize) -> Result<(), SampleProblem> {
    // From the back: it is nearly always the last two bytes. Stuffing keeps it out of entropy-coded data.
    if jpeg[scan_at..]
        .windows(2)
        .rev()
        .any(|pair| pair == [MARKER, EOI])
    {
        return Ok(());
    }
    Err(SampleProblem::Truncated {
        length: jpeg.len(),
        part: "scan",
    })
}

/// Decodes a JPEG by zune-jpeg, whatever it is.
#[cfg(test)]
pub(super) fn decode_by_zune(jpeg: &[u8]) -> Result<Vec<u8>, SampleProblem> {
    let size = super::header::jpeg_size(jpeg)?;
    let mut rgb = Vec::new();
    decode_all(jpeg, size, &mut rgb, Stale::Cleared)?;
    Ok(rgb)
}
