//! The marker segments of a JPEG (ITU T.81, annex B).

use crate::error::SampleProblem;

/// The first byte of a marker, and of stuffing in entropy-coded data.
pub(super) const MARKER: u8 = 0xff;
pub(super) const SOI: u8 = 0xd8;
pub(super) const EOI: u8 = 0xd9;
pub(super) const SOS: u8 = 0xda;
pub(super) const DQT: u8 = 0xdb;
pub(super) const DRI: u8 = 0xdd;
pub(super) const SOF_BASELINE: u8 = 0xc0;
pub(super) const SOF_EXTENDED: u8 = 0xc1;
pub(super) const SOF_LAST: u8 = 0xcf;
pub(super) const DHT: u8 = 0xc4;
pub(super) const JPG: u8 = 0xc8;
pub(super) const DAC: u8 = 0xcc;
pub(super) const APP0: u8 = 0xe0;
pub(super) const APP14: u8 = 0xee;
pub(super) const RST_FIRST: u8 = 0xd0;
pub(super) const RST_LAST: u8 = 0xd7;
const TEM: u8 = 0x01;

/// Whether the marker starts a frame header.
pub(super) fn is_frame(marker: u8) -> bool {
    (SOF_BASELINE..=SOF_LAST).contains(&marker) && !matches!(marker, DHT | JPG | DAC)
}

/// Walks the marker segments up to the scan.
pub(super) struct Markers<'a> {
    bytes: &'a [u8],
    /// Where the next segment is looked for.
    pub(super) at: usize,
}

impl<'a> Markers<'a> {
    pub(super) fn start(bytes: &'a [u8]) -> Result<Self, SampleProblem> {
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
    pub(super) fn next_segment(&mut self) -> Result<(usize, u8, &'a [u8]), SampleProblem> {
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
