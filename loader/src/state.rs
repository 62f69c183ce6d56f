use serde::{Deserialize, Serialize};

use crate::config::LoaderConfig;
use crate::error::{Error, Result};
use crate::receipt::Receipt;
use crate::schedule::Schedule;

/// The version of [`LoaderState`] that this code writes and reads.
const STATE_VERSION: u32 = 1;

/// Where a loader stands: all that is needed to go on exactly there.
///
/// Its size does not depend on the data set, but for the quarantine list. It does not depend on the number of threads,
/// nor on how far ahead batches were prepared.
///
/// With several ranks, every rank's state belongs to the same position; [`merge`](Self::merge) them into one to save, and
/// give each rank [`for_rank`](Self::for_rank) of it to resume, at the same or another number of ranks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoaderState {
    /// The version of this structure.
    pub version: u32,
    /// [`Manifest::hash`](crate::Manifest::hash) of the data set.
    pub manifest_hash: String,
    /// The run's seed.
    pub seed: u64,
    /// The number of streams.
    pub streams: u32,
    /// Shards of a window.
    pub window_shards: u32,
    /// Images of an optimiser step over all ranks.
    pub global_batch: u64,
    /// Images of a sample.
    #[serde(default = "one_view")]
    pub views: u32,
    /// Whether incomplete global batches are dropped.
    pub drop_last: bool,
    /// The epoch of the next batch.
    pub epoch: u64,
    /// The slot of that epoch, over all ranks, at which the next batch starts.
    pub position: u64,
    /// What the epoch's batches so far account for.
    pub receipt: Receipt,
    /// Samples that could not be used so far, each once.
    pub quarantine: Vec<Quarantined>,
}

/// A sample that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantined {
    /// Its row in the manifest.
    pub sample_index: u64,
    /// The shard's file name.
    pub shard: String,
    /// Its key.
    pub key: String,
    /// Where its JPEG starts in the shard.
    pub offset: u64,
    /// What is wrong with it.
    pub reason: String,
    /// The epoch in which it was met first.
    pub epoch: u64,
}

/// States that were saved before there were several views.
fn one_view() -> u32 {
    1
}

impl LoaderState {
    /// The state before the first batch of a run.
    pub(crate) fn first(config: &LoaderConfig, manifest_hash: &str) -> Self {
        Self {
            version: STATE_VERSION,
            manifest_hash: manifest_hash.to_owned(),
            seed: config.seed,
            streams: config.streams,
            window_shards: config.window_shards,
            global_batch: config.global_batch,
            views: config.views,
            drop_last: config.drop_last,
            epoch: 0,
            position: 0,
            receipt: Receipt::new(0),
            quarantine: Vec::new(),
        }
    }

    /// Adds the receipt and the quarantine list of another rank at the same position.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if (self.epoch, self.position) != (other.epoch, other.position) {
            return Err(Error::StateInvalid {
                problem: format!(
                    "ranks stand at different places: epoch {} slot {}, and epoch {} slot {}",
                    self.epoch, self.position, other.epoch, other.position
                ),
            });
        }
        self.same_run(other)?;
        self.receipt.merge(&other.receipt)?;
        for bad in &other.quarantine {
            self.add_quarantined(bad.clone());
        }
        self.quarantine.sort_by_key(|bad| bad.sample_index);
        Ok(())
    }

    /// The part of a merged state that a rank resumes from: the account so far stays with rank 0.
    #[must_use]
    pub fn for_rank(mut self, rank: u32) -> Self {
        if rank > 0 {
            self.receipt = Receipt::new(self.epoch);
            self.quarantine.clear();
        }
        self
    }

    pub(crate) fn add_quarantined(&mut self, bad: Quarantined) {
        if !self
            .quarantine
            .iter()
            .any(|known| known.sample_index == bad.sample_index)
        {
            self.quarantine.push(bad);
        }
    }

    /// Checks that the run which saved this state is the one that `first` begins.
    fn same_run(&self, first: &Self) -> Result<()> {
        let same = |what, state: &dyn ToString, config: &dyn ToString| {
            let (state, config) = (state.to_string(), config.to_string());
            if state == config {
                return Ok(());
            }
            Err(Error::StateDiffers {
                what,
                state,
                config,
            })
        };
        same("version", &self.version, &first.version)?;
        same("manifest hash", &self.manifest_hash, &first.manifest_hash)?;
        same("seed", &self.seed, &first.seed)?;
        same("streams", &self.streams, &first.streams)?;
        same("window_shards", &self.window_shards, &first.window_shards)?;
        same("global_batch", &self.global_batch, &first.global_batch)?;
        same("views", &self.views, &first.views)?;
        same("drop_last", &self.drop_last, &first.drop_last)
    }

    /// Checks that a loader with this configuration can go on from here.
    pub(crate) fn check(
        &self,
        config: &LoaderConfig,
        manifest_hash: &str,
        schedule: &Schedule,
    ) -> Result<()> {
        self.same_run(&Self::first(config, manifest_hash))?;
        let invalid = |problem| Err(Error::StateInvalid { problem });
        if self.position >= schedule.end() {
            return invalid(format!(
                "slot {} is past the epoch's end at {}",
                self.position,
                schedule.end()
            ));
        }
        if !schedule.starts_batch_at(self.position) {
            return invalid(format!(
                "slot {} lies inside a batch of {} samples over all ranks; resume with the same batch_size and \
                 number of ranks, or from the end of an optimiser step",
                self.position, schedule.slots_per_batch
            ));
        }
        if self.receipt.epoch != self.epoch {
            return invalid(format!(
                "its receipt is of epoch {}, not {}",
                self.receipt.epoch, self.epoch
            ));
        }
        Ok(())
    }
}
