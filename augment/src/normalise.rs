use crate::{CHANNELS, Error, Result};

/// ImageNet's mean of red, green and blue, of values from 0 to 1; torchvision's and the MAE reference's.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];

/// ImageNet's standard deviation of red, green and blue, of values from 0 to 1; torchvision's and the MAE reference's.
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// The order of an output's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `[height, width, 3]`, as in the image.
    Interleaved,
    /// `[3, height, width]`, as PyTorch's convolutions read it.
    Planar,
}

/// Turns 8-bit pixels into normalised f32, for hosts that do it before the device.
///
/// The result is `(level / 255 − mean) / std` per channel, bit for bit that of torchvision's
/// `ToDtype(float32, scale=True)` and `Normalize`: there are only 3 × 256 results, so they are worked out once.
#[derive(Debug, Clone)]
pub struct Normalize {
    /// `[channel][level]`
    table: [[f32; 256]; CHANNELS],
}

impl Normalize {
    /// A normalisation by a mean and a standard deviation per channel, of values from 0 to 1. Both must be finite, and
    /// the standard deviation above 0.
    pub fn new(mean: [f32; 3], std: [f32; 3]) -> Result<Self> {
        for (mean, std) in mean.into_iter().zip(std) {
            if !(mean.is_finite() && std.is_finite() && std > 0.0) {
                return Err(Error::Normalisation { mean, std });
            }
        }
        // torchvision multiplies with the reciprocal, and divides by the deviation.
        let result = |channel: usize, level: usize| {
            (level as f32 * (1.0 / 255.0) - mean[channel]) / std[channel]
        };
        Ok(Self {
            table: std::array::from_fn(|channel| {
                std::array::from_fn(|level| result(channel, level))
            }),
        })
    }

    /// ImageNet's normalisation, [`IMAGENET_MEAN`] and [`IMAGENET_STD`].
    ///
    /// # Panics
    /// Never.
    pub fn imagenet() -> Self {
        Self::new(IMAGENET_MEAN, IMAGENET_STD).expect("ImageNet's deviations are above 0")
    }

    /// Writes the normalised pixels of `rgb` into `out`.
    ///
    /// # Shapes
    /// - `rgb`: `[height, width, 3]`
    /// - `out`: `[height, width, 3]` or `[3, height, width]`, as `layout` says
    ///
    /// # Errors
    /// If `rgb` does not consist of whole pixels, or `out` does not have as many numbers as `rgb`.
    pub fn apply(&self, rgb: &[u8], layout: Layout, out: &mut [f32]) -> Result<()> {
        let (pixels, rest) = rgb.as_chunks::<CHANNELS>();
        if !rest.is_empty() || out.len() != rgb.len() {
            return Err(Error::NormalisedSize {
                bytes: rgb.len(),
                numbers: out.len(),
            });
        }
        let [reds, greens, blues] = &self.table;
        match layout {
            Layout::Interleaved => {
                let (out, _) = out.as_chunks_mut::<CHANNELS>();
                for (out, &[red, green, blue]) in out.iter_mut().zip(pixels) {
                    *out = [
                        reds[usize::from(red)],
                        greens[usize::from(green)],
                        blues[usize::from(blue)],
                    ];
                }
            }
            Layout::Planar => {
                let (red_plane, rest) = out.split_at_mut(pixels.len());
                let (green_plane, blue_plane) = rest.split_at_mut(pixels.len());
                let planes = red_plane.iter_mut().zip(green_plane).zip(blue_plane);
                for (((r, g), b), &[red, green, blue]) in planes.zip(pixels) {
                    *r = reds[usize::from(red)];
                    *g = greens[usize::from(green)];
                    *b = blues[usize::from(blue)];
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_layouts_hold_the_formula(rgb in prop::collection::vec(any::<[u8; 3]>(), 0..80)) {
            let (normalise, n) = (Normalize::imagenet(), rgb.len());
            let (mut interleaved, mut planar) = (vec![9.0; n * 3], vec![9.0; n * 3]);
            normalise.apply(rgb.as_flattened(), Layout::Interleaved, &mut interleaved).unwrap();
            normalise.apply(rgb.as_flattened(), Layout::Planar, &mut planar).unwrap();
            for (at, pixel) in rgb.iter().enumerate() {
                for channel in 0..3 {
                    let expected = (f64::from(pixel[channel]) / 255.0 - f64::from(IMAGENET_MEAN[channel]))
                        / f64::from(IMAGENET_STD[channel]);
                    let found = interleaved[at * 3 + channel];
                    prop_assert!((f64::from(found) - expected).abs() < 1e-6);
                    prop_assert_eq!(found, planar[channel * n + at]);
                }
            }
        }
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let normalise = Normalize::imagenet();
        for (bytes, numbers) in [(4, 4), (6, 3), (3, 6)] {
            let applied = normalise.apply(&vec![0; bytes], Layout::Planar, &mut vec![0.0; numbers]);
            assert_eq!(applied, Err(Error::NormalisedSize { bytes, numbers }));
        }
        for std in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(Normalize::new(IMAGENET_MEAN, [1.0, std, 1.0]).is_err());
        }
        assert!(Normalize::new([f32::NAN; 3], IMAGENET_STD).is_err());
    }
}
