//! Rewriting JPEGs without loss so that a part of them can be decoded alone.
//!
//! One file tells one part: `header` (what the markers say), `interval` (the distance of restart markers), `libjpeg`
//! (the coefficients, and all `unsafe`), `metadata` (which markers stay), `srgb` (profiles that say nothing new).

mod header;
mod interval;
mod libjpeg;
mod metadata;
mod srgb;

use std::fmt::{self, Display};

use sbam_loader::{Decoder, MAX_PIXELS, Rgb, jpeg_size};

use header::Header;
use libjpeg::{Coefficients, Encoder, Stop};

/// More scans are not read. Encoders write about ten; a file can name thousands in a few kilobytes, and each takes a
/// walk over the whole image.
const MOST_SCANS: usize = 1000;

/// A JPEG that was rewritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CropReadyJpeg {
    /// The file.
    pub bytes: Vec<u8>,
    /// MCUs between two restart markers; it divides the MCUs of a row.
    pub restart_mcus: u32,
}

/// Why a JPEG was not rewritten and is better kept as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KeptAsIs {
    /// It ends too early, holds impossible codes or bytes that belong to nothing: a decoder would have to guess.
    Damaged,
    /// It is coded in a way that baseline JPEG has no equal for: arithmetic, lossless, 12 bits, height after the scan.
    UnusualCoding,
    /// Its components have sampling factors between 1 and the largest, or there are not one, three or four of them.
    UnusualComponents,
    /// A marker that tells about colours comes after the frame header, or metadata between scans.
    LateMetadata,
    /// It has more pixels than [`MAX_PIXELS`], or its coefficients need more than half a gibibyte.
    TooLarge,
    /// It has more than a thousand scans.
    TooManyScans,
    /// The rewritten file decodes to other pixels, though its coefficients are the same: decoders disagree about the
    /// original, as about codes that reach behind the end of a block.
    Ambiguous,
    /// The rewritten file had other coefficients, tables or components. This would be a bug; nothing is lost by it.
    Differs,
}

impl Display for KeptAsIs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Damaged => "already damaged",
            Self::UnusualCoding => "coded in an unusual way",
            Self::UnusualComponents => "with unusual components",
            Self::LateMetadata => "with markers in an unusual place",
            Self::TooLarge => "too large",
            Self::TooManyScans => "with too many scans",
            Self::Ambiguous => "that decoders disagree about",
            Self::Differs => "that would have changed",
        })
    }
}

/// Rewrites JPEGs *crop-ready*: as baseline files with restart markers that divide every row of MCUs evenly.
///
/// What lies between two restart markers starts at a byte and depends on nothing before it, so a reader can cut a
/// smaller JPEG out of such a file by copying bytes. The markers are as near to 64 pixels apart as the row's number of
/// MCUs allows, within 32 to 128 pixels, or else a whole row apart. The file stays a standard JPEG.
///
/// Quantised coefficients, quantisation tables, components and size stay the same, and so every decoder gives the same
/// pixels. Both are checked for every file by reading and decoding the result again. Progressive files become baseline;
/// Huffman tables are optimised. Metadata (JFIF, EXIF, XMP, Adobe, comments and so on) is kept byte for
/// byte and in order, before the tables, with these exceptions: an ICC profile that is sRGB itself, and whatever follows
/// the end of the image together with the multi-picture index (APP2 `MPF`) that points there.
///
/// The same input gives the same output. At most one gibibyte of coefficients is held, for the largest images; about
/// twelve bytes a pixel otherwise.
///
/// ```
/// # let mut jpeg = Vec::new();
/// # jpeg_encoder::Encoder::new(&mut jpeg, 90).encode(&[128; 500 * 3], 500, 1, jpeg_encoder::ColorType::Rgb).unwrap();
/// let mut decoder = sbam_loader::Decoder::new();
/// let mut rewriter = sbam_tools::CropReady::new();
/// match rewriter.rewrite(&jpeg, Some(&decoder.decode(&jpeg)?)) {
///     Ok(rewritten) => println!("{} bytes, cut every {} MCUs", rewritten.bytes.len(), rewritten.restart_mcus),
///     Err(reason) => println!("an image {reason}"),
/// }
/// # Ok::<(), sbam_loader::SampleProblem>(())
/// ```
#[derive(Debug, Default)]
pub struct CropReady {
    encoder: Encoder,
    decoder: Decoder,
}

impl CropReady {
    /// A rewriter with empty buffers. Each thread has one of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rewrites a JPEG that was decoded to `decoded`, or of a kind that the loader does not decode but libjpeg reads. It may
    /// be any bytes, damaged ones too.
    ///
    /// # Errors
    /// The reason why it is better kept as it is.
    pub fn rewrite(
        &mut self,
        jpeg: &[u8],
        decoded: Option<&Rgb<'_>>,
    ) -> Result<CropReadyJpeg, KeptAsIs> {
        let size = jpeg_size(jpeg).map_err(|_| KeptAsIs::UnusualCoding)?;
        if u64::from(size.width) * u64::from(size.height) > MAX_PIXELS {
            return Err(KeptAsIs::TooLarge);
        }
        let header = Header::read(jpeg)?;
        let restart_mcus = interval::restart_mcus(size.width, header.mcu_width()?);
        if header.scans > MOST_SCANS {
            return Err(KeptAsIs::TooManyScans);
        }
        let metadata = metadata::kept(&header.metadata);
        let source = Coefficients::read(jpeg)?;
        let bytes = self.encoder.encode(&source, restart_mcus, &metadata)?;
        let same = jpeg_size(&bytes) == Ok(size) && Coefficients::read(&bytes)?.equal(&source)?;
        if !same {
            return Err(KeptAsIs::Differs);
        }
        let again = self.decoder.decode(&bytes);
        let same = |rgb: Rgb<'_>| {
            decoded.is_none_or(|decoded| rgb.width == decoded.width && rgb.pixels == decoded.pixels)
        };
        if !again.is_ok_and(same) {
            return Err(KeptAsIs::Ambiguous);
        }
        Ok(CropReadyJpeg {
            bytes,
            restart_mcus,
        })
    }
}

impl From<Stop> for KeptAsIs {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Damaged => Self::Damaged,
            Stop::Unsupported => Self::UnusualCoding,
            Stop::OutOfMemory => Self::TooLarge,
        }
    }
}
