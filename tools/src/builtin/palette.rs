//! Colours that go together, as those of one photograph do.

use sbam_augment::Draws;

use super::chance::{bell, between, direction, index};

/// A colour of light or paint: red, green and blue, 0..=255, not yet rounded.
pub(super) type Colour = [f32; 3];

/// Brightness and two colour differences (`YCbCr` around 0).
#[derive(Clone, Copy)]
pub(super) struct Tint {
    brightness: f32,
    blueness: f32,
    redness: f32,
}

impl Tint {
    pub(super) fn colour(self) -> Colour {
        let Self {
            brightness,
            blueness,
            redness,
        } = self;
        [
            (brightness + 1.402 * redness).clamp(0.0, 255.0),
            (brightness - 0.344_136 * blueness - 0.714_136 * redness).clamp(0.0, 255.0),
            (brightness + 1.772 * blueness).clamp(0.0, 255.0),
        ]
    }

    /// The tint whose brightness is `by` away, towards the side where there is room.
    pub(super) fn contrasting(self, by: f32) -> Self {
        let brightness = if self.brightness < 128.0 {
            self.brightness + by
        } else {
            self.brightness - by
        };
        Self { brightness, ..self }
    }

    /// The same brightness in another tint's colour.
    pub(super) fn coloured_as(self, other: Self) -> Self {
        Self {
            brightness: self.brightness,
            ..other
        }
    }
}

/// The few tints that one picture's things vary around.
pub(super) struct Palette {
    anchors: Vec<Tint>,
    brightness_spread: f32,
    colour_spread: f32,
}

impl Palette {
    pub(super) fn draw(draws: &mut Draws) -> Self {
        // Most photographs are less colourful than paint boxes; a few are nearly grey.
        let colourfulness = between(draws, 3.0, 34.0);
        let count = 3 + index(draws, 4);
        let anchors = (0..count)
            .map(|_| {
                // The colours of nature lie along blue–orange; beside that there is green, and little magenta.
                let [along, green] = direction(draws);
                let across = if green < 0.0 { green * 0.35 } else { green };
                let reach = colourfulness * between(draws, 0.3, 1.2);
                let (blueness, redness) =
                    (along * 0.82 + across * -0.4, along * -0.62 + across * -0.45);
                Tint {
                    brightness: between(draws, 35.0, 215.0),
                    blueness: blueness * reach,
                    redness: redness * reach,
                }
            })
            .collect();
        Self {
            anchors,
            brightness_spread: between(draws, 8.0, 30.0),
            colour_spread: colourfulness * 0.22 + 1.0,
        }
    }

    /// A tint of the picture's family.
    pub(super) fn tint(&self, draws: &mut Draws) -> Tint {
        let anchor = self.anchors[index(draws, self.anchors.len())];
        Tint {
            brightness: (anchor.brightness + bell(draws) * self.brightness_spread)
                .clamp(12.0, 243.0),
            blueness: anchor.blueness + bell(draws) * self.colour_spread,
            redness: anchor.redness + bell(draws) * self.colour_spread,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tint_without_colour_is_grey() {
        let grey = Tint {
            brightness: 90.0,
            blueness: 0.0,
            redness: 0.0,
        };
        assert!(
            grey.colour()
                .iter()
                .all(|value| (value - 90.0).abs() < 1e-4)
        );
    }

    #[test]
    fn contrast_goes_where_there_is_room() {
        let dark = Tint {
            brightness: 30.0,
            blueness: 5.0,
            redness: 5.0,
        };
        assert!(dark.contrasting(80.0).brightness > 100.0);
        let light = Tint {
            brightness: 230.0,
            ..dark
        };
        assert!(light.contrasting(80.0).brightness < 160.0);
    }
}
