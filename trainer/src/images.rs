//! From u8 pixels on the host to normalised patches on the device.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use sbam_model::patchify;

/// ImageNet's channel means, of pixels in `[0, 1]`.
pub(crate) const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// ImageNet's channel standard deviations, of pixels in `[0, 1]`.
pub(crate) const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Uploads pixels and turns them into normalised patches.
///
/// # Shapes
/// - `pixels`: `[batch, height, width, 3]`
/// - output: `[batch, tokens, patch² · 3]`
pub(crate) fn upload_patches(
    pixels: &[u8],
    [height, width]: [usize; 2],
    patch: usize,
    device: &Device,
) -> Tensor<3> {
    let batch = pixels.len() / (height * width * 3);
    let levels = upload_levels(pixels, [batch, height, width, 3], device);
    let scale = channels(STD.map(|std| 1.0 / (255.0 * std)), device);
    let shift = channels([0, 1, 2].map(|c| -MEAN[c] / STD[c]), device);
    patchify(levels * scale + shift, patch)
}

fn channels(values: [f32; 3], device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values.to_vec(), [1, 1, 1, 3]), device)
}

/// Pixel levels 0–255 as f32. A quarter of the bytes go over where the device has u8 tensors.
fn upload_levels(pixels: &[u8], shape: [usize; 4], device: &Device) -> Tensor<4> {
    if device.supports_dtype(DType::U8) {
        Tensor::<4, Int>::from_data(TensorData::new(pixels.to_vec(), shape), (device, DType::U8))
            .float()
            .cast(DType::F32)
    } else {
        let levels: Vec<f32> = pixels.iter().map(|level| f32::from(*level)).collect();
        Tensor::from_data(TensorData::new(levels, shape), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_normalised_by_channel() {
        let pixels: Vec<u8> = (0..2 * 4 * 6 * 3)
            .map(|index| (index * 7 % 256) as u8)
            .collect();
        let patches = upload_patches(&pixels, [4, 6], 2, &Device::flex());
        assert_eq!(patches.dims(), [2, 6, 12]);
        let values: Vec<f32> = patches.into_data().try_into_vec().expect("f32");
        // Patch 0 of image 0: pixels (0,0), (0,1), (1,0), (1,1), three channels each.
        for (slot, (y, x)) in [(0, 0), (0, 1), (1, 0), (1, 1)].into_iter().enumerate() {
            for c in 0..3 {
                let level = f32::from(pixels[(y * 6 + x) * 3 + c]);
                let expected = (level / 255.0 - MEAN[c]) / STD[c];
                assert!((values[slot * 3 + c] - expected).abs() < 1e-5);
            }
        }
    }
}
