//! Named f32 arrays and their safetensors form.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use safetensors::{Dtype, SafeTensors, View};

use crate::{Error, Result};

/// A named array of f32 in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedArray {
    /// The name under which it is stored.
    pub name: String,
    /// The extent of every dimension.
    pub shape: Vec<usize>,
    /// The values, last dimension fastest.
    pub values: Vec<f32>,
}

impl NamedArray {
    /// # Panics
    /// If the number of values is not the product of `shape`.
    pub fn new(name: impl Into<String>, shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Self {
        let (name, shape) = (name.into(), shape.into());
        assert_eq!(
            values.len(),
            shape.iter().product::<usize>(),
            "{name}: values do not fill {shape:?}"
        );
        Self {
            name,
            shape,
            values,
        }
    }
}

impl View for &NamedArray {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(
            self.values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        )
    }

    fn data_len(&self) -> usize {
        self.values.len() * size_of::<f32>()
    }
}

/// The bytes of a safetensors file with these arrays and this metadata.
///
/// # Errors
/// If two arrays share a name.
pub fn write_safetensors(
    arrays: &[NamedArray],
    metadata: HashMap<String, String>,
) -> Result<Vec<u8>> {
    let metadata = (!metadata.is_empty()).then_some(metadata);
    Ok(safetensors::serialize(
        arrays.iter().map(|array| (array.name.as_str(), array)),
        metadata,
    )?)
}

/// The arrays of a safetensors file, by name.
///
/// # Errors
/// If the bytes are no safetensors file or an array is not f32.
pub fn read_safetensors(bytes: &[u8]) -> Result<BTreeMap<String, NamedArray>> {
    let file = SafeTensors::deserialize(bytes)?;
    file.iter()
        .map(|(name, view)| {
            if view.dtype() != Dtype::F32 {
                let problem = format!("{name} is {:?}; only F32 arrays are read", view.dtype());
                return Err(Error::WeightMismatch(problem));
            }
            let (chunks, _) = view.data().as_chunks::<4>();
            let values = chunks
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect();
            Ok((
                name.to_owned(),
                NamedArray::new(name, view.shape().to_vec(), values),
            ))
        })
        .collect()
}
