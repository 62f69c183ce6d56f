//! Patterns of the objects.

use super::class::Pattern;

/// A pattern laid over an object: at each place a mix of two colours.
#[derive(Clone, Copy)]
pub(super) struct Texture {
    pub(super) pattern: Pattern,
    /// The object's centre, in pixels.
    pub(super) centre: [f32; 2],
    /// Direction of the pattern's first axis, of length 1.
    pub(super) axis: [f32; 2],
    /// Length of one repeat, in pixels.
    pub(super) period: f32,
    /// Where the pattern begins along both axes, in repeats.
    pub(super) phase: [f32; 2],
}

impl Texture {
    /// Share of the second colour in the middle of the pixel, 0..=1; edges are about one pixel wide.
    pub(super) fn share(&self, x: usize, y: usize) -> f32 {
        let dx = (x as f32 + 0.5 - self.centre[0]) / self.period;
        let dy = (y as f32 + 0.5 - self.centre[1]) / self.period;
        let u = dx * self.axis[0] + dy * self.axis[1] + self.phase[0];
        let v = dy * self.axis[0] - dx * self.axis[1] + self.phase[1];
        match self.pattern {
            Pattern::Striped => self.edge(band(u)),
            Pattern::Checkered => {
                let (across, along) = (self.edge(band(u)), self.edge(band(v)));
                across * along + (1.0 - across) * (1.0 - along)
            }
            Pattern::Dotted => {
                let (from_u, from_v) = (fraction(u) - 0.5, fraction(v) - 0.5);
                self.edge(0.32 - (from_u * from_u + from_v * from_v).sqrt())
            }
            // Around the object's centre, whatever the phase along the second axis.
            Pattern::Ringed => self.edge(band((dx * dx + dy * dy).sqrt() + self.phase[0])),
            Pattern::Wavy => self.edge(band(u + 0.3 * wave(v * 0.5))),
        }
    }

    /// Turns a distance from an edge, in repeats and positive inside, into a share.
    fn edge(&self, inside: f32) -> f32 {
        (0.5 + inside * self.period).clamp(0.0, 1.0)
    }
}

/// How far a value is past the whole number below it. (`floor` is a call into the C library on plain x86-64.)
fn fraction(value: f32) -> f32 {
    let past = value - value as i32 as f32;
    if past < 0.0 { past + 1.0 } else { past }
}

/// Distance from the nearer edge of a band that fills half of each repeat, positive inside.
fn band(value: f32) -> f32 {
    0.25 - (fraction(value) - 0.5).abs()
}

/// A wave between −1 and 1 of period 1, made of parabolas.
fn wave(value: f32) -> f32 {
    let t = fraction(value);
    if t < 0.5 {
        16.0 * t * (0.5 - t)
    } else {
        -16.0 * (t - 0.5) * (1.0 - t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_colours_of_every_pattern_show() {
        for pattern in [
            Pattern::Striped,
            Pattern::Checkered,
            Pattern::Dotted,
            Pattern::Ringed,
            Pattern::Wavy,
        ] {
            let texture = Texture {
                pattern,
                centre: [40.0, 40.0],
                axis: [0.6, 0.8],
                period: 8.0,
                phase: [0.2, 0.7],
            };
            let sum: f32 = (0..80 * 80).map(|i| texture.share(i % 80, i / 80)).sum();
            let mean = sum / 6400.0;
            assert!((0.25..0.75).contains(&mean), "{pattern:?}: {mean}");
        }
    }
}
