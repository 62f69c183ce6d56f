//! Examples to run, read and copy from.
//!
//! - `read_batches.rs`: the loader by itself, with a resume in the middle
//! - `photograph_boxes.rs`: boxes of every image against its whole decode, and views with the pixels they are made of
//! - `dump_views.rs`: views as safetensors, to compare them with other libraries
//! - `mask_tokens.rs`: salience, ratio and mask of pictures, by the model crate by itself
//! - `configs/`: ready configurations for `trainer run`
//! - `analysis/`: SQL and Python over a run's mask log
