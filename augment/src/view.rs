use crate::{
    ColourChange, ColourJitter, CropBox, DrawKey, Draws, Error, Purpose, RandomResizedCrop, Result,
};

/// Which part of a photograph is shown, whether it is mirrored, and in what colours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// The part, in pixels of the photograph.
    pub crop: CropBox,
    /// Whether left and right are swapped.
    pub flip: bool,
    /// How its colours are changed; `None` leaves them.
    pub colour: Option<ColourChange>,
}

impl View {
    /// The view of `crop`, neither mirrored nor changed in colour.
    pub const fn plain(crop: CropBox) -> Self {
        Self {
            crop,
            flip: false,
            colour: None,
        }
    }
}

/// How training views are drawn: a random crop, a random flip and random colours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainView {
    /// How the crop box is drawn.
    pub crop: RandomResizedCrop,
    /// The probability of a horizontal flip.
    pub hflip: f64,
    /// How colours are changed.
    pub colour: ColourJitter,
}

impl Default for TrainView {
    /// The MAE reference's pre-training recipe: [`RandomResizedCrop::default`] and half of all views mirrored,
    /// colours as they are.
    fn default() -> Self {
        Self {
            crop: RandomResizedCrop::default(),
            hflip: 0.5,
            colour: ColourJitter::default(),
        }
    }
}

impl TrainView {
    /// Checks that every setting can be drawn from.
    pub fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.hflip) {
            return Err(Error::Probability {
                name: "hflip",
                value: self.hflip,
            });
        }
        self.colour.check()?;
        self.crop.check()
    }

    /// Draws view number `view` of a sample whose photograph has `width` by `height` pixels, both at least 1.
    ///
    /// # Panics
    /// If `view` is not below [`MAX_VIEWS`](crate::MAX_VIEWS).
    pub fn draw(
        &self,
        seed: u64,
        epoch: u64,
        sample_index: u64,
        view: u32,
        width: u32,
        height: u32,
    ) -> View {
        let draws = |purpose| {
            Draws::new(DrawKey {
                seed,
                epoch,
                sample_index,
                view,
                purpose,
            })
        };
        View {
            crop: self.crop.draw(width, height, &mut draws(Purpose::Crop)),
            flip: draws(Purpose::Flip).uniform_f64() < self.hflip,
            colour: (!self.colour.is_off()).then(|| self.colour.draw(&mut draws(Purpose::Colour))),
        }
    }
}

/// The view for evaluation: the largest central box of the output's aspect ratio, never mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvalView {
    /// The output's width in pixels, at least 1.
    pub out_width: u32,
    /// The output's height in pixels, at least 1.
    pub out_height: u32,
}

impl EvalView {
    /// The view of a photograph of `width` by `height` pixels, both at least 1.
    ///
    /// ```
    /// use sbam_augment::{CropBox, EvalView};
    ///
    /// let view = EvalView { out_width: 224, out_height: 224 }.view(500, 375);
    /// assert_eq!(view.crop, CropBox { x: 62, y: 0, width: 375, height: 375 });
    /// ```
    pub fn view(&self, width: u32, height: u32) -> View {
        let scaled = |length: u32, by: u32, over: u32| {
            let exact = f64::from(length) * f64::from(by) / f64::from(over.max(1));
            (exact.round_ties_even() as u32).max(1)
        };
        // The box as wide as the image is taller than it exactly when the box as tall is not wider.
        let box_width = scaled(height, self.out_width, self.out_height).min(width);
        let box_height = scaled(width, self.out_height, self.out_width).min(height);
        View::plain(CropBox::central(width, height, box_width, box_height))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn half_of_the_views_are_mirrored() {
        let train = TrainView::default();
        let mirrored = (0..10_000)
            .filter(|&sample| train.draw(1, 0, sample, 0, 50, 40).flip)
            .count();
        assert!((4_750..5_250).contains(&mirrored), "{mirrored}");
        let never = TrainView {
            hflip: 0.0,
            ..train
        };
        let always = TrainView {
            hflip: 1.0,
            ..train
        };
        for sample in 0..100 {
            assert!(!never.draw(1, 0, sample, 0, 50, 40).flip);
            assert!(always.draw(1, 0, sample, 0, 50, 40).flip);
        }
    }

    #[test]
    fn the_flip_does_not_disturb_the_crop() {
        let train = TrainView::default();
        let never = TrainView {
            hflip: 0.0,
            ..train
        };
        for sample in 0..100 {
            assert_eq!(
                train.draw(1, 4, sample, 1, 500, 375).crop,
                never.draw(1, 4, sample, 1, 500, 375).crop
            );
        }
    }

    #[test]
    fn refuses_what_is_no_probability() {
        for hflip in [-0.1, 1.1, f64::NAN] {
            let view = TrainView {
                hflip,
                ..TrainView::default()
            };
            assert!(view.check().is_err());
        }
    }

    proptest! {
        #[test]
        fn the_evaluation_box_is_central_and_as_large_as_fits(
            width in 1_u32..2000, height in 1_u32..2000, out_width in 1_u32..500, out_height in 1_u32..500,
        ) {
            let crop = EvalView { out_width, out_height }.view(width, height).crop;
            prop_assert!(crop.lies_inside(width, height));
            prop_assert!(crop.width == width || crop.height == height);
            prop_assert!((i64::from(crop.x) * 2 + i64::from(crop.width) - i64::from(width)).abs() <= 1);
            prop_assert!((i64::from(crop.y) * 2 + i64::from(crop.height) - i64::from(height)).abs() <= 1);
        }
    }
}
