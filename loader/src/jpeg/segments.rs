//! Where the restart segments of a scan are.

use super::header::{Grid, Header};
use super::markers::{RST_FIRST, RST_LAST};
use crate::error::SampleProblem;

/// Restart markers count from 0 to 7 and start again (ITU T.81, B.1.1.3).
const RST_PERIOD: usize = 8;

/// The MCUs between two restart markers, if a smaller JPEG can be cut out of this one; else 0.
///
/// For that, one sequential scan must hold all components, the interval must divide a row of MCUs or be so many whole
/// rows, and every marker must be in its place.
pub fn restart_mcus(jpeg: &[u8]) -> u32 {
    let Ok(header) = Header::parse(jpeg, |_, _| {}) else {
        return 0;
    };
    let Some(tiles) = Tiles::of(&header) else {
        return 0;
    };
    let mut starts = Vec::new();
    match find(jpeg, header.scan_at, tiles.count(), &mut starts) {
        Ok(()) => header.restart_interval,
        Err(_) => 0,
    }
}

/// The restart segments as a grid of tiles over the photograph: either part of one row of MCUs, or some whole rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tiles {
    pub(super) grid: Grid,
    /// MCUs of a tile from left to right; divides the grid's columns.
    pub(super) columns: u32,
    /// Rows of MCUs of a tile; the last tile may have fewer.
    pub(super) rows: u32,
}

impl Tiles {
    /// The tiles of a JPEG that can be cut.
    pub(super) fn of(header: &Header) -> Option<Self> {
        let (grid, interval) = (header.grid?, header.restart_interval);
        if interval == 0 {
            return None;
        }
        if interval <= grid.columns && grid.columns.is_multiple_of(interval) {
            return Some(Self {
                grid,
                columns: interval,
                rows: 1,
            });
        }
        interval.is_multiple_of(grid.columns).then(|| Self {
            grid,
            columns: grid.columns,
            rows: interval / grid.columns,
        })
    }

    /// The tiles of a JPEG that can be cut at markers so many MCUs apart, as a manifest says.
    pub(super) fn expect(header: &Header, restart_mcus: u32) -> Result<Self, SampleProblem> {
        let tiles = Self::of(header);
        match tiles {
            Some(tiles) if header.restart_interval == restart_mcus => Ok(tiles),
            _ => Err(SampleProblem::RestartDiffers {
                found: tiles.map_or(0, |_| header.restart_interval),
                manifest: restart_mcus,
            }),
        }
    }

    /// Tiles side by side.
    pub(super) fn across(&self) -> usize {
        (self.grid.columns / self.columns) as usize
    }

    /// Tiles one below the other.
    pub(super) fn down(&self) -> usize {
        self.grid.rows.div_ceil(self.rows) as usize
    }

    fn count(&self) -> usize {
        self.across() * self.down()
    }
}

/// Finds all segments of a scan, from the first byte after its header.
///
/// `starts` gets, for each segment, where it starts, and one more entry: what would be the start of another, two bytes
/// after the marker code's. So segment i and the marker that ends it are the bytes from `starts[i]` to `starts[i + 1]`.
pub(super) fn find(
    jpeg: &[u8],
    scan_at: usize,
    count: usize,
    starts: &mut Vec<usize>,
) -> Result<(), SampleProblem> {
    starts.clear();
    starts.push(scan_at);
    let mut passed = scan_at;
    for at in memchr::memchr_iter(0xff, &jpeg[scan_at..]) {
        let at = scan_at + at;
        // The second byte of what was looked at already.
        if at < passed {
            continue;
        }
        match jpeg.get(at + 1) {
            // Stuffing, and fill bytes before a marker.
            Some(0 | 0xff) => {}
            Some(&code @ RST_FIRST..=RST_LAST) => {
                let found = starts.len();
                let expected = RST_FIRST + ((found - 1) % RST_PERIOD) as u8;
                if code != expected || found == count {
                    return Err(SampleProblem::Restart {
                        at,
                        reason: if found == count {
                            format!("a restart marker after the last of {count} segments")
                        } else {
                            format!(
                                "restart marker {} where {} should be, after segment {found} of {count}",
                                code - RST_FIRST,
                                expected - RST_FIRST
                            )
                        },
                    });
                }
                starts.push(at + 2);
                passed = at + 2;
            }
            // End of image, or whatever ends the scan.
            Some(_) => {
                let found = starts.len();
                if found < count {
                    return Err(SampleProblem::Restart {
                        at,
                        reason: format!("the scan ends after segment {found} of {count}"),
                    });
                }
                starts.push(at + 2);
                return Ok(());
            }
            None => break,
        }
    }
    Err(SampleProblem::CutShort {
        length: jpeg.len(),
        segment: starts.len(),
        segments: count,
    })
}
