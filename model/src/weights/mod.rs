//! A model's weights as named arrays, under MAE's names and in PyTorch's layout.
//!
//! [`to_arrays`] and [`load_arrays`] go between a [`Mae`](crate::Mae) and arrays;
//! [`NamedArray`] reads and writes safetensors.

mod array;
mod layout;

pub use array::{NamedArray, read_safetensors, write_safetensors};
pub use layout::{load_arrays, parameter_name, to_arrays};
