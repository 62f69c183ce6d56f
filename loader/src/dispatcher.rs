//! The thread that walks the order and hands out slots.

use std::sync::Arc;

use crossbeam::channel::Sender;

use crate::buffers::{self, Buffers};
use crate::config::LoaderConfig;
use crate::order::Order;
use crate::schedule::Schedule;
use crate::worker::Job;

/// Walks the epochs and sends every slot of this rank to the workers, batch by batch.
pub(crate) struct Dispatcher {
    pub(crate) config: LoaderConfig,
    pub(crate) schedule: Schedule,
    pub(crate) order: Arc<Order>,
    pub(crate) buffers: Buffers,
    pub(crate) jobs: Sender<Job>,
    /// Takes one token for each batch in preparation, and is full at `prefetch_batches`.
    pub(crate) in_preparation: Sender<()>,
}

impl Dispatcher {
    /// Runs from a slot of an epoch to the end of the last epoch, or until nobody wants more.
    pub(crate) fn run(self, mut epoch: u64, mut position: u64) {
        let config = &self.config;
        let mut batch = 0;
        while epoch < config.epochs {
            let mut samples = self.order.epoch(epoch, position, config.rank, config.world);
            while position < self.schedule.end() {
                if self.in_preparation.send(()).is_err() {
                    return;
                }
                let pieces = buffers::split(self.buffers.take(), config.image_bytes());
                for (slot, pixels) in pieces.enumerate() {
                    let job = Job {
                        batch,
                        slot,
                        epoch,
                        sample_index: samples.next().map(|(_, sample_index)| sample_index),
                        pixels,
                    };
                    if self.jobs.send(job).is_err() {
                        return;
                    }
                }
                batch += 1;
                position += self.schedule.slots_per_batch;
            }
            epoch += 1;
            position = 0;
        }
    }
}
