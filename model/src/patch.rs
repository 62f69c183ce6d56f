//! Between images and patches.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;

use crate::MaeConfig;
use crate::init::Init;

/// Cuts images into patches, each a row of pixel values in the order (row, column, channel).
///
/// # Shapes
/// - `images`: `[batch, height, width, 3]`
/// - output: `[batch, tokens, patch² · 3]`, tokens row by row (MAE's `patchify` of the same image)
pub fn patchify(images: Tensor<4>, patch: usize) -> Tensor<3> {
    let [batch, height, width, channels] = images.dims();
    let (rows, columns) = (height / patch, width / patch);
    images
        .reshape([batch, rows, patch, columns, patch, channels])
        .permute([0, 1, 3, 2, 4, 5])
        .reshape([batch, rows * columns, patch * patch * channels])
}

/// Joins patches into images: the inverse of [`patchify`].
///
/// # Shapes
/// - `patches`: `[batch, rows · columns, patch² · 3]`
/// - output: `[batch, rows · patch, columns · patch, 3]`
pub fn unpatchify(patches: Tensor<3>, patch: usize, [rows, columns]: [usize; 2]) -> Tensor<4> {
    let [batch, _, values] = patches.dims();
    let channels = values / (patch * patch);
    patches
        .reshape([batch, rows, columns, patch, patch, channels])
        .permute([0, 1, 3, 2, 4, 5])
        .reshape([batch, rows * patch, columns * patch, channels])
}

/// Normalises each patch by its own mean and unbiased variance, eps 1e-6 (MAE's `norm_pix_loss`).
///
/// # Shapes
/// - `patches`, output: `[batch, tokens, values]`
pub fn normalise_pixels(patches: Tensor<3>) -> Tensor<3> {
    let (variance, mean) = patches.clone().var_mean(2);
    (patches - mean) / variance.add_scalar(1e-6).sqrt()
}

/// Linear embedding of patches; the convolution of other implementations, with its weight reordered.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    proj: Linear,
}

impl PatchEmbed {
    pub(crate) fn new(config: &MaeConfig, init: &Init<'_>) -> Self {
        Self {
            proj: init.child("proj").linear(config.patch_values(), config.dim),
        }
    }

    /// # Shapes
    /// - `patches`: `[batch, tokens, patch² · 3]`
    /// - output: `[batch, tokens, dim]`
    pub fn forward(&self, patches: Tensor<3>) -> Tensor<3> {
        self.proj.forward(patches)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    #[test]
    fn equals_the_reference_definition() {
        // 1 × 4 × 6 × 3 with value = index in NCHW order, patch 2; from tests/golden/positions_and_patches.py.
        let golden: Vec<f32> = include_str!("../tests/golden/patchify_4x6_patch2.txt")
            .split_whitespace()
            .map(|value| value.parse().expect("a number"))
            .collect();
        let values: Vec<f32> = (0..72u8).map(f32::from).collect();
        let images = Tensor::<4>::from_data(TensorData::new(values, [1, 3, 4, 6]), &Device::flex())
            .permute([0, 2, 3, 1]);
        let patches: Vec<f32> = patchify(images, 2).into_data().try_into_vec().expect("f32");
        assert_eq!(patches, golden);
    }

    #[test]
    fn unpatchify_inverts_patchify() {
        let values: Vec<f32> = (0..2 * 6 * 9 * 3).map(|v| v as f32).collect();
        let images = Tensor::<4>::from_data(TensorData::new(values, [2, 6, 9, 3]), &Device::flex());
        let back = unpatchify(patchify(images.clone(), 3), 3, [2, 3]);
        back.into_data().assert_eq(&images.into_data(), true);
    }

    #[test]
    fn a_constant_patch_stays_finite() {
        let flat = Tensor::<3>::full([1, 2, 12], 0.7, &Device::flex());
        let values: Vec<f32> = normalise_pixels(flat)
            .into_data()
            .try_into_vec()
            .expect("f32");
        assert!(values.iter().all(|value| value.abs() < 1e-3), "{values:?}");
    }
}
