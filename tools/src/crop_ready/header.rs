//! What a JPEG's markers say, read without decoding.

use super::KeptAsIs;

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const DNL: u8 = 0xdc;
const COM: u8 = 0xfe;
const APP_FIRST: u8 = 0xe0;
pub(super) const APP2: u8 = 0xe2;
const APP14: u8 = 0xee;
const APP_LAST: u8 = 0xef;

/// A marker segment: its code and its content without the length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    pub(super) marker: u8,
    pub(super) body: &'a [u8],
}

impl Segment<'_> {
    fn is_metadata(&self) -> bool {
        matches!(self.marker, APP_FIRST..=APP_LAST | COM)
    }

    /// A frame header that baseline or progressive Huffman files have; others are refused before.
    fn is_frame(&self) -> bool {
        matches!(self.marker, 0xc0..=0xc2)
    }
}

/// What the markers of a JPEG say.
pub(super) struct Header<'a> {
    /// Sampling factors of each component: horizontal, vertical.
    factors: Vec<(u8, u8)>,
    /// APPn and COM segments in their order.
    pub(super) metadata: Vec<Segment<'a>>,
    /// Scans up to the end of the image.
    pub(super) scans: usize,
}

impl<'a> Header<'a> {
    /// Reads all markers up to the end of the image.
    ///
    /// # Errors
    /// [`KeptAsIs::Damaged`] if something is missing, and reasons why the file cannot be rewritten that markers tell.
    pub(super) fn read(jpeg: &'a [u8]) -> Result<Self, KeptAsIs> {
        let mut header = Self {
            factors: Vec::new(),
            metadata: Vec::new(),
            scans: 0,
        };
        let mut segments = Segments { jpeg, at: 2 };
        while let Some(segment) = segments.next()? {
            if segment.is_frame() {
                header.factors = factors(segment.body)?;
            } else if segment.marker == SOS {
                header.scans += 1;
            } else if segment.marker == DNL {
                return Err(KeptAsIs::UnusualCoding);
            } else if segment.is_metadata() {
                let after_frame = !header.factors.is_empty();
                if header.scans > 0 || (segment.marker == APP14 && after_frame) {
                    return Err(KeptAsIs::LateMetadata);
                }
                header.metadata.push(segment);
            }
        }
        if header.scans == 0 || header.factors.is_empty() {
            return Err(KeptAsIs::Damaged);
        }
        Ok(header)
    }

    /// Width of an MCU in pixels, of a file whose components are all in one scan.
    ///
    /// # Errors
    /// [`KeptAsIs::UnusualComponents`] for components whose blocks do not lie on the grid of MCUs as in all common files:
    /// what decoders make of their edges differs.
    pub(super) fn mcu_width(&self) -> Result<u32, KeptAsIs> {
        let most_h = self.factors.iter().map(|f| f.0).max().unwrap_or(1);
        let most_v = self.factors.iter().map(|f| f.1).max().unwrap_or(1);
        let usual = |&(h, v): &(u8, u8)| (h == 1 || h == most_h) && (v == 1 || v == most_v);
        match self.factors.len() {
            // The only component of a scan has MCUs of one block, whatever its factors are.
            1 => Ok(8),
            3 | 4 if self.factors.iter().all(usual) => Ok(8 * u32::from(most_h)),
            _ => Err(KeptAsIs::UnusualComponents),
        }
    }
}

/// Sampling factors from a frame header (ITU T.81, B.2.2).
fn factors(body: &[u8]) -> Result<Vec<(u8, u8)>, KeptAsIs> {
    let factors: Vec<_> = body
        .get(6..)
        .ok_or(KeptAsIs::Damaged)?
        .as_chunks::<3>()
        .0
        .iter()
        .map(|component| (component[1] >> 4, component[1] & 15))
        .collect();
    let valid = |&(h, v): &(u8, u8)| (1..=4).contains(&h) && (1..=4).contains(&v);
    if factors.is_empty() || !factors.iter().all(valid) {
        return Err(KeptAsIs::Damaged);
    }
    Ok(factors)
}

/// Walks the marker segments, over entropy-coded data too.
struct Segments<'a> {
    jpeg: &'a [u8],
    at: usize,
}

impl<'a> Segments<'a> {
    /// The next segment; `None` at the end of the image.
    fn next(&mut self) -> Result<Option<Segment<'a>>, KeptAsIs> {
        loop {
            let rest = self.jpeg.get(self.at..).ok_or(KeptAsIs::Damaged)?;
            let found = rest.iter().position(|&byte| byte == 0xff);
            let at = self.at + found.ok_or(KeptAsIs::Damaged)?;
            let fill = self.jpeg[at..].iter().position(|&byte| byte != 0xff);
            let marker_at = at + fill.ok_or(KeptAsIs::Damaged)?;
            let marker = self.jpeg[marker_at];
            self.at = marker_at + 1;
            match marker {
                // Stuffing, TEM and restart markers stand alone.
                0 | 1 | 0xd0..=0xd7 | SOI => {}
                EOI => return Ok(None),
                _ => {
                    let length = self.jpeg.get(self.at..self.at + 2);
                    let length = length.map(|two| usize::from(two[0]) << 8 | usize::from(two[1]));
                    let end = self.at + length.ok_or(KeptAsIs::Damaged)?;
                    let body = self.jpeg.get(self.at + 2..end).ok_or(KeptAsIs::Damaged)?;
                    self.at = end;
                    return Ok(Some(Segment { marker, body }));
                }
            }
        }
    }
}
