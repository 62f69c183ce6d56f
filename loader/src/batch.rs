use bytes::BytesMut;
use sbam_augment::View;

use crate::buffers::Buffers;
use crate::config::Output;
use crate::receipt::Receipt;
use crate::state::LoaderState;

/// What a slot of a batch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SlotKind {
    /// The sample that the order puts here.
    Sample,
    /// A repetition, because the sample that the order puts here could not be used.
    Replaced,
    /// A repetition, because the epoch's samples are used up.
    Padding,
}

/// Whose pixels a slot shows.
///
/// A replaced or padding slot repeats the nearest good sample before it in the batch, and describes that one. If there is
/// none, its pixels are black and it describes the sample it should have held, or sample 0 for padding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchSample {
    /// The sample's row in the manifest.
    pub sample_index: u64,
    /// Its class index, if it has one.
    pub label: Option<i32>,
    /// 1 for a sample, 0 for what fills a slot.
    pub loss_weight: f32,
    /// What is shown of its photograph.
    pub view: View,
    /// Which view of the sample this is, from 0.
    pub view_index: u32,
    /// What the slot holds.
    pub kind: SlotKind,
}

/// Pixels and descriptions of one micro-batch. Dropping it gives its buffer back to the loader.
#[derive(Debug)]
pub struct Batch {
    pub(crate) pixels: BytesMut,
    pub(crate) buffers: Buffers,
    pub(crate) samples: Vec<BatchSample>,
    pub(crate) output: Output,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) epoch: u64,
    pub(crate) index_in_epoch: u64,
    pub(crate) step_in_epoch: u64,
    pub(crate) ends_step: bool,
    pub(crate) state: LoaderState,
    pub(crate) receipt: Option<Receipt>,
}

impl Batch {
    /// The pixels, red, green, blue: `[batch, height, width, 3]`. With [`Output::F32`] the bytes of the numbers.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The normalised numbers, in the layout of [`Output::F32`]; `None` with [`Output::U8`].
    pub fn normalised(&self) -> Option<&[f32]> {
        match self.output {
            Output::U8 => None,
            Output::F32 { .. } => bytemuck::try_cast_slice(&self.pixels).ok(),
        }
    }

    /// One description for each slot: `[batch]`.
    pub fn samples(&self) -> &[BatchSample] {
        &self.samples
    }

    /// Width of the images in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height of the images in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The epoch, from 0.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The batch's number among the rank's batches of the epoch, from 0.
    pub fn index_in_epoch(&self) -> u64 {
        self.index_in_epoch
    }

    /// The number of its optimiser step in the epoch, from 0.
    pub fn step_in_epoch(&self) -> u64 {
        self.step_in_epoch
    }

    /// Whether it is the last batch of its optimiser step.
    pub fn ends_step(&self) -> bool {
        self.ends_step
    }

    /// Whether it is the last batch of its epoch.
    pub fn ends_epoch(&self) -> bool {
        self.receipt.is_some()
    }

    /// Where a loader goes on after this batch.
    pub fn state(&self) -> &LoaderState {
        &self.state
    }

    /// What became of the epoch's samples on this rank; on the epoch's last batch.
    pub fn receipt(&self) -> Option<&Receipt> {
        self.receipt.as_ref()
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.buffers.give(std::mem::take(&mut self.pixels));
    }
}
