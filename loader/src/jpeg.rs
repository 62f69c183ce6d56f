//! JPEG: the size from the frame header, and decoding to RGB.

use std::panic::{AssertUnwindSafe, catch_unwind};

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use crate::error::SampleProblem;

/// The most pixels that are decoded: 2^27, twice `ImageNet`'s largest photograph (61 megapixels) and about where
/// Pillow speaks of a decompression bomb. A header of a few bytes must not make a thread allocate gigabytes.
pub const MAX_PIXELS: u64 = 1 << 27;

/// The most a decoder keeps allocated between photographs, in bytes: 16 megapixels. Larger ones are rare.
const KEEP_BYTES: usize = 3 << 24;

/// The size of a JPEG in pixels, as its frame header states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JpegSize {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// Reads the size from the frame header, without decoding.
///
/// EXIF orientation is ignored, as Pillow and torchvision do.
pub fn jpeg_size(bytes: &[u8]) -> Result<JpegSize, SampleProblem> {
    let mut markers = Markers::start(bytes)?;
    loop {
        let (at, marker, body) = markers.next_segment()?;
        match marker {
            SOF_FIRST..=SOF_LAST if !matches!(marker, DHT | JPG | DAC) => {
                return frame_size(bytes.len(), at, marker, body);
            }
            SOS => {
                return Err(SampleProblem::Header {
                    at,
                    reason: "the scan starts before any frame header".to_owned(),
                });
            }
            _ => {}
        }
    }
}

/// A decoded photograph, `[height, width, 3]`.
#[derive(Debug)]
pub struct Rgb<'a> {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Red, green, blue, row by row.
    pub pixels: &'a [u8],
}

/// Decodes JPEGs to 8-bit RGB into a buffer that it keeps.
///
/// Greyscale, CMYK and YCCK become RGB (four-component files are taken as inverted, as Adobe writes them and Pillow
/// reads them). Data after the end of an image is ignored. A file that ends too early, or that holds impossible codes,
/// is an error and never grey pixels; damage that still reads as valid codes only its CRC can tell.
#[derive(Debug, Default)]
pub struct Decoder {
    rgb: Vec<u8>,
}

impl Decoder {
    /// A decoder with an empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes the whole JPEG.
    pub fn decode(&mut self, jpeg: &[u8]) -> Result<Rgb<'_>, SampleProblem> {
        let JpegSize { width, height } = jpeg_size(jpeg)?;
        check_has_end(jpeg)?;
        let pixels = u64::from(width) * u64::from(height);
        if pixels > MAX_PIXELS {
            return Err(SampleProblem::TooLarge {
                width,
                height,
                limit: MAX_PIXELS,
            });
        }
        let rgb_bytes = pixels as usize * 3;
        // Cleared, because the decoder leaves pixels of some damaged files unwritten: they must not show the
        // photograph before.
        self.rgb.clear();
        if self.rgb.capacity() > KEEP_BYTES.max(rgb_bytes) {
            self.rgb.shrink_to(KEEP_BYTES.max(rgb_bytes));
        }
        self.rgb.resize(rgb_bytes, 0);
        match decode_into(jpeg, &mut self.rgb, true) {
            // Common in the wild and harmless; libjpeg only warns. Strict mode has no finer setting.
            Err(DecodeErrors::FormatStatic(reason)) if reason.contains("Extra bytes between") => {
                self.rgb.fill(0);
                decode_into(jpeg, &mut self.rgb, false)
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
            pixels: &self.rgb,
        })
    }
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

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const SOF_FIRST: u8 = 0xc0;
const SOF_LAST: u8 = 0xcf;
const DHT: u8 = 0xc4;
const JPG: u8 = 0xc8;
const DAC: u8 = 0xcc;
const TEM: u8 = 0x01;
const RST_FIRST: u8 = 0xd0;
const RST_LAST: u8 = 0xd7;

fn frame_size(
    length: usize,
    at: usize,
    marker: u8,
    body: &[u8],
) -> Result<JpegSize, SampleProblem> {
    // ITU T.81, B.2.2: precision, lines, samples per line, components.
    let &[precision, h1, h0, w1, w0, ..] = body else {
        return Err(SampleProblem::Truncated {
            length,
            part: "frame header",
        });
    };
    let unsupported = |feature: &str| SampleProblem::Unsupported {
        feature: feature.to_owned(),
    };
    match marker {
        0xc0..=0xc2 if precision == 8 => {}
        0xc0..=0xc2 => return Err(unsupported(&format!("{precision} bits per sample"))),
        0xc3 => return Err(unsupported("lossless coding")),
        0xc5..=0xc7 => return Err(unsupported("hierarchical coding")),
        _ => return Err(unsupported("arithmetic coding")),
    }
    let width = u32::from(u16::from_be_bytes([w1, w0]));
    let height = u32::from(u16::from_be_bytes([h1, h0]));
    if height == 0 {
        return Err(unsupported("its height after the scan (DNL)"));
    }
    if width == 0 {
        return Err(SampleProblem::Header {
            at,
            reason: "the frame is 0 pixels wide".to_owned(),
        });
    }
    Ok(JpegSize { width, height })
}

/// Checks that an end-of-image marker follows the start of the scan.
///
/// The decoder alone does not notice a file that is cut off in its last rows.
fn check_has_end(bytes: &[u8]) -> Result<(), SampleProblem> {
    let mut markers = Markers::start(bytes)?;
    loop {
        let (_, marker, _) = markers.next_segment()?;
        if marker == SOS {
            break;
        }
    }
    // From the back: it is nearly always the last two bytes. Stuffing keeps it out of entropy-coded data.
    let scan = &bytes[markers.at..];
    if scan.windows(2).rev().any(|pair| pair == [0xff, EOI]) {
        return Ok(());
    }
    Err(SampleProblem::Truncated {
        length: bytes.len(),
        part: "scan",
    })
}

/// Walks the marker segments up to the scan.
struct Markers<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Markers<'a> {
    fn start(bytes: &'a [u8]) -> Result<Self, SampleProblem> {
        if bytes.starts_with(&[0xff, SOI]) {
            return Ok(Self { bytes, at: 2 });
        }
        let found = if bytes.is_empty() {
            "it is empty".to_owned()
        } else if bytes.starts_with(b"\x89PNG") {
            "it is a PNG".to_owned()
        } else if bytes.starts_with(b"RIFF") {
            "it is a WebP or another RIFF file".to_owned()
        } else {
            format!("it starts with bytes {:02x?}", &bytes[..bytes.len().min(4)])
        };
        Err(SampleProblem::NotJpeg { found })
    }

    /// The next segment: where its marker is, the marker, and its content without the length.
    fn next_segment(&mut self) -> Result<(usize, u8, &'a [u8]), SampleProblem> {
        let truncated = SampleProblem::Truncated {
            length: self.bytes.len(),
            part: "header",
        };
        loop {
            // Decoders skip whatever stands before a marker, and fill bytes in front of its code.
            let Some(skipped) = self.bytes[self.at..].iter().position(|&b| b == 0xff) else {
                return Err(truncated);
            };
            let at = self.at + skipped;
            let Some(fill) = self.bytes[at..].iter().position(|&b| b != 0xff) else {
                return Err(truncated);
            };
            let marker = self.bytes[at + fill];
            self.at = at + fill + 1;
            match marker {
                0 | TEM | RST_FIRST..=RST_LAST | SOI => {}
                EOI => {
                    return Err(SampleProblem::Header {
                        at,
                        reason: "the image ends before its scan".to_owned(),
                    });
                }
                _ => {
                    let Some(&[high, low]) = self.bytes.get(self.at..self.at + 2) else {
                        return Err(truncated);
                    };
                    let length = usize::from(u16::from_be_bytes([high, low]));
                    if length < 2 {
                        return Err(SampleProblem::Header {
                            at,
                            reason: format!("segment of {length} bytes"),
                        });
                    }
                    let Some(body) = self.bytes.get(self.at + 2..self.at + length) else {
                        return Err(truncated);
                    };
                    self.at += length;
                    return Ok((at, marker, body));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
