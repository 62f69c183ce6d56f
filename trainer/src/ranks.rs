//! The boundary between one process's part of an optimiser step and the whole step.
//!
//! A step works on local sums and counts; what must be known over all processes goes through here:
//! counts before the backward pass, gradients after it. There is one process today, for which a
//! global sum is the local one.

/// This process among all that train together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ranks {
    pub(crate) rank: u32,
    pub(crate) world: u32,
}

impl Ranks {
    /// The only process.
    pub(crate) const SINGLE: Self = Self { rank: 0, world: 1 };

    /// The sum over all processes of each one's count.
    pub(crate) fn sum_count(self, local: f64) -> f64 {
        debug_assert_eq!(self.world, 1, "several processes are a later extension");
        local
    }

    /// Whether this process writes the files that all share.
    pub(crate) fn writes_shared_files(self) -> bool {
        self.rank == 0
    }
}
