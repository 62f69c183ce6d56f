use super::super::header::Grid;
use super::huffman::{COEFFICIENTS, Table, natural};

/// Tables of a kind that a frame may use (ITU T.81, B.2.4).
const TABLES: usize = 4;
/// What tells an Adobe segment, and where it says how colours were transformed.
const ADOBE: &[u8] = b"Adobe";
const ADOBE_TRANSFORM: usize = 11;
/// The transform of luma and two differences.
const ADOBE_YCC: u8 = 1;

/// The tables that the segments before a scan define.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// Quantisation steps, in natural order.
    pub(super) steps: [Option<[i16; COEFFICIENTS]>; TABLES],
    /// Of differences, and of all other coefficients.
    pub(super) codes: [[Table; TABLES]; 2],
    /// Whether this photograph defines them.
    defined: [[bool; TABLES]; 2],
    /// Whether all definitions were sound.
    sound: bool,
}

impl Tables {
    /// Forgets the photograph before, but for what its definitions came to.
    pub(super) fn start(&mut self) {
        self.steps = [None; TABLES];
        self.defined = [[false; TABLES]; 2];
        self.sound = true;
    }

    /// Reads the content of a segment with quantisation tables (ITU T.81, B.2.4.1).
    pub(super) fn define_steps(&mut self, mut body: &[u8]) {
        while let Some((&kind, rest)) = body.split_first() {
            let (bytes_each, place) = (1 + usize::from(kind >> 4), usize::from(kind & 15));
            let sound = bytes_each <= 2 && place < TABLES;
            let Some((found, rest)) = rest
                .split_at_checked(bytes_each * COEFFICIENTS)
                .filter(|_| sound)
            else {
                self.sound = false;
                return;
            };
            let mut steps = [0; COEFFICIENTS];
            for (k, step) in found.chunks_exact(bytes_each).enumerate() {
                let step = step
                    .iter()
                    .fold(0_u16, |step, &byte| step << 8 | u16::from(byte));
                steps[natural(k)] = step as i16;
            }
            self.steps[place] = Some(steps);
            body = rest;
        }
    }

    /// Reads the content of a segment with Huffman tables (ITU T.81, B.2.4.2).
    pub(super) fn define_codes(&mut self, mut body: &[u8]) {
        while let Some((&kind, rest)) = body.split_first() {
            let (class, place) = (usize::from(kind >> 4), usize::from(kind & 15));
            let symbols: usize = rest.iter().take(16).map(|&count| usize::from(count)).sum();
            let sound = class < 2 && place < TABLES;
            let definition = rest.split_at_checked(16 + symbols).filter(|_| sound);
            let Some((definition, rest)) = definition else {
                self.sound = false;
                return;
            };
            let table = &mut self.codes[class][place];
            self.sound &=
                table.define(definition, class == 1) && (class == 1 || table.has_only_sizes());
            self.defined[class][place] = true;
            body = rest;
        }
    }
}

/// A component of a frame: which tables are its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Component {
    pub(super) steps: usize,
    /// Of differences, and of all other coefficients.
    pub(super) codes: [usize; 2],
}

/// A frame that is decoded here: luma, or luma and two differences of half or the same width and height, baseline, in
/// one scan.
#[derive(Debug, Clone)]
pub(in super::super) struct Frame {
    pub(super) grid: Grid,
    pub(super) luma: Component,
    pub(super) chroma: Option<[Component; 2]>,
    /// Blocks of luma in an MCU, across and down.
    pub(super) across: usize,
    pub(super) down: usize,
}

impl Frame {
    /// The frame of a header whose `grid` has been found sound; `None` if it is of a kind that is not decoded here, or
    /// lacks a table.
    pub(super) fn new(
        grid: Grid,
        tables: &Tables,
        adobe: Option<&[u8]>,
        frame_body: &[u8],
        scan_body: &[u8],
    ) -> Option<Self> {
        let count = usize::from(*scan_body.first()?);
        let ycc =
            adobe.is_none_or(|body| count == 3 && body.get(ADOBE_TRANSFORM) == Some(&ADOBE_YCC));
        if !tables.sound || !ycc {
            return None;
        }
        let (components, _) = frame_body.get(6..)?.as_chunks::<3>();
        let (selectors, _) = scan_body.get(1..)?.as_chunks::<2>();
        let component = |at: usize| {
            let (&[id, _, steps], &[selected, codes]) = (components.get(at)?, selectors.get(at)?);
            let component = Component {
                steps: usize::from(steps),
                codes: [usize::from(codes >> 4), usize::from(codes & 15)],
            };
            let [dc, ac] = component.codes;
            let complete = tables.steps.get(component.steps)?.is_some()
                && *tables.defined[0].get(dc)?
                && *tables.defined[1].get(ac)?;
            (complete && id == selected).then_some(component)
        };
        let factors = |at: usize| components.get(at).map(|&[_, factors, _]| factors);
        let (chroma, (across, down)) = match count {
            1 => (None, (1, 1)),
            3 => {
                let ids = [
                    components.first()?[0],
                    components.get(1)?[0],
                    components.get(2)?[0],
                ];
                let luma = factors(0)?;
                if ids == *b"RGB" || factors(1)? != 0x11 || factors(2)? != 0x11 {
                    return None;
                }
                (Some([component(1)?, component(2)?]), (luma >> 4, luma & 15))
            }
            _ => return None,
        };
        if across > 2 || down > 2 {
            return None;
        }
        Some(Self {
            grid,
            luma: component(0)?,
            chroma,
            across: across.into(),
            down: down.into(),
        })
    }
}

/// The content of an application segment if Adobe's programs wrote it.
pub(super) fn adobe(body: &[u8]) -> Option<&[u8]> {
    body.starts_with(ADOBE).then_some(body)
}
