use super::markers::{
    APP0, APP14, DHT, DQT, DRI, Markers, SOF_BASELINE, SOF_EXTENDED, SOS, is_frame,
};
use crate::error::SampleProblem;

/// The most pixels that are decoded: 2^27, twice `ImageNet`'s largest photograph (61 megapixels) and about where
/// Pillow speaks of a decompression bomb. A header of a few bytes must not make a thread allocate gigabytes.
pub const MAX_PIXELS: u64 = 1 << 27;

/// Width and height of a block, the unit of the transform (ITU T.81, A.1.3).
const BLOCK: u32 = 8;
/// The most components of a frame that is decoded.
const MAX_COMPONENTS: usize = 4;
/// The largest sampling factor (ITU T.81, B.2.2).
const MAX_FACTOR: u8 = 4;

/// The size of a JPEG in pixels, as its frame header states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JpegSize {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl JpegSize {
    pub(super) fn check(self) -> Result<(), SampleProblem> {
        if u64::from(self.width) * u64::from(self.height) <= MAX_PIXELS {
            return Ok(());
        }
        Err(SampleProblem::TooLarge {
            width: self.width,
            height: self.height,
            limit: MAX_PIXELS,
        })
    }
}

/// Reads the size from the frame header, without decoding.
///
/// EXIF orientation is ignored, as Pillow and torchvision do.
pub fn jpeg_size(bytes: &[u8]) -> Result<JpegSize, SampleProblem> {
    let mut markers = Markers::start(bytes)?;
    loop {
        let (at, marker, body) = markers.next_segment()?;
        if is_frame(marker) {
            return frame_size(bytes.len(), at, marker, body);
        }
        if marker == SOS {
            return Err(scan_before_frame(at));
        }
    }
}

/// What stands before the entropy-coded data.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) size: JpegSize,
    /// Where the first scan's entropy-coded data starts.
    pub(super) scan_at: usize,
    /// MCUs from one restart marker to the next; 0 without restart markers.
    pub(super) restart_interval: u32,
    /// The MCUs of the frame, if one sequential, Huffman-coded scan holds all of it.
    pub(super) grid: Option<Grid>,
    /// Blocks of all components; 0 if the frame header is damaged.
    blocks: u64,
}

impl Header {
    /// Checks, before anything is allocated by what the header claims, that the bytes may hold its blocks.
    pub(super) fn check_has_room(&self, jpeg: &[u8]) -> Result<(), SampleProblem> {
        // The first coefficient of each takes a code, in progressive frames too.
        if self.blocks <= (jpeg.len() - self.scan_at) as u64 * 8 {
            return Ok(());
        }
        Err(SampleProblem::Truncated {
            length: jpeg.len(),
            part: "scan",
        })
    }
}

/// The MCUs of an interleaved scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    /// Width of an MCU in pixels.
    pub(super) mcu_width: u32,
    /// Height of an MCU in pixels.
    pub(super) mcu_height: u32,
    /// MCUs in a row.
    pub(super) columns: u32,
    /// Rows of MCUs.
    pub(super) rows: u32,
}

impl Header {
    /// Reads everything up to the first scan. `keep` is shown the marker and the body of each segment that decoding
    /// needs: tables, frame, scan, and what tells the colour space.
    pub(super) fn parse<'a>(
        bytes: &'a [u8],
        mut keep: impl FnMut(u8, &'a [u8]),
    ) -> Result<Self, SampleProblem> {
        let mut markers = Markers::start(bytes)?;
        let mut frame: Option<(JpegSize, u8, &[u8])> = None;
        let mut restart_interval = 0;
        loop {
            let (at, marker, body) = markers.next_segment()?;
            if matches!(marker, APP0 | APP14 | DQT | DHT | DRI | SOS) || is_frame(marker) {
                keep(marker, body);
            }
            if is_frame(marker) {
                let size = frame_size(bytes.len(), at, marker, body)?;
                if frame.replace((size, marker, body)).is_some() {
                    return Err(SampleProblem::Header {
                        at,
                        reason: "a second frame header".to_owned(),
                    });
                }
            } else if marker == DRI {
                let &[high, low] = body else {
                    return Err(SampleProblem::Header {
                        at,
                        reason: format!("restart interval of {} bytes", body.len()),
                    });
                };
                restart_interval = u32::from(u16::from_be_bytes([high, low]));
            } else if marker == SOS {
                let (size, frame_marker, frame_body) =
                    frame.ok_or_else(|| scan_before_frame(at))?;
                let components = components(frame_body).unwrap_or_default();
                check_supported(frame_marker, components, body)?;
                return Ok(Self {
                    size,
                    scan_at: markers.at,
                    restart_interval,
                    grid: grid(size, frame_marker, components, body),
                    blocks: blocks(size, components),
                });
            }
        }
    }
}

/// Identifier, factors and quantisation table of each component; `None` if the frame header is damaged.
fn components(frame_body: &[u8]) -> Option<&[[u8; 3]]> {
    let (&count, components) = frame_body.get(5..)?.split_first()?;
    let (components, rest) = components.as_chunks::<3>();
    let sound = components.len() == usize::from(count)
        && rest.is_empty()
        && (1..=MAX_COMPONENTS).contains(&components.len())
        && components
            .iter()
            .copied()
            .map(factors)
            .all(|(h, v)| (1..=MAX_FACTOR).contains(&h) && (1..=MAX_FACTOR).contains(&v));
    sound.then_some(components)
}

/// Sampling factors: horizontal, vertical.
fn factors([_, factors, _]: [u8; 3]) -> (u8, u8) {
    (factors >> 4, factors & 15)
}

/// The largest sampling factors: how many blocks an MCU has across and down.
fn largest_factors(components: &[[u8; 3]]) -> (u8, u8) {
    let across = components
        .iter()
        .map(|component| factors(*component).0)
        .max();
    let down = components
        .iter()
        .map(|component| factors(*component).1)
        .max();
    (across.unwrap_or(1), down.unwrap_or(1))
}

/// Refuses frames of which zune-jpeg makes other pixels than they show, without a word.
fn check_supported(
    frame_marker: u8,
    components: &[[u8; 3]],
    scan_body: &[u8],
) -> Result<(), SampleProblem> {
    let unsupported = |feature: &str| {
        Err(SampleProblem::Unsupported {
            feature: feature.to_owned(),
        })
    };
    let (across, down) = largest_factors(components);
    if components
        .first()
        .is_some_and(|&first| factors(first) != (across, down))
        && components.len() > 1
    {
        return unsupported("a first component of less width or height than another");
    }
    let in_several_scans = scan_body
        .first()
        .is_some_and(|&count| usize::from(count) < components.len());
    if matches!(frame_marker, SOF_BASELINE | SOF_EXTENDED) && in_several_scans && down > 1 {
        return unsupported("components of different height in sequential scans of their own");
    }
    Ok(())
}

/// The fewest blocks that scans of a frame may hold.
fn blocks(size: JpegSize, components: &[[u8; 3]]) -> u64 {
    let (across, down) = largest_factors(components);
    let side = |pixels: u32, factor: u8, largest: u8| {
        let samples = u64::from(pixels) * u64::from(factor);
        samples.div_ceil(u64::from(largest) * u64::from(BLOCK))
    };
    components
        .iter()
        .copied()
        .map(factors)
        .map(|(h, v)| side(size.width, h, across) * side(size.height, v, down))
        .sum()
}

/// The grid of a frame whose first scan holds everything; `None` for any other, a damaged one among them.
fn grid(
    size: JpegSize,
    frame_marker: u8,
    components: &[[u8; 3]],
    scan_body: &[u8],
) -> Option<Grid> {
    let count = components.len();
    if !matches!(frame_marker, SOF_BASELINE | SOF_EXTENDED) || count == 0 {
        return None;
    }
    // ITU T.81, B.2.3: the number of components, two bytes for each, then spectral selection and approximation, which
    // are fixed in a sequential scan.
    if scan_body.len() != 4 + 2 * count
        || usize::from(scan_body[0]) != count
        || !scan_body.ends_with(&[0, 63, 0])
    {
        return None;
    }
    let (mut across, mut down) = largest_factors(components);
    if count == 1 {
        // The MCU of a scan of one component is one block, whatever its factors say (ITU T.81, A.2.2).
        (across, down) = (1, 1);
    }
    let (mcu_width, mcu_height) = (BLOCK * u32::from(across), BLOCK * u32::from(down));
    Some(Grid {
        mcu_width,
        mcu_height,
        columns: size.width.div_ceil(mcu_width),
        rows: size.height.div_ceil(mcu_height),
    })
}

fn scan_before_frame(at: usize) -> SampleProblem {
    SampleProblem::Header {
        at,
        reason: "the scan starts before any frame header".to_owned(),
    }
}

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
