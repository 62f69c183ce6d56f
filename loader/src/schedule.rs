use crate::config::LoaderConfig;
use crate::error::{Error, Result};

/// How an epoch's slots are cut into optimiser steps, and a step's slots into a rank's batches.
///
/// Step k takes the slots from k × global batch on. Those of a rank, in order, are handed out as batches of
/// `batch_size`. Every rank has the same number of steps and of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// Samples of the data set.
    pub(crate) samples: u64,
    /// Slots of an optimiser step over all ranks.
    pub(crate) global_batch: u64,
    /// Slots of one batch over all ranks: what the position advances by.
    pub(crate) slots_per_batch: u64,
    /// Optimiser steps of an epoch.
    pub(crate) steps: u64,
}

impl Schedule {
    pub(crate) fn new(config: &LoaderConfig, samples: u64) -> Result<Self> {
        let wrong = |setting, problem| Err(Error::Config { setting, problem });
        let LoaderConfig {
            global_batch,
            batch_size,
            rank,
            world,
            streams,
            ..
        } = *config;
        if world == 0 || rank >= world {
            return wrong(
                "rank, world",
                format!("rank {rank} of {world}; ranks go from 0 to world - 1"),
            );
        }
        if !streams.is_multiple_of(world) {
            return wrong(
                "streams",
                format!(
                    "{streams} streams cannot be shared by {world} ranks; set a multiple of {world}"
                ),
            );
        }
        let slots_per_batch = batch_size as u64 * u64::from(world);
        if slots_per_batch == 0
            || global_batch == 0
            || !global_batch.is_multiple_of(slots_per_batch)
        {
            return wrong(
                "global_batch",
                format!(
                    "{global_batch} is not a multiple of {slots_per_batch} (batch_size {batch_size} x {world} \
                     ranks); set batch_size x accumulate x world"
                ),
            );
        }
        if samples < global_batch {
            return wrong(
                "global_batch",
                format!(
                    "the data set has {samples} samples, fewer than one global batch of {global_batch}; set \
                     batch_size x accumulate x world to at most {samples}"
                ),
            );
        }
        let steps = if config.drop_last {
            samples / global_batch
        } else {
            samples.div_ceil(global_batch)
        };
        Ok(Self {
            samples,
            global_batch,
            slots_per_batch,
            steps,
        })
    }

    /// Where the epoch's last batch ends, in slots; past `samples` by the padding, or before by what is dropped.
    pub(crate) fn end(&self) -> u64 {
        self.steps * self.global_batch
    }

    /// Whether a batch of this schedule starts at this slot of an epoch.
    pub(crate) fn starts_batch_at(&self, position: u64) -> bool {
        position < self.end() && (position % self.global_batch).is_multiple_of(self.slots_per_batch)
    }

    /// Batches of a rank in an epoch.
    pub(crate) fn batches(&self) -> u64 {
        self.end() / self.slots_per_batch
    }
}
