use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam::channel::{Receiver, Sender, bounded};
use sbam_augment::{CropBox, View};

use crate::batch::{Batch, BatchSample, SlotKind};
use crate::buffers::{self, Buffers};
use crate::byte_budget::ByteBudget;
use crate::config::{LoaderConfig, OnError};
use crate::dataset::Dataset;
use crate::dispatcher::Dispatcher;
use crate::error::{Error, Result, SampleProblem};
use crate::fetcher::{Fetch, Fetched, Fetcher};
use crate::jpeg_buffers::JpegBuffers;
use crate::meters::{LoaderStats, Meters, count};
use crate::order::Order;
use crate::receipt::Receipt;
use crate::schedule::Schedule;
use crate::state::{LoaderState, Quarantined};
use crate::worker::{Done, Filled, Job, Outcome, Worker};

/// Reads a data set as batches of pixels, epoch after epoch.
///
/// A dispatcher thread walks the [`Order`] and cuts batch buffers into slots; fetch threads read each slot's sample;
/// decode threads decode and resize it into its slot; [`next_batch`](Self::next_batch) puts finished slots together.
/// Which batches come, and every byte of them, depends on data set, configuration and state alone, not on the
/// number of threads. Memory is bounded, see [`LoaderConfig::memory`].
///
/// Dropping a loader ends and joins its threads, each after the slot it is working on.
pub struct Loader {
    dataset: Arc<Dataset>,
    config: LoaderConfig,
    schedule: Schedule,
    order: Arc<Order>,
    buffers: Buffers,
    meters: Arc<Meters>,
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
    fn new(slots: usize) -> Self {
        Self {
            slots: (0..slots).map(|_| None).collect(),
            missing: slots,
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
    /// What is read and waits for a decode thread; to look at, not to take from.
    fetched: Receiver<Fetched>,
    budget: Arc<ByteBudget>,
    threads: Vec<JoinHandle<()>>,
}

/// The threads' ends of the channels, and both of those between threads.
struct ThreadEnds {
    jobs: (Sender<Job>, Receiver<Job>),
    fetched: (Sender<Fetched>, Receiver<Fetched>),
    done: Sender<Done>,
    in_preparation: Sender<()>,
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // With its receivers gone and no more room to be had, every thread fails its next send and returns.
        self.fetched = crossbeam::channel::never();
        self.budget.close();
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
            meters: Arc::default(),
            state,
        };
        loader.pipeline = Some(loader.start_threads(fetch)?);
        Ok(loader)
    }

    fn start_threads(&self, fetch: &Fetch) -> Result<Pipeline> {
        let config = &self.config;
        // Every slot in preparation fits, so that no decode thread ever waits for the caller to take its result.
        let slots = config.prefetch_batches * config.batch_samples();
        let jobs = bounded(slots);
        let fetched = bounded(config.fetched_ahead());
        let done = bounded(slots);
        let in_preparation = bounded(config.prefetch_batches);
        let mut pipeline = Pipeline {
            done: done.1,
            in_preparation: in_preparation.1,
            fetched: fetched.1.clone(),
            budget: ByteBudget::new(config.fetch_ahead_bytes),
            threads: Vec::with_capacity(config.threads + config.fetch_threads + 1),
        };
        let ends = ThreadEnds {
            jobs,
            fetched,
            done: done.0,
            in_preparation: in_preparation.0,
        };
        self.spawn(&mut pipeline, ends, fetch)?;
        Ok(pipeline)
    }

    /// Starts every thread. Owns the ends that threads take copies of: if one cannot be started, they are gone before
    /// the others, who wait for them, are joined.
    fn spawn(&self, pipeline: &mut Pipeline, ends: ThreadEnds, fetch: &Fetch) -> Result<()> {
        let config = &self.config;
        let budget = Arc::clone(&pipeline.budget);
        let mut spawn = |name: String, run: Box<dyn FnOnce() + Send>| {
            let thread = std::thread::Builder::new()
                .name(name.clone())
                .spawn(run)
                .map_err(|e| Error::io("start thread", name.as_ref(), e))?;
            pipeline.threads.push(thread);
            Ok(())
        };
        for index in 0..config.threads {
            let worker = Worker::new(config, &self.dataset, &self.meters)?;
            let (fetched, done) = (ends.fetched.1.clone(), ends.done.clone());
            let run = Box::new(move || worker.run(&fetched, &done));
            spawn(format!("decode-{index}"), run)?;
        }
        let jpegs = JpegBuffers::default();
        for index in 0..config.fetch_threads {
            let fetcher = Fetcher {
                dataset: Arc::clone(&self.dataset),
                fetch: Arc::clone(fetch),
                buffers: jpegs.clone(),
                meters: Arc::clone(&self.meters),
            };
            let (jobs, fetched) = (ends.jobs.1.clone(), ends.fetched.0.clone());
            let run = Box::new(move || fetcher.run(&jobs, &fetched));
            spawn(format!("fetch-{index}"), run)?;
        }
        let dispatcher = Dispatcher {
            config: config.clone(),
            schedule: self.schedule,
            order: Arc::clone(&self.order),
            dataset: Arc::clone(&self.dataset),
            buffers: self.buffers.clone(),
            budget,
            jobs: ends.jobs.0,
            in_preparation: ends.in_preparation,
        };
        let (epoch, position) = (self.state.epoch, self.state.position);
        spawn(
            "order".to_owned(),
            Box::new(move || dispatcher.run(epoch, position)),
        )
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

    /// What the loader has done since it was started.
    pub fn stats(&self) -> LoaderStats {
        self.meters
            .read(self.config.threads, self.config.fetch_threads)
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
        let start = Instant::now();
        loop {
            if let Some(complete) = self.pending.pop_front_if(|batch| batch.missing == 0) {
                self.meters.caller_waits.add_since(start);
                count(&self.meters.batches, 1);
                let ahead = self.pending.iter().filter(|batch| batch.missing == 0);
                count(&self.meters.batches_ahead, ahead.count() as u64);
                count(
                    &self.meters.fetched_samples_ahead,
                    pipeline.fetched.len() as u64,
                );
                // Only now may another batch enter: what is in preparation and what is pending are the same batches.
                pipeline.in_preparation.recv().map_err(|_| ended())?;
                self.next += 1;
                return Ok(complete.slots.into_iter().flatten().collect());
            }
            let done = pipeline.done.recv().map_err(|_| ended())?;
            let ahead = (done.batch - self.next) as usize;
            while self.pending.len() <= ahead {
                self.pending
                    .push_back(Pending::new(self.config.batch_samples()));
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
        let views = self.config.views as usize;
        let mut pieces = Vec::with_capacity(slots.len());
        let mut samples: Vec<BatchSample> = Vec::with_capacity(slots.len() * views);
        // Slots without pixels, and the slot each repeats.
        let mut repeats = Vec::new();
        let mut last_good = None;
        for (slot, Filled { pixels, outcome }) in slots.into_iter().enumerate() {
            pieces.push(pixels);
            let (kind, sample_index) = match outcome {
                Outcome::Good(sample_index) => {
                    self.state.receipt.record_seen(sample_index);
                    self.describe(sample_index, &mut samples);
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
            for view_index in 0..views {
                let shown = match last_good {
                    Some(good) => samples[good * views + view_index],
                    None => self.undecoded(sample_index, view_index as u32),
                };
                samples.push(BatchSample {
                    kind,
                    loss_weight: 0.0,
                    ..shown
                });
            }
        }
        let mut pixels = buffers::rejoin(pieces);
        let bytes = self.config.image_bytes() * views;
        for (slot, good) in repeats {
            let to = slot * bytes;
            match good {
                Some(good) => pixels.copy_within(good * bytes..(good + 1) * bytes, to),
                None => pixels[to..to + bytes].fill(0),
            }
        }
        let (epoch, index_in_epoch) = (self.state.epoch, self.index_in_epoch());
        let step_in_epoch = self.state.position / self.schedule.slots_per_step;
        let receipt = self.advance();
        Batch {
            pixels,
            buffers: self.buffers.clone(),
            samples,
            output: self.config.output,
            width: self.config.out_width,
            height: self.config.out_height,
            epoch,
            index_in_epoch,
            step_in_epoch,
            ends_step: self
                .state
                .position
                .is_multiple_of(self.schedule.slots_per_step),
            state: self.state.clone(),
            receipt,
        }
    }

    /// Adds the descriptions of a sample's images: its views are what they were drawn as when they were rendered.
    fn describe(&self, sample_index: u64, into: &mut Vec<BatchSample>) {
        let sample = self.dataset.sample(sample_index);
        let (width, height) = (sample.width as u32, sample.height as u32);
        let views = self
            .config
            .views_of(self.state.epoch, sample_index, width, height);
        into.extend(views.zip(0..).map(|(view, view_index)| BatchSample {
            sample_index,
            label: sample.label,
            loss_weight: 1.0,
            view,
            view_index,
            kind: SlotKind::Sample,
        }));
    }

    /// The description of a slot that shows nothing.
    fn undecoded(&self, sample_index: u64, view_index: u32) -> BatchSample {
        let sample = self.dataset.sample(sample_index);
        BatchSample {
            sample_index,
            label: sample.label,
            loss_weight: 0.0,
            view: View::plain(CropBox::whole(sample.width as u32, sample.height as u32)),
            view_index,
            kind: SlotKind::Padding,
        }
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
