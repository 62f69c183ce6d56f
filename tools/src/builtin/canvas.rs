//! The picture being painted, and the camera that takes it.

use sbam_augment::Draws;

use super::chance::{between, direction};
use super::grain::SensorNoise;
use super::outline::{Coverage, Outline};
use super::palette::Colour;

/// Red, green and blue of every pixel, 0..=255 but not yet rounded, row by row.
pub(super) struct Canvas {
    size: [usize; 2],
    rgb: Vec<f32>,
}

impl Canvas {
    pub(super) fn filled(size: [usize; 2], colour: Colour) -> Self {
        Self {
            size,
            rgb: colour.repeat(size[0] * size[1]),
        }
    }

    pub(super) fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Paints the inside of `outline`: `paint(x, y)` gives the colours along row `y` from pixel `x` rightwards.
    pub(super) fn fill<I: Iterator<Item = Colour>>(
        &mut self,
        coverage: &mut Coverage,
        outline: &Outline,
        lines: u16,
        paint: impl Fn(usize, usize) -> I,
    ) {
        let size = self.size;
        coverage.rows(outline, size, lines, |y, x, shares| {
            let start = (y * size[0] + x) * 3;
            let pixels = self.rgb[start..start + shares.len() * 3].chunks_exact_mut(3);
            for ((pixel, &share), colour) in pixels.zip(shares).zip(paint(x, y)) {
                for (value, new) in pixel.iter_mut().zip(colour) {
                    *value += (new - *value) * share;
                }
            }
        });
    }

    /// Darkens the inside of `outline` by the share `depth`.
    pub(super) fn shade(&mut self, coverage: &mut Coverage, outline: &Outline, depth: f32) {
        let size = self.size;
        coverage.rows(outline, size, 1, |y, x, shares| {
            let start = (y * size[0] + x) * 3;
            let pixels = self.rgb[start..start + shares.len() * 3].chunks_exact_mut(3);
            for (pixel, &share) in pixels.zip(shares) {
                for value in pixel {
                    *value *= 1.0 - depth * share;
                }
            }
        });
    }
}

/// What the camera does to the whole picture alike: light that falls off, a colour cast, a little blur and noise.
pub(super) struct Camera {
    /// Light at the centre, and how it changes to the right and downwards over half the picture.
    light: [f32; 3],
    cast: Colour,
    /// Share of each neighbour in the blur, horizontally and vertically.
    blur: f32,
    noise: SensorNoise,
}

impl Camera {
    pub(super) fn draw(draws: &mut Draws) -> Self {
        let exposure = between(draws, 0.75, 1.15);
        let fall = between(draws, 0.0, 0.3);
        let [x, y] = direction(draws);
        let warmth = between(draws, -0.06, 0.06);
        let blur = between(draws, 0.04, 0.2);
        let strength = between(draws, 0.8, 4.5);
        Self {
            light: [exposure, exposure * fall * x, exposure * fall * y],
            cast: [1.0 + warmth, 1.0, 1.0 - warmth],
            blur,
            noise: SensorNoise::draw(draws, strength),
        }
    }

    /// The photograph: red, green and blue bytes, row by row.
    pub(super) fn photograph(&self, canvas: &Canvas) -> Vec<u8> {
        let [width, height] = canvas.size;
        let row_values = width * 3;
        let softened = self.blurred_along_rows(canvas);
        let mut bytes = vec![0; softened.len()];
        for (y, line) in bytes.chunks_exact_mut(row_values).enumerate() {
            let row = |y: usize| &softened[y * row_values..][..row_values];
            let (above, here, below) = (
                row(y.saturating_sub(1)),
                row(y),
                row((y + 1).min(height - 1)),
            );
            let down = y as f32 / height as f32 * 2.0 - 1.0;
            let mut light = self.light[0] - self.light[1] + self.light[2] * down;
            let light_step = self.light[1] * 2.0 / width as f32;
            let mut noise = self.noise.row(y);
            for (x, pixel) in line.chunks_exact_mut(3).enumerate() {
                for (channel, byte) in pixel.iter_mut().enumerate() {
                    let i = x * 3 + channel;
                    let value = here[i] + self.blur * (above[i] + below[i] - 2.0 * here[i]);
                    let grain = noise.next().unwrap_or(0.0);
                    *byte = (value * light * self.cast[channel] + grain + 0.5) as u8;
                }
                light += light_step;
            }
        }
        bytes
    }

    fn blurred_along_rows(&self, canvas: &Canvas) -> Vec<f32> {
        let mut out = canvas.rgb.clone();
        let row_values = canvas.size[0] * 3;
        for (to, from) in out
            .chunks_exact_mut(row_values)
            .zip(canvas.rgb.chunks_exact(row_values))
        {
            for i in 3..row_values - 3 {
                to[i] = from[i] + self.blur * (from[i - 3] + from[i + 3] - 2.0 * from[i]);
            }
        }
        out
    }
}
