//! Outlines of the objects: how large one can be in a picture, and where.

use std::f32::consts::PI;

use super::class::Shape;
use super::outline::Outline;

/// Inner radius of the star for an outer radius of 1.
const STAR_INNER: f32 = 0.48;
/// Half the width of the cross's arms for a half length of 1.
const CROSS_ARM: f32 = 0.38;

/// A five-pointed star's ten directions: sine and minus cosine of multiples of 36 degrees.
const TEN_DIRECTIONS: [[f32; 2]; 10] = {
    const S1: f32 = 0.587_785_25;
    const C1: f32 = 0.809_017;
    const S2: f32 = 0.951_056_54;
    const C2: f32 = 0.309_017;
    [
        [0.0, -1.0],
        [S1, -C1],
        [S2, -C2],
        [S2, C2],
        [S1, C1],
        [0.0, 1.0],
        [-S1, C1],
        [-S2, C2],
        [-S2, -C2],
        [-S1, -C1],
    ]
};

/// Half of the square root of three: a third of a turn's sine.
const SIN_60: f32 = 0.866_025_4;

impl Shape {
    /// Area at scale 1, in square pixels.
    pub(super) fn unit_area(self) -> f32 {
        match self {
            Self::Disc => PI,
            Self::Square => 4.0,
            Self::Triangle => 1.5 * SIN_60,
            Self::Star => 5.0 * STAR_INNER * TEN_DIRECTIONS[1][0],
            Self::Cross => 8.0 * CROSS_ARM - 4.0 * CROSS_ARM * CROSS_ARM,
        }
    }

    /// Corners at scale 1 around the origin; none for the disc.
    fn unit_corners(self) -> Vec<[f32; 2]> {
        match self {
            Self::Disc => Vec::new(),
            Self::Square => vec![[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]],
            Self::Triangle => vec![[0.0, -1.0], [SIN_60, 0.5], [-SIN_60, 0.5]],
            Self::Star => (0_u8..)
                .zip(TEN_DIRECTIONS)
                .map(|(i, [x, y])| {
                    if i % 2 == 0 {
                        [x, y]
                    } else {
                        [x * STAR_INNER, y * STAR_INNER]
                    }
                })
                .collect(),
            Self::Cross => {
                let arm = CROSS_ARM;
                vec![
                    [-arm, -1.0],
                    [arm, -1.0],
                    [arm, -arm],
                    [1.0, -arm],
                    [1.0, arm],
                    [arm, arm],
                    [arm, 1.0],
                    [-arm, 1.0],
                    [-arm, arm],
                    [-1.0, arm],
                    [-1.0, -arm],
                    [-arm, -arm],
                ]
            }
        }
    }

    /// The outline at `centre`, turned so that its x axis points along `axis`, and `scale` times as large as at scale 1.
    pub(super) fn outline(self, centre: [f32; 2], axis: [f32; 2], scale: f32) -> Outline {
        if self == Self::Disc {
            return Outline::circle(centre, scale);
        }
        let [c, s] = axis;
        let corners = self.unit_corners();
        let place = |[x, y]: &[f32; 2]| {
            [
                centre[0] + (x * c - y * s) * scale,
                centre[1] + (x * s + y * c) * scale,
            ]
        };
        Outline::Polygon(corners.iter().map(place).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::outline::Coverage;
    use super::*;

    #[test]
    fn unit_areas_are_those_of_the_outlines() {
        for shape in [
            Shape::Disc,
            Shape::Square,
            Shape::Triangle,
            Shape::Star,
            Shape::Cross,
        ] {
            let outline = shape.outline([100.0, 100.0], [0.6, 0.8], 60.0);
            let mut area = 0.0;
            Coverage::default().rows(&outline, [200, 200], 8, |_, _, shares| {
                area += shares.iter().sum::<f32>();
            });
            let expected = shape.unit_area() * 3600.0;
            assert!(
                (area / expected - 1.0).abs() < 2e-3,
                "{shape:?}: {area} instead of {expected}"
            );
        }
    }
}
