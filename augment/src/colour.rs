use crate::colour_ops::{brightness, contrast, hue, saturation};
use crate::{Draws, Error, Result};

/// Random changes of brightness, contrast, saturation and hue, in random order.
///
/// Follows `torchvision.transforms.v2.ColorJitter` with one number per property: factors are drawn uniformly from
/// `max(0, 1 − x)` to `1 + x`, for hue from `−x` to `x` of the colour circle, after a uniformly drawn order. A property
/// whose strength is 0 is left alone and takes no draw.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ColourJitter {
    /// Strength for brightness, at least 0.
    pub brightness: f64,
    /// Strength for contrast, at least 0.
    pub contrast: f64,
    /// Strength for saturation, at least 0.
    pub saturation: f64,
    /// Strength for hue in turns of the colour circle, from 0 to 0.5.
    pub hue: f64,
}

impl ColourJitter {
    /// Whether every strength is 0, so that there is nothing to draw.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// Checks that every strength can be drawn with.
    pub fn check(&self) -> Result<()> {
        for (name, value, highest) in [
            ("colour brightness", self.brightness, f64::from(f32::MAX)),
            ("colour contrast", self.contrast, f64::from(f32::MAX)),
            ("colour saturation", self.saturation, f64::from(f32::MAX)),
            ("colour hue", self.hue, 0.5),
        ] {
            if !(0.0..=highest).contains(&value) {
                return Err(Error::Strength {
                    name,
                    value,
                    highest,
                });
            }
        }
        Ok(())
    }

    /// Draws an order, then a factor for each property that is not off.
    pub fn draw(&self, draws: &mut Draws) -> ColourChange {
        let mut order = ColourStep::ALL;
        draws.shuffle(&mut order);
        let mut factor = |strength: f64, low: f64, high: f64| {
            (strength > 0.0).then(|| draws.uniform_in(low, high) as f32)
        };
        let mut around_one =
            |strength: f64| factor(strength, (1.0 - strength).max(0.0), 1.0 + strength);
        ColourChange {
            order,
            brightness: around_one(self.brightness),
            contrast: around_one(self.contrast),
            saturation: around_one(self.saturation),
            hue: factor(self.hue, -self.hue, self.hue),
        }
    }
}

/// One of the four changes of a [`ColourChange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColourStep {
    /// Multiply every value.
    Brightness,
    /// Move every value away from, or towards, the image's mean grey.
    Contrast,
    /// Move every value away from, or towards, its pixel's grey.
    Saturation,
    /// Turn the colour circle.
    Hue,
}

impl ColourStep {
    /// All four, in torchvision's numbering.
    pub const ALL: [Self; 4] = [
        Self::Brightness,
        Self::Contrast,
        Self::Saturation,
        Self::Hue,
    ];
}

/// A change of an image's colours: which factors, and in which order.
///
/// Pixels become what `torchvision.transforms.v2.functional.adjust_*` makes of a uint8 tensor (its results for PIL images
/// differ from those by some levels): computed in f32 and cut to whole levels after each step. Brightness, contrast,
/// saturation and hue are each within one level of torchvision's, which adds in an order of its own; a level that differs may be
/// enlarged by a later step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ColourChange {
    /// The order of the steps.
    pub order: [ColourStep; 4],
    /// What values are multiplied with, at least 0; 1 changes nothing.
    pub brightness: Option<f32>,
    /// The factor on the distance from the image's mean grey, at least 0; 1 changes nothing.
    pub contrast: Option<f32>,
    /// The factor on the distance from the pixel's grey, at least 0; 1 changes nothing.
    pub saturation: Option<f32>,
    /// The turn of the colour circle, from −0.5 to 0.5 of a whole turn.
    pub hue: Option<f32>,
}

impl ColourChange {
    /// Changes `rgb`, the pixels of a whole image in any shape `[…, 3]`, in place.
    pub fn apply(&self, rgb: &mut [u8]) {
        let (pixels, _) = rgb.as_chunks_mut();
        for step in self.order {
            match step {
                ColourStep::Brightness => self.brightness.map(|factor| brightness(pixels, factor)),
                ColourStep::Contrast => self.contrast.map(|factor| contrast(pixels, factor)),
                ColourStep::Saturation => self.saturation.map(|factor| saturation(pixels, factor)),
                ColourStep::Hue => self.hue.map(|turn| hue(pixels, turn)),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DrawKey, Purpose};
    use proptest::prelude::*;

    fn draws(sample_index: u64) -> Draws {
        Draws::new(DrawKey {
            seed: 3,
            epoch: 0,
            sample_index,
            view: 0,
            purpose: Purpose::Colour,
        })
    }

    const NONE: ColourChange = ColourChange {
        order: ColourStep::ALL,
        brightness: None,
        contrast: None,
        saturation: None,
        hue: None,
    };

    fn image() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..200).prop_map(|mut rgb| {
            rgb.truncate(rgb.len() / 3 * 3);
            rgb
        })
    }

    fn applied(change: ColourChange, rgb: &[u8]) -> Vec<u8> {
        let mut changed = rgb.to_vec();
        change.apply(&mut changed);
        changed
    }

    proptest! {
        #[test]
        fn factor_one_changes_nothing(rgb in image()) {
            let change = ColourChange { brightness: Some(1.0), contrast: Some(1.0), saturation: Some(1.0), ..NONE };
            prop_assert_eq!(applied(change, &rgb), rgb);
        }

        #[test]
        fn no_turn_changes_no_value_by_more_than_a_level(rgb in image()) {
            let changed = applied(ColourChange { hue: Some(0.0), ..NONE }, &rgb);
            for (old, new) in rgb.iter().zip(changed) {
                prop_assert!(old.abs_diff(new) <= 1, "{old} became {new}");
            }
        }

        #[test]
        fn grey_stays_grey(levels in prop::collection::vec(any::<u8>(), 1..60), factor in 0.0_f32..9.0, turn in -0.5_f32..=0.5) {
            let rgb: Vec<u8> = levels.iter().flat_map(|&level| [level; 3]).collect();
            let change = ColourChange { saturation: Some(factor), hue: Some(turn), ..NONE };
            for (pixel, level) in applied(change, &rgb).chunks(3).zip(levels) {
                prop_assert!(pixel[0] == pixel[1] && pixel[1] == pixel[2], "{pixel:?}");
                // The weights of grey add up to 0.9999, so it may lose a level, and as many as `factor` brings back.
                prop_assert!(f32::from(pixel[0].abs_diff(level)) <= 1.0 + factor, "{level} became {pixel:?}");
            }
        }

        #[test]
        fn without_saturation_all_is_grey(rgb in image()) {
            let changed = applied(ColourChange { saturation: Some(0.0), ..NONE }, &rgb);
            prop_assert!(changed.chunks(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]));
        }

        #[test]
        fn without_contrast_all_is_the_mean(rgb in image()) {
            let changed = applied(ColourChange { contrast: Some(0.0), ..NONE }, &rgb);
            prop_assert!(changed.windows(2).all(|pair| pair[0] == pair[1]));
        }

        #[test]
        fn brightness_clips(rgb in image(), factor in 256.0_f32..1e30) {
            let changed = applied(ColourChange { brightness: Some(factor), ..NONE }, &rgb);
            for (old, new) in rgb.iter().zip(changed) {
                prop_assert_eq!(new, if *old == 0 { 0 } else { 255 });
            }
        }

        #[test]
        fn factors_are_within_their_ranges(sample: u64, strength in 0.01..3.0_f64, turn in 0.01..=0.5_f64) {
            let jitter = ColourJitter { brightness: strength, contrast: strength, saturation: strength, hue: turn };
            jitter.check().unwrap();
            let drawn = jitter.draw(&mut draws(sample));
            let range = (1.0 - strength).max(0.0) as f32..=(1.0 + strength) as f32;
            for factor in [drawn.brightness, drawn.contrast, drawn.saturation] {
                prop_assert!(range.contains(&factor.unwrap()));
            }
            prop_assert!(drawn.hue.unwrap().abs() <= turn as f32);
        }
    }

    #[test]
    fn steps_run_in_their_order() {
        let mut change = ColourChange {
            brightness: Some(2.0),
            contrast: Some(0.5),
            ..NONE
        };
        // Mean grey of the doubled pixels: 199 (0.9999 · 200, cut).
        assert_eq!(applied(change, &[100; 3]), [199; 3]);
        change.order.swap(0, 1);
        // Mean grey 99, so 100 becomes 99 (99.5, cut), then twice that.
        assert_eq!(applied(change, &[100; 3]), [198; 3]);
    }

    #[test]
    fn every_order_is_drawn_equally_often() {
        let mut counts = std::collections::HashMap::new();
        for sample in 0..24_000 {
            let order = ColourJitter::default().draw(&mut draws(sample)).order;
            *counts.entry(order).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 24);
        // Five standard deviations of a binomial with n = 24,000 and p = 1/24.
        assert!(
            counts
                .values()
                .all(|&count: &i32| (count - 1_000).abs() < 155),
            "{counts:?}"
        );
    }

    #[test]
    fn what_is_off_is_left_alone() {
        let jitter = ColourJitter {
            contrast: 0.4,
            ..ColourJitter::default()
        };
        assert!(!jitter.is_off() && ColourJitter::default().is_off());
        let drawn = jitter.draw(&mut draws(0));
        assert!(drawn.contrast.is_some());
        assert_eq!(
            (drawn.brightness, drawn.saturation, drawn.hue),
            (None, None, None)
        );
    }

    #[test]
    fn refuses_strengths_it_cannot_draw_with() {
        for strength in [-0.1, f64::NAN, f64::INFINITY] {
            for field in 0..4 {
                let mut strengths = [0.0; 4];
                strengths[field] = strength;
                let [brightness, contrast, saturation, hue] = strengths;
                let jitter = ColourJitter {
                    brightness,
                    contrast,
                    saturation,
                    hue,
                };
                assert!(jitter.check().is_err());
            }
        }
        let hue = ColourJitter {
            hue: 0.51,
            ..ColourJitter::default()
        };
        assert!(hue.check().is_err());
    }
}
