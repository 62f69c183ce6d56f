use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, bounded};
use sbam_augment::{CropBox, View};

use crate::batch::{Batch, BatchSample, SlotKind};
use crate::buffers::{self, Buffers};
use crate::config::{LoaderConfig, OnError};
use crate::dataset::Dataset;
use crate::dispatcher::Dispatcher;
use crate::error::{Error, Result, SampleProblem};
use crate::order::Order;
use crate::receipt::Receipt;
use crate::schedule::Schedule;
use crate::state::{LoaderState, Quarantined};
use crate::worker::{Done, Fetch, Filled, Outcome, Worker};

/// Reads a data set as batches of pixels, epoch after epoch.
///
/// A dispatcher thread walks the [`Order`] and cuts batch buffers into slots; worker threads read, decode and resize
/// each into its slot; [`next_batch`](Self::next_batch) puts finished slots together. Which batches come, and every byte
/// of them, depends on data set, configuration and state alone, not on the number of threads. Memory is bounded by
/// `prefetch_batches`, the batches the caller holds, and one photograph per thread.
///
/// Dropping a loader ends and joins its threads, each after the slot it is working on.
pub struct Loader {
    dataset: Arc<Dataset>,
    config: LoaderConfig,
    schedule: Schedule,
    order: Arc<Order>,
    buffers: Buffers,
    /// Where the next batch starts.
    state: LoaderState,
    /// Slots of batches not yet handed out; the first entry is batch number `next`.
    pending: VecDeque<Pending>,
    next: u64,
    pipeline: Option<Pipeline>,
    /// The message of the error that stopped the loader.
    failed: Option<String>,
}

/// The slots of a batch as they come in.
struct Pending {
    slots: Vec<Option<Done>>,
    missing: usize,
}

impl Pending {
    fn new(batch_size: usize) -> Self {
        Self {
            slots: (0..batch_size).map(|_| None).collect(),
            missing: batch_size,
        }
    }

    fn add(&mut self, done: Done) {
        let slot = done.slot;
        if self.slots[slot].replace(done).is_none() {
            self.missing -= 1;
        }
    }
}

/// The running threads and the caller's ends of their channels.
struct Pipeline {
    done: Receiver<Done>,
    in_preparation: Receiver<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // With its receivers gone, every thread fails its next send and returns.
        self.done = crossbeam::channel::never();
        self.in_preparation = crossbeam::channel::never();
        for thread in self.threads.drain(..) {
            // A thread's panic is reported by whoever waited for its work; here it only has to be over.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader")
            .field("config", &self.config)
            .field("state", &self.state)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl Loader {
    /// Starts the threads, at the beginning of epoch 0 or where `state` was taken.
    pub fn start(
        dataset: Arc<Dataset>,
        config: LoaderConfig,
        state: Option<LoaderState>,
    ) -> Result<Self> {
        let source = Arc::clone(&dataset);
        let fetch: Fetch = Arc::new(move |sample_index, into| source.read(sample_index, into));
        Self::start_with(dataset, config, state, &fetch)
    }

    /// [`start`](Self::start) with another way to the JPEGs' bytes.
    pub(crate) fn start_with(
        dataset: Arc<Dataset>,
        config: LoaderConfig,
        state: Option<LoaderState>,
        fetch: &Fetch,
    ) -> Result<Self> {
        let schedule = config.check(dataset.len())?;
        let order = Arc::new(Order::new(
            &dataset.manifest,
            config.seed,
            config.streams,
            config.window_shards,
        )?);
        let state = match state {
            None => LoaderState::first(&config, dataset.hash()),
            Some(state) => {
                state.check(&config, dataset.hash(), &schedule)?;
                state
            }
        };
        let batch_bytes = config.image_bytes() * config.batch_size;
        // One more than are prepared ahead: the one in the caller's hands.
        let buffers = Buffers::new(config.prefetch_batches + 1, batch_bytes);
        let mut loader = Self {
            pending: VecDeque::with_capacity(config.prefetch_batches),
            next: 0,
            pipeline: None,
            failed: None,
            dataset,
            config,
            schedule,
            order,
            buffers,
            state,
        };
        loader.pipeline = Some(loader.start_threads(fetch)?);
        Ok(loader)
    }

    fn start_threads(&self, fetch: &Fetch) -> Result<Pipeline> {
        let config = &self.config;
        // Every slot in preparation fits, so that no worker ever waits for the caller to take its result.
        let slots = config.prefetch_batches * config.batch_size;
        let (jobs_in, jobs_out) = bounded(slots);
        let (done_in, done_out) = bounded(slots);
        let (token_in, token_out) = bounded(config.prefetch_batches);
        let mut pipeline = Pipeline {
            done: done_out,
            in_preparation: token_out,
            threads: Vec::with_capacity(config.threads + 1),
        };
        // Made after `pipeline`, so that if a thread cannot be started the jobs end before the others are joined.
        let dispatcher = Dispatcher {
            config: config.clone(),
            schedule: self.schedule,
            order: Arc::clone(&self.order),
            buffers: self.buffers.clone(),
            jobs: jobs_in,
            in_preparation: token_in,
        };
        let spawn = |name: String, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(name.clone())
                .spawn(run)
                .map_err(|e| Error::io("start thread", name.as_ref(), e))
        };
        for index in 0..config.threads {
            let worker = Worker::new(config, &self.dataset, fetch);
            let (jobs, done) = (jobs_out.clone(), done_in.clone());
            let run = Box::new(move || worker.run(&jobs, &done));
            pipeline
                .threads
                .push(spawn(format!("loader-{index}"), run)?);
        }
        let (epoch, position) = (self.state.epoch, self.state.position);
        let run = Box::new(move || dispatcher.run(epoch, position));
        pipeline
            .threads
            .push(spawn("loader-order".to_owned(), run)?);
        Ok(pipeline)
    }

    /// Optimiser steps of an epoch: its global batches.
    pub fn steps_per_epoch(&self) -> u64 {
        self.schedule.steps
    }

    /// Batches of this rank in an epoch.
    pub fn batches_per_epoch(&self) -> u64 {
        self.schedule.batches()
    }

    /// Where the next batch starts; after a batch, the same as its [`Batch::state`].
    pub fn state(&self) -> &LoaderState {
        &self.state
    }

    /// The next batch, or `None` after the last epoch. Waits until it is ready.
    ///
    /// After an error, every further call returns [`Error::Stopped`].
    pub fn next_batch(&mut self) -> Result<Option<Batch>> {
        if let Some(first) = &self.failed {
            return Err(Error::Stopped {
                first: first.clone(),
            });
        }
        if self.state.epoch >= self.config.epochs {
            return Ok(None);
        }
        let result = self
            .wait_for_slots()
            .and_then(|slots| self.accept(slots))
            .map(|slots| self.put_together(slots));
        match result {
            Ok(batch) => Ok(Some(batch)),
            Err(error) => {
                self.failed = Some(error.to_string());
                self.pipeline = None;
                Err(error)
            }
        }
    }

    /// Waits until every slot of the next batch is done.
    fn wait_for_slots(&mut self) -> Result<Vec<Done>> {
        let (epoch, batch) = (self.state.epoch, self.index_in_epoch());
        let ended = || Error::ThreadsEnded { epoch, batch };
        let pipeline = self.pipeline.as_ref().ok_or_else(ended)?;
        loop {
            if let Some(complete) = self.pending.pop_front_if(|batch| batch.missing == 0) {
                // Only now may another batch enter: what is in preparation and what is pending are the same batches.
                pipeline.in_preparation.recv().map_err(|_| ended())?;
                self.next += 1;
                return Ok(complete.slots.into_iter().flatten().collect());
            }
            let done = pipeline.done.recv().map_err(|_| ended())?;
            let ahead = (done.batch - self.next) as usize;
            while self.pending.len() <= ahead {
                self.pending.push_back(Pending::new(self.config.batch_size));
            }
            self.pending[ahead].add(done);
        }
    }

    fn index_in_epoch(&self) -> u64 {
        self.state.position / self.schedule.slots_per_batch
    }

    /// Fails with the error of the first slot that has one, before anything is counted.
    fn accept(&self, slots: Vec<Done>) -> Result<Vec<Filled>> {
        let strict = self.config.on_error == OnError::Error;
        slots
            .into_iter()
            .map(|slot| match slot.filled? {
                Filled {
                    outcome: Outcome::Bad(sample_index, problem),
                    ..
                } if strict => Err(self.dataset.bad_sample(sample_index, problem)),
                filled => Ok(filled),
            })
            .collect()
    }

    /// Joins the slots' pixels, fills slots that have none, and advances the state.
    fn put_together(&mut self, slots: Vec<Filled>) -> Batch {
        let mut pieces = Vec::with_capacity(slots.len());
        let mut samples: Vec<BatchSample> = Vec::with_capacity(slots.len());
        // Slots without pixels, and the slot each repeats.
        let mut repeats = Vec::new();
        let mut last_good = None;
        for (slot, Filled { pixels, outcome }) in slots.into_iter().enumerate() {
            pieces.push(pixels);
            let (kind, sample_index) = match outcome {
                Outcome::Good(sample_index, view) => {
                    self.state.receipt.record_seen(sample_index);
                    samples.push(self.describe(sample_index, view));
                    last_good = Some(slot);
                    continue;
                }
                Outcome::Bad(sample_index, problem) => {
                    self.quarantine(sample_index, &problem);
                    (SlotKind::Replaced, sample_index)
                }
                Outcome::Padding => {
                    self.state.receipt.record_padded();
                    (SlotKind::Padding, 0)
                }
            };
            repeats.push((slot, last_good));
            let shown = match last_good {
                Some(good) => samples[good],
                None => self.describe(sample_index, self.whole_view(sample_index)),
            };
            samples.push(BatchSample {
                kind,
                loss_weight: 0.0,
                ..shown
            });
        }
        let mut pixels = buffers::rejoin(pieces);
        let bytes = self.config.image_bytes();
        for (slot, good) in repeats {
            let to = slot * bytes;
            match good {
                Some(good) => pixels.copy_within(good * bytes..(good + 1) * bytes, to),
                None => pixels[to..to + bytes].fill(0),
            }
        }
        let (epoch, index_in_epoch) = (self.state.epoch, self.index_in_epoch());
        let step_in_epoch = self.state.position / self.schedule.global_batch;
        let receipt = self.advance();
        Batch {
            pixels,
            buffers: self.buffers.clone(),
            samples,
            width: self.config.out_width,
            height: self.config.out_height,
            epoch,
            index_in_epoch,
            step_in_epoch,
            ends_step: self
                .state
                .position
                .is_multiple_of(self.schedule.global_batch),
            state: self.state.clone(),
            receipt,
        }
    }

    fn describe(&self, sample_index: u64, view: View) -> BatchSample {
        BatchSample {
            sample_index,
            label: self.dataset.sample(sample_index).label,
            loss_weight: 1.0,
            view,
            view_index: 0,
            kind: SlotKind::Sample,
        }
    }

    fn whole_view(&self, sample_index: u64) -> View {
        let sample = self.dataset.sample(sample_index);
        View::plain(CropBox::whole(sample.width as u32, sample.height as u32))
    }

    /// Counts a sample that cannot be used and puts it on the quarantine list.
    fn quarantine(&mut self, sample_index: u64, problem: &SampleProblem) {
        self.state
            .receipt
            .record_skipped(sample_index, problem.kind());
        let sample = self.dataset.sample(sample_index);
        self.state.add_quarantined(Quarantined {
            sample_index,
            shard: self.dataset.shard(sample_index).name.clone(),
            key: sample.key.clone(),
            offset: sample.offset as u64,
            reason: problem.to_string(),
            epoch: self.state.epoch,
        });
    }

    /// Moves on by one batch; at the end of an epoch, closes and returns its receipt.
    fn advance(&mut self) -> Option<Receipt> {
        self.state.position += self.schedule.slots_per_batch;
        if self.state.position < self.schedule.end() {
            return None;
        }
        let (epoch, config) = (self.state.epoch, &self.config);
        let mut receipt = std::mem::replace(&mut self.state.receipt, Receipt::new(epoch + 1));
        let left_over = self
            .order
            .epoch(epoch, self.schedule.end(), config.rank, config.world);
        left_over.for_each(|(_, sample_index)| receipt.record_dropped(sample_index));
        self.state.epoch += 1;
        self.state.position = 0;
        Some(receipt)
    }
}

#[cfg(test)]
mod tests;
