//! Backgrounds: the dead-leaves model (Matheron; Lee, Mumford and Huang, IJCV 2001). Things of all sizes fall on top of
//! each other, which gives the occlusions, the scale invariance and the edges of natural images.

use sbam_augment::Draws;

use super::canvas::Canvas;
use super::chance::{bell, between, direction, happens, index, power_law_radius};
use super::grain::Surface;
use super::outline::{Coverage, Outline, SIXTEEN_DIRECTIONS};
use super::palette::{Colour, Palette};

/// How many times over the leaves cover the picture; what then still shows of the ground is under one part in thirty.
const LAYERS: f32 = 3.6;

/// Leaves with a smaller radius in pixels cast no shadow: nobody would see it.
const SMALLEST_WITH_SHADOW: f32 = 9.0;

/// What the things of one picture have in common.
pub(super) struct Style {
    pub(super) palette: Palette,
    /// Standard deviation of the surfaces, in grey levels.
    roughness: f32,
    /// Where shadows fall, in pixels for each pixel of radius.
    shadow: [f32; 2],
    shadow_depth: f32,
}

impl Style {
    pub(super) fn draw(draws: &mut Draws) -> Self {
        let palette = Palette::draw(draws);
        let [x, y] = direction(draws);
        let reach = between(draws, 0.05, 0.13);
        Self {
            palette,
            roughness: between(draws, 3.0, 13.0),
            shadow: [x * reach, y * reach],
            shadow_depth: between(draws, 0.15, 0.5),
        }
    }

    /// A surface with the picture's roughness, more or less.
    pub(super) fn surface(&self, draws: &mut Draws) -> Surface {
        let strength = self.roughness * between(draws, 0.3, 1.7);
        Surface::draw(draws, strength)
    }

    /// The shadow that a thing of `radius` casts.
    pub(super) fn cast_shadow(
        &self,
        canvas: &mut Canvas,
        coverage: &mut Coverage,
        thing: &Outline,
        radius: f32,
    ) {
        let by = [
            self.shadow[0] * (radius + 6.0),
            self.shadow[1] * (radius + 6.0),
        ];
        canvas.shade(coverage, &thing.shifted(by), self.shadow_depth);
    }
}

/// A gentle change of brightness over a thing: the light on it.
#[derive(Clone, Copy)]
pub(super) struct Shading {
    centre: [f32; 2],
    /// Change for each pixel to the right and down, as a share of the brightness.
    slope: [f32; 2],
}

impl Shading {
    pub(super) fn draw(draws: &mut Draws, centre: [f32; 2], radius: f32) -> Self {
        let [x, y] = direction(draws);
        let strength = between(draws, 0.0, 0.3) / radius.max(4.0);
        Self {
            centre,
            slope: [x * strength, y * strength],
        }
    }

    /// Factors along row `y` from pixel `x` rightwards.
    pub(super) fn row(self, x: usize, y: usize) -> impl Iterator<Item = f32> {
        let mut factor = 1.0
            + (x as f32 - self.centre[0]) * self.slope[0]
            + (y as f32 - self.centre[1]) * self.slope[1];
        std::iter::repeat_with(move || {
            let here = factor;
            factor += self.slope[0];
            here
        })
    }
}

/// `colour` lit by `factor` on a surface that is `grain` grey levels brighter in mid-tones.
pub(super) fn lit(colour: Colour, factor: f32, grain: f32) -> Colour {
    let factor = factor + grain * (1.0 / 110.0);
    colour.map(|value| value * factor)
}

/// Paints a whole background.
pub(super) fn paint_background(
    draws: &mut Draws,
    style: &Style,
    canvas: &mut Canvas,
    coverage: &mut Coverage,
) {
    let [width, height] = canvas.size();
    let shorter_side = width.min(height) as f32;
    let smallest = between(draws, 3.0, 9.0);
    let largest = shorter_side * between(draws, 0.3, 0.65);
    let mut area_left = (width * height) as f32 * LAYERS;
    while area_left > 0.0 {
        let radius = power_law_radius(draws, smallest, largest);
        let centre = [
            between(draws, -0.3 * radius, width as f32 + 0.3 * radius),
            between(draws, -0.3 * radius, height as f32 + 0.3 * radius),
        ];
        let leaf = leaf(draws, centre, radius);
        if radius > SMALLEST_WITH_SHADOW {
            style.cast_shadow(canvas, coverage, &leaf, radius);
        }
        let colour = style.palette.tint(draws).colour();
        let surface = style.surface(draws);
        let shading = Shading::draw(draws, centre, radius);
        canvas.fill(coverage, &leaf, 2, |x, y| {
            surface
                .row(x, y)
                .zip(shading.row(x, y))
                .map(move |(grain, factor)| lit(colour, factor, grain))
        });
        area_left -= 2.4 * radius * radius;
    }
}

/// The outline of one leaf: an ellipse, a convex polygon or a blob.
fn leaf(draws: &mut Draws, centre: [f32; 2], radius: f32) -> Outline {
    if happens(draws, 0.4) {
        let radii = [radius, radius * between(draws, 0.3, 1.0)];
        return Outline::Ellipse {
            centre,
            radii,
            axis: direction(draws),
        };
    }
    if happens(draws, 0.5) {
        let count = 3 + index(draws, 4);
        let mut corners: Vec<[f32; 2]> = (0..count).map(|_| direction(draws)).collect();
        corners.sort_by(|a, b| around(*a).total_cmp(&around(*b)));
        let flatten = between(draws, 0.5, 1.0);
        return Outline::Polygon(
            corners
                .iter()
                .map(|[x, y]| [centre[0] + x * radius, centre[1] + y * radius * flatten])
                .collect(),
        );
    }
    let [c, s] = direction(draws);
    let flatten = between(draws, 0.45, 1.0);
    let corners = SIXTEEN_DIRECTIONS.map(|[x, y]| {
        let reach = radius * (0.85 + 0.1 * bell(draws));
        let (x, y) = (x * reach, y * reach * flatten);
        [centre[0] + x * c - y * s, centre[1] + x * s + y * c]
    });
    Outline::Polygon(corners.to_vec())
}

/// Grows with the angle of a direction, once around, without trigonometry.
fn around([x, y]: [f32; 2]) -> f32 {
    let part = x / (x.abs() + y.abs());
    if y < 0.0 { part - 1.0 } else { 1.0 - part }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn around_orders_directions_by_angle() {
        // From just past the negative x axis, all the way around.
        let turned: Vec<f32> = (1..16)
            .map(|i| around(SIXTEEN_DIRECTIONS[(i + 8) % 16]))
            .collect();
        assert!(turned.is_sorted_by(|a, b| a < b), "{turned:?}");
    }
}
