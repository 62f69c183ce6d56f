use crate::config::LoaderConfig;
use crate::error::{Error, Result};

/// How an epoch's slots are cut into optimiser steps, and a step's slots into a rank's batches.
///
/// A slot is the place of a sample, of which a batch shows every view. Step k takes the slots from k × step slots on.
/// Those of a rank, in order, are handed out as batches of `batch_size` images. Every rank has the same number of steps and of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// Samples of the data set.
    pub(crate) samples: u64,
    /// Slots of an optimiser step over all ranks.
    pub(crate) slots_per_step: u64,
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
            views,
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
        let views = u64::from(views);
        if views == 0 || !(batch_size as u64).is_multiple_of(views) {
            return wrong(
                "batch_size",
                format!(
                    "{batch_size} images cannot be {views} views of each sample; set a multiple of {views}"
                ),
            );
        }
        let images_per_batch = batch_size as u64 * u64::from(world);
        if images_per_batch == 0
            || global_batch == 0
            || !global_batch.is_multiple_of(images_per_batch)
        {
            return wrong(
                "global_batch",
                format!(
                    "{global_batch} is not a multiple of {images_per_batch} (batch_size {batch_size} x {world} \
                     ranks); set batch_size x accumulate x world"
                ),
            );
        }
        let slots_per_step = global_batch / views;
        if samples < slots_per_step {
            return wrong(
                "global_batch",
                format!(
                    "the data set has {samples} samples, fewer than one global batch of {slots_per_step}; set \
                     batch_size x accumulate x world to at most {}",
                    samples * views
                ),
            );
        }
        let steps = if config.drop_last {
            samples / slots_per_step
        } else {
            samples.div_ceil(slots_per_step)
        };
        Ok(Self {
            samples,
            slots_per_step,
            slots_per_batch: images_per_batch / views,
            steps,
        })
    }

    /// Where the epoch's last batch ends, in slots; past `samples` by the padding, or before by what is dropped.
    pub(crate) fn end(&self) -> u64 {
        self.steps * self.slots_per_step
    }

    /// Whether a batch of this schedule starts at this slot of an epoch.
    pub(crate) fn starts_batch_at(&self, position: u64) -> bool {
        position < self.end()
            && (position % self.slots_per_step).is_multiple_of(self.slots_per_batch)
    }

    /// Batches of a rank in an epoch.
    pub(crate) fn batches(&self) -> u64 {
        self.end() / self.slots_per_batch
    }
}
