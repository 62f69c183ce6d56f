use crate::{Draws, Error, Result};

/// A rectangle of whole pixels inside an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CropBox {
    /// The first column.
    pub x: u32,
    /// The first row.
    pub y: u32,
    /// The number of columns.
    pub width: u32,
    /// The number of rows.
    pub height: u32,
}

impl CropBox {
    /// The box that covers an image of `width` by `height`.
    pub const fn whole(width: u32, height: u32) -> Self {
        Self {
            x: 0,
            y: 0,
            width,
            height,
        }
    }

    /// The box of `box_width` by `box_height`, cut down to the image, in the middle of it; when it cannot
    /// be in the middle exactly, half a pixel to the left and up.
    pub fn central(width: u32, height: u32, box_width: u32, box_height: u32) -> Self {
        let (box_width, box_height) = (box_width.min(width), box_height.min(height));
        Self {
            x: (width - box_width) / 2,
            y: (height - box_height) / 2,
            width: box_width,
            height: box_height,
        }
    }

    /// Whether the box has pixels and lies inside an image of `width` by `height`.
    pub fn lies_inside(&self, width: u32, height: u32) -> bool {
        let fits = |start: u32, length: u32, limit: u32| {
            length > 0 && start.checked_add(length).is_some_and(|end| end <= limit)
        };
        fits(self.x, self.width, width) && fits(self.y, self.height, height)
    }
}

/// A random part of an image, of random area and aspect ratio.
///
/// Follows `torchvision.transforms.RandomResizedCrop.get_params`: up to ten tries of an area drawn uniformly and
/// an aspect ratio drawn log-uniformly, both sides rounded (half to even, as Python's `round`), at a position drawn
/// uniformly over all places where the box fits; then the largest central box whose ratio is within bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomResizedCrop {
    /// Bounds of the box's share of the image's area.
    pub scale: [f64; 2],
    /// Bounds of the box's width divided by its height.
    pub ratio: [f64; 2],
}

impl Default for RandomResizedCrop {
    /// The MAE reference's pre-training recipe: scale 0.2 to 1, ratio 3/4 to 4/3.
    fn default() -> Self {
        Self {
            scale: [0.2, 1.0],
            ratio: [3.0 / 4.0, 4.0 / 3.0],
        }
    }
}

/// torchvision's number of tries before it falls back to a central box.
const TRIES: u32 = 10;

impl RandomResizedCrop {
    /// Checks that both ranges can be drawn from.
    pub fn check(&self) -> Result<()> {
        let range = |name, [low, high]: [f64; 2], rule, highest: f64| {
            if low > 0.0 && low <= high && high <= highest {
                Ok(())
            } else {
                Err(Error::Range {
                    name,
                    low,
                    high,
                    rule,
                })
            }
        };
        range("crop scale", self.scale, "0 < low <= high <= 1", 1.0)?;
        range("crop ratio", self.ratio, "0 < low <= high", f64::MAX)
    }

    /// Draws the box for an image of `width` by `height` pixels, both at least 1. It always lies inside.
    pub fn draw(&self, width: u32, height: u32, draws: &mut Draws) -> CropBox {
        let area = f64::from(width) * f64::from(height);
        for _ in 0..TRIES {
            let target_area = area * draws.uniform_in(self.scale[0], self.scale[1]);
            let aspect_ratio = draws
                .uniform_in(self.ratio[0].ln(), self.ratio[1].ln())
                .exp();
            // `as` saturates, so an absurd ratio becomes a box that does not fit.
            let crop_width = (target_area * aspect_ratio).sqrt().round_ties_even() as u32;
            let crop_height = (target_area / aspect_ratio).sqrt().round_ties_even() as u32;
            if (1..=width).contains(&crop_width) && (1..=height).contains(&crop_height) {
                // The row before the column, as torchvision draws them.
                let y = draws.below(u64::from(height - crop_height) + 1) as u32;
                let x = draws.below(u64::from(width - crop_width) + 1) as u32;
                return CropBox {
                    x,
                    y,
                    width: crop_width,
                    height: crop_height,
                };
            }
        }
        self.fallback(width, height)
    }

    /// The largest central box whose ratio is within bounds.
    fn fallback(&self, width: u32, height: u32) -> CropBox {
        let image_ratio = f64::from(width) / f64::from(height);
        // At least one pixel: torchvision would return an empty box for bounds that exclude a square.
        let side = |length: f64| (length.round_ties_even() as u32).max(1);
        let (crop_width, crop_height) = if image_ratio < self.ratio[0] {
            (width, side(f64::from(width) / self.ratio[0]))
        } else if image_ratio > self.ratio[1] {
            (side(f64::from(height) * self.ratio[1]), height)
        } else {
            (width, height)
        };
        CropBox::central(width, height, crop_width, crop_height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DrawKey, Purpose};
    use proptest::prelude::*;

    fn draws(seed: u64) -> Draws {
        Draws::new(DrawKey {
            seed,
            epoch: 0,
            sample_index: 0,
            view: 0,
            purpose: Purpose::Crop,
        })
    }

    proptest! {
        #[test]
        fn the_box_lies_inside_the_image(
            seed: u64,
            width in prop_oneof![1_u32..600, Just(65_535), Just(1)],
            height in prop_oneof![1_u32..600, Just(65_535), Just(1)],
            low in 0.001..1.0_f64,
            ratio in 0.01..100.0_f64,
            spread in 1.0..10.0_f64,
        ) {
            let crop = RandomResizedCrop { scale: [low, 1.0], ratio: [ratio, ratio * spread] };
            crop.check().unwrap();
            let drawn = crop.draw(width, height, &mut draws(seed));
            prop_assert!(drawn.lies_inside(width, height), "{drawn:?} in {width}x{height}");
        }

        #[test]
        fn area_and_ratio_are_within_bounds(seed: u64) {
            let (width, height) = (500, 375);
            let drawn = RandomResizedCrop::default().draw(width, height, &mut draws(seed));
            let area = f64::from(drawn.width * drawn.height) / f64::from(width * height);
            let ratio = f64::from(drawn.width) / f64::from(drawn.height);
            prop_assert!((0.19..=1.0).contains(&area), "{area}");
            prop_assert!((0.74..=1.35).contains(&ratio), "{ratio}");
        }
    }

    #[test]
    fn areas_are_uniform_and_ratios_log_uniform() {
        let mut draws = draws(5);
        // Small enough to fit always, so that no try is rejected and the plain distributions show.
        let crop = RandomResizedCrop {
            scale: [0.1, 0.5],
            ratio: [3.0 / 4.0, 4.0 / 3.0],
        };
        let (mut area, mut log_ratio, mut x) = (0.0, 0.0, 0.0);
        let n = 20_000;
        for _ in 0..n {
            let drawn = crop.draw(1000, 1000, &mut draws);
            area += f64::from(drawn.width) * f64::from(drawn.height) / 1e6;
            log_ratio += (f64::from(drawn.width) / f64::from(drawn.height)).ln();
            x += f64::from(drawn.x) / f64::from(1000 - drawn.width);
        }
        let n = f64::from(n);
        // Means 0.3, 0 and 0.5; five standard errors.
        assert!((area / n - 0.3).abs() < 0.0041, "{}", area / n);
        assert!((log_ratio / n).abs() < 0.006, "{}", log_ratio / n);
        assert!((x / n - 0.5).abs() < 0.0103, "{}", x / n);
    }

    /// Values of torchvision's formula, worked by hand: images too long for any try to fit.
    #[test]
    fn falls_back_to_the_central_box() {
        let crop = RandomResizedCrop {
            scale: [1.0, 1.0],
            ratio: [0.75, 4.0 / 3.0],
        };
        let wide = crop.draw(400, 30, &mut draws(0));
        assert_eq!(
            wide,
            CropBox {
                x: 180,
                y: 0,
                width: 40,
                height: 30
            }
        );
        let tall = crop.draw(30, 401, &mut draws(0));
        assert_eq!(
            tall,
            CropBox {
                x: 0,
                y: 180,
                width: 30,
                height: 40
            }
        );
        let narrow = RandomResizedCrop {
            scale: [1.0, 1.0],
            ratio: [0.9, 1.1],
        };
        assert_eq!(narrow.fallback(100, 100), CropBox::whole(100, 100));
        assert_eq!(crop.fallback(1, 1), CropBox::whole(1, 1));
    }

    #[test]
    fn refuses_ranges_it_cannot_draw_from() {
        for (scale, ratio) in [
            ([0.0, 1.0], [0.75, 1.3]),
            ([0.5, 0.2], [0.75, 1.3]),
            ([0.2, 1.5], [0.75, 1.3]),
            ([f64::NAN, 1.0], [0.75, 1.3]),
            ([0.2, 1.0], [-1.0, 1.3]),
            ([0.2, 1.0], [0.75, f64::INFINITY]),
        ] {
            assert!(RandomResizedCrop { scale, ratio }.check().is_err());
        }
    }
}
