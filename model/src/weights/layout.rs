//! MAE's parameter names and PyTorch's layouts.
//!
//! Matrices of linear layers are `[out, in]` there and `[in, out]` here; the patch embedding is a
//! convolution `[dim, 3, patch, patch]` there and a matrix over `(row, column, channel)` here.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use super::NamedArray;
use crate::{Error, Mae, Result};

/// MAE's name for the parameter at a module path such as `["encoder", "blocks", "0", "norm1", "gamma"]`.
pub fn parameter_name<S: AsRef<str>>(path: &[S]) -> String {
    let mut parts: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
    match parts.last_mut() {
        Some(last @ &mut "gamma") => *last = "weight",
        Some(last @ &mut "beta") => *last = "bias",
        _ => {}
    }
    match parts.split_first() {
        Some((&"encoder", rest)) => rest.join("."),
        Some((&"decoder", ["mask_token"])) => "mask_token".to_owned(),
        Some((&"decoder", rest)) => format!("decoder_{}", rest.join(".")),
        _ => parts.join("."),
    }
}

/// How an array of this name lies in MAE's files.
enum Layout {
    Same,
    Transposed,
    PatchConvolution,
}

fn layout(name: &str, rank: usize) -> Layout {
    if name == "patch_embed.proj.weight" {
        Layout::PatchConvolution
    } else if rank == 2 {
        Layout::Transposed
    } else {
        Layout::Same
    }
}

/// Side of a patch from the number of its pixel values.
fn patch_side(patch_values: usize) -> usize {
    (patch_values / 3).isqrt()
}

/// Turns our layout into MAE's.
fn to_mae(name: String, shape: &[usize], values: &[f32]) -> NamedArray {
    match (layout(&name, shape.len()), shape) {
        (Layout::PatchConvolution, &[inputs, dim]) => {
            let patch = patch_side(inputs);
            let mut out = Vec::with_capacity(values.len());
            for d in 0..dim {
                for c in 0..3 {
                    out.extend((0..patch * patch).map(|pixel| values[(pixel * 3 + c) * dim + d]));
                }
            }
            NamedArray::new(name, [dim, 3, patch, patch], out)
        }
        (Layout::Transposed, &[rows, columns]) => {
            NamedArray::new(name, [columns, rows], transpose(values, rows, columns))
        }
        _ => NamedArray::new(name, shape, values.to_vec()),
    }
}

/// Turns MAE's layout into ours, whose shape is `shape`; `None` if the shape does not fit.
fn from_mae(array: &NamedArray, shape: &[usize]) -> Option<Vec<f32>> {
    match (layout(&array.name, shape.len()), shape) {
        (Layout::PatchConvolution, &[inputs, dim]) => {
            let patch = patch_side(inputs);
            (array.shape == [dim, 3, patch, patch]).then(|| {
                let mut out = Vec::with_capacity(array.values.len());
                for pixel in 0..patch * patch {
                    for c in 0..3 {
                        out.extend(
                            (0..dim).map(|d| array.values[(d * 3 + c) * patch * patch + pixel]),
                        );
                    }
                }
                out
            })
        }
        (Layout::Transposed, &[rows, columns]) => {
            (array.shape == [columns, rows]).then(|| transpose(&array.values, columns, rows))
        }
        _ => (array.shape == shape).then(|| array.values.clone()),
    }
}

fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for column in 0..columns {
        out.extend((0..rows).map(|row| values[row * columns + column]));
    }
    out
}

/// Every parameter of the model, positions included, under MAE's names and in its layout.
pub fn to_arrays(model: &Mae) -> Vec<NamedArray> {
    struct Collect {
        path: Vec<String>,
        arrays: Vec<NamedArray>,
    }
    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let data = param.val().into_data();
            let shape: Vec<usize> = data.shape().to_vec();
            let values: Vec<f32> = data.try_into_vec().expect("parameters are f32");
            self.arrays
                .push(to_mae(parameter_name(&self.path), &shape, &values));
        }
    }
    let mut collect = Collect {
        path: Vec::new(),
        arrays: Vec::new(),
    };
    model.visit(&mut collect);
    collect.arrays
}

/// The model with every parameter replaced by the array of its MAE name.
///
/// # Errors
/// [`Error::WeightMismatch`] if a parameter has no array, an array has no parameter, or a shape
/// differs: never a silent partial load.
pub fn load_arrays(model: Mae, mut arrays: BTreeMap<String, NamedArray>) -> Result<Mae> {
    struct Load<'a> {
        path: Vec<String>,
        arrays: &'a mut BTreeMap<String, NamedArray>,
        missing: Vec<String>,
        wrong_shape: Vec<String>,
    }
    impl ModuleMapper for Load<'_> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let name = parameter_name(&self.path);
            let Some(array) = self.arrays.remove(&name) else {
                self.missing.push(name);
                return param;
            };
            let trained = param.is_require_grad();
            let shape = param.lazy_shape().to_vec();
            let Some(values) = from_mae(&array, &shape) else {
                self.wrong_shape.push(format!(
                    "{name} is {:?}, the model's lies as {shape:?}",
                    array.shape
                ));
                return param;
            };
            param.map(|old| {
                let data = TensorData::new(values, shape);
                let new = Tensor::from_data(data, &old.device());
                if old.is_autodiff() {
                    new.set_require_grad(trained)
                } else {
                    new
                }
            })
        }
    }
    let mut load = Load {
        path: Vec::new(),
        arrays: &mut arrays,
        missing: Vec::new(),
        wrong_shape: Vec::new(),
    };
    let model = model.map(&mut load);
    let (missing, wrong_shape) = (load.missing, load.wrong_shape);
    let unexpected: Vec<String> = arrays.into_keys().collect();
    let problems: Vec<String> = [
        ("missing", missing),
        ("wrong shape", wrong_shape),
        ("unexpected", unexpected),
    ]
    .into_iter()
    .filter(|(_, names)| !names.is_empty())
    .map(|(kind, names)| format!("{kind}: {}", names.join(", ")))
    .collect();
    if problems.is_empty() {
        Ok(model)
    } else {
        Err(Error::WeightMismatch(problems.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::weights::{read_safetensors, write_safetensors};
    use crate::{ImageSize, MaeConfig, Preset};

    fn small() -> MaeConfig {
        MaeConfig {
            image_size: ImageSize::Rectangle([16, 24]),
            patch_size: 4,
            dim: 16,
            depth: 2,
            heads: 2,
            decoder_dim: 8,
            decoder_depth: 1,
            decoder_heads: 2,
            norm_pix_loss: true,
        }
    }

    #[test]
    fn names_and_shapes_are_those_of_the_mae_state_dict() {
        let model = Mae::new(&small(), 0, &Device::flex()).expect("valid");
        let arrays: BTreeMap<String, Vec<usize>> = to_arrays(&model)
            .into_iter()
            .map(|array| (array.name, array.shape))
            .collect();
        for (name, shape) in [
            ("cls_token", vec![1, 1, 16]),
            ("pos_embed", vec![1, 25, 16]),
            ("patch_embed.proj.weight", vec![16, 3, 4, 4]),
            ("blocks.1.attn.qkv.weight", vec![48, 16]),
            ("blocks.0.mlp.fc1.weight", vec![64, 16]),
            ("blocks.0.norm1.weight", vec![16]),
            ("norm.bias", vec![16]),
            ("decoder_embed.weight", vec![8, 16]),
            ("mask_token", vec![1, 1, 8]),
            ("decoder_pos_embed", vec![1, 25, 8]),
            ("decoder_blocks.0.attn.proj.bias", vec![8]),
            ("decoder_norm.weight", vec![8]),
            ("decoder_pred.weight", vec![48, 8]),
        ] {
            assert_eq!(arrays.get(name), Some(&shape), "{name}");
        }
        // 4 of the encoder around its blocks, 12 a block, 2 of its norm; 4 + 12 + 2 + 2 of the decoder.
        assert_eq!(arrays.len(), 4 + 2 * 12 + 2 + 4 + 12 + 2 + 2);
    }

    #[test]
    fn a_model_survives_the_round_trip_bit_for_bit() {
        let device = Device::flex();
        let from = to_arrays(&Mae::new(&small(), 1, &device).expect("valid"));
        let bytes = write_safetensors(&from, std::collections::HashMap::new()).expect("written");
        let other = Mae::new(&small(), 2, &device).expect("valid");
        assert_ne!(to_arrays(&other), from);
        let loaded = load_arrays(other, read_safetensors(&bytes).expect("read")).expect("fits");
        assert_eq!(to_arrays(&loaded), from);
    }

    #[test]
    fn a_partial_load_is_an_error_that_names_what_is_wrong() {
        let device = Device::flex();
        let model = || Mae::new(&small(), 1, &device).expect("valid");
        let mut arrays: BTreeMap<String, NamedArray> = to_arrays(&model())
            .into_iter()
            .map(|array| (array.name.clone(), array))
            .collect();
        arrays.remove("norm.bias");
        arrays.insert(
            "head.weight".to_owned(),
            NamedArray::new("head.weight", [1], vec![0.0]),
        );
        arrays.insert(
            "cls_token".to_owned(),
            NamedArray::new("cls_token", [1, 1, 4], vec![0.0; 4]),
        );
        let message = load_arrays(model(), arrays)
            .expect_err("does not fit")
            .to_string();
        for part in [
            "missing: norm.bias",
            "unexpected: head.weight",
            "cls_token is [1, 1, 4]",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn initial_values_depend_on_the_seed_alone() {
        let config = MaeConfig {
            depth: 1,
            decoder_depth: 1,
            ..Preset::Mini.config()
        };
        let arrays = |seed| to_arrays(&Mae::new(&config, seed, &Device::flex()).expect("valid"));
        assert_eq!(arrays(3), arrays(3));
        assert_ne!(arrays(3), arrays(4));
    }
}
