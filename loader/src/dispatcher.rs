//! The thread that walks the order and hands out slots.

use std::sync::Arc;

use crossbeam::channel::Sender;

use crate::buffers::{self, Buffers};
use crate::byte_budget::ByteBudget;
use crate::config::LoaderConfig;
use crate::dataset::Dataset;
use crate::jpeg_buffers::JpegBuffers;
use crate::order::Order;
use crate::schedule::Schedule;
use crate::worker::Job;

/// Walks the epochs and sends every slot of this rank to the fetch threads, batch by batch.
pub(crate) struct Dispatcher {
    pub(crate) config: LoaderConfig,
    pub(crate) schedule: Schedule,
    pub(crate) order: Arc<Order>,
    pub(crate) dataset: Arc<Dataset>,
    pub(crate) buffers: Buffers,
    /// Room for encoded photographs; taken here, in the order of the slots, so that none can overtake one that waits.
    pub(crate) budget: Arc<ByteBudget>,
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
                let slot_bytes = config.image_bytes() * config.views as usize;
                let pieces = buffers::split(self.buffers.take(), slot_bytes);
                for (slot, pixels) in pieces.enumerate() {
                    let sample_index = samples.next().map(|(_, sample_index)| sample_index);
                    let room = match sample_index {
                        None => None,
                        Some(sample_index) => {
                            let bytes = self.dataset.sample(sample_index).length as u64;
                            let Some(permit) = self.budget.take(JpegBuffers::room(bytes)) else {
                                return;
                            };
                            Some(permit)
                        }
                    };
                    let job = Job {
                        batch,
                        slot,
                        epoch,
                        sample_index,
                        pixels,
                        room,
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
