//! The mask log: one Parquet row per sample, view and step, saying what was masked and why.
//!
//! Rows are made beside the training step ([`StepRows`]) and written by a thread of their own
//! behind a bounded queue ([`MaskLog`]), in parts that end at a checkpoint at the latest.

mod part;
mod policy;
mod rows;
mod writer;

pub(crate) use policy::MaskLogPolicy;
pub(crate) use rows::{LogContext, SampleRow, StepRows};
pub(crate) use writer::{MaskLog, remove_parts_from};
