//! Outlines and the exact share of each pixel that they cover.

/// Directions of a regular 16-gon: cosine and sine of multiples of 22.5 degrees.
pub(super) const SIXTEEN_DIRECTIONS: [[f32; 2]; 16] = {
    const C1: f32 = 0.923_879_5;
    const C2: f32 = 0.707_106_77;
    const C3: f32 = 0.382_683_43;
    [
        [1.0, 0.0],
        [C1, C3],
        [C2, C2],
        [C3, C1],
        [0.0, 1.0],
        [-C3, C1],
        [-C2, C2],
        [-C1, C3],
        [-1.0, 0.0],
        [-C1, -C3],
        [-C2, -C2],
        [-C3, -C1],
        [0.0, -1.0],
        [C3, -C1],
        [C2, -C2],
        [C1, -C3],
    ]
};

/// The edge of a filled area, in pixels; x grows to the right, y downwards, and pixel (0, 0) covers 0..1 × 0..1.
#[derive(Clone, Debug)]
pub(super) enum Outline {
    Ellipse {
        centre: [f32; 2],
        radii: [f32; 2],
        /// Direction of the first radius, of length 1.
        axis: [f32; 2],
    },
    /// A simple polygon, which need not be convex.
    Polygon(Vec<[f32; 2]>),
}

impl Outline {
    pub(super) fn circle(centre: [f32; 2], radius: f32) -> Self {
        Self::Ellipse {
            centre,
            radii: [radius, radius],
            axis: [1.0, 0.0],
        }
    }

    /// The same outline elsewhere.
    pub(super) fn shifted(&self, by: [f32; 2]) -> Self {
        match self {
            Self::Ellipse {
                centre,
                radii,
                axis,
            } => Self::Ellipse {
                centre: [centre[0] + by[0], centre[1] + by[1]],
                radii: *radii,
                axis: *axis,
            },
            Self::Polygon(corners) => Self::Polygon(
                corners
                    .iter()
                    .map(|c| [c[0] + by[0], c[1] + by[1]])
                    .collect(),
            ),
        }
    }

    /// Left, top, right and bottom of the smallest upright rectangle around it.
    pub(super) fn bounds(&self) -> [f32; 4] {
        match self {
            Self::Ellipse {
                centre: [x, y],
                radii: [a, b],
                axis: [ux, uy],
            } => {
                let half_width = (a * a * ux * ux + b * b * uy * uy).sqrt();
                let half_height = (a * a * uy * uy + b * b * ux * ux).sqrt();
                [
                    x - half_width,
                    y - half_height,
                    x + half_width,
                    y + half_height,
                ]
            }
            Self::Polygon(corners) => corners.iter().fold(
                [f32::MAX, f32::MAX, f32::MIN, f32::MIN],
                |[left, top, right, bottom], &[x, y]| {
                    [left.min(x), top.min(y), right.max(x), bottom.max(y)]
                },
            ),
        }
    }

    /// Where the horizontal line at `y` enters and leaves the area, in pairs from left to right.
    fn crossings(&self, y: f32, into: &mut Vec<f32>) {
        into.clear();
        match self {
            Self::Ellipse {
                centre,
                radii: [a, b],
                axis: [ux, uy],
            } => {
                // (along/a)² + (across/b)² = 1 as a quadratic equation in x - centre.
                let (inv_a2, inv_b2) = (1.0 / (a * a), 1.0 / (b * b));
                let dy = y - centre[1];
                let quadratic = ux * ux * inv_a2 + uy * uy * inv_b2;
                let half_linear = dy * ux * uy * (inv_a2 - inv_b2);
                let constant = dy * dy * (uy * uy * inv_a2 + ux * ux * inv_b2) - 1.0;
                let discriminant = half_linear * half_linear - quadratic * constant;
                if discriminant > 0.0 {
                    let root = discriminant.sqrt();
                    into.push(centre[0] + (-half_linear - root) / quadratic);
                    into.push(centre[0] + (-half_linear + root) / quadratic);
                }
            }
            Self::Polygon(corners) => {
                let mut from = corners[corners.len() - 1];
                for &to in corners {
                    if (from[1] <= y) != (to[1] <= y) {
                        into.push(from[0] + (y - from[1]) / (to[1] - from[1]) * (to[0] - from[0]));
                    }
                    from = to;
                }
                into.sort_unstable_by(f32::total_cmp);
            }
        }
    }
}

/// Turns outlines into the share of each pixel they cover; keeps its buffers between outlines.
#[derive(Default)]
pub(super) struct Coverage {
    crossings: Vec<f32>,
    row: Vec<f32>,
}

impl Coverage {
    /// Calls `each(y, x, shares)` for every row of a `width` × `height` picture that `outline` may touch: `shares[i]`
    /// (0..=1) is the covered share of pixel (x + i, y). Horizontally exact; vertically the mean of `lines` lines.
    pub(super) fn rows(
        &mut self,
        outline: &Outline,
        [width, height]: [usize; 2],
        lines: u16,
        mut each: impl FnMut(usize, usize, &[f32]),
    ) {
        let [left, top, right, bottom] = outline.bounds();
        if right <= 0.0 || bottom <= 0.0 || left >= width as f32 || top >= height as f32 {
            return;
        }
        let first_x = left.max(0.0) as usize;
        let end_x = (right.ceil() as usize).min(width);
        let first_y = top.max(0.0) as usize;
        let end_y = (bottom.ceil() as usize).min(height);
        let share = 1.0 / f32::from(lines);
        for y in first_y..end_y {
            // Each span adds its steps up and down; the running sum is the coverage. Two more for the last step.
            self.row.clear();
            self.row.resize(end_x - first_x + 2, 0.0);
            for line in 0..lines {
                outline.crossings(
                    y as f32 + (f32::from(line) + 0.5) * share,
                    &mut self.crossings,
                );
                for span in self.crossings.chunks_exact(2) {
                    for (x, step) in [(span[0], share), (span[1], -share)] {
                        let x = x.clamp(first_x as f32, end_x as f32) - first_x as f32;
                        let pixel = x as usize;
                        let part = x - pixel as f32;
                        self.row[pixel] += step * (1.0 - part);
                        self.row[pixel + 1] += step * part;
                    }
                }
            }
            let mut sum = 0.0;
            for value in &mut self.row {
                sum += *value;
                *value = sum.clamp(0.0, 1.0);
            }
            each(y, first_x, &self.row[..end_x - first_x]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn area(outline: &Outline, size: [usize; 2], lines: u16) -> f32 {
        let mut sum = 0.0;
        Coverage::default().rows(outline, size, lines, |_, _, shares| {
            sum += shares.iter().sum::<f32>();
        });
        sum
    }

    #[test]
    fn a_rectangle_covers_its_pixels_exactly() {
        let rectangle = Outline::Polygon(vec![[1.5, 1.0], [4.25, 1.0], [4.25, 3.0], [1.5, 3.0]]);
        let mut rows = Vec::new();
        Coverage::default().rows(&rectangle, [6, 6], 2, |y, x, shares| {
            rows.push((y, x, shares.to_vec()));
        });
        let expected = vec![0.5, 1.0, 1.0, 0.25];
        assert_eq!(rows, [(1, 1, expected.clone()), (2, 1, expected)]);
    }

    #[test]
    fn the_area_of_a_circle_is_pi_r_squared() {
        let circle = Outline::circle([40.3, 38.9], 30.0);
        assert!((area(&circle, [80, 80], 8) / (std::f32::consts::PI * 900.0) - 1.0).abs() < 1e-3);
    }

    #[test]
    fn half_a_circle_outside_the_picture_is_left_out() {
        let circle = Outline::circle([0.0, 40.0], 20.0);
        assert!((area(&circle, [80, 80], 8) / (std::f32::consts::PI * 200.0) - 1.0).abs() < 1e-3);
        assert!(area(&Outline::circle([-30.0, 40.0], 20.0), [80, 80], 2).abs() < f32::EPSILON);
    }

    proptest! {
        #[test]
        fn any_outline_anywhere_stays_inside_the_picture(
            corners in prop::collection::vec([-50.0_f32..150.0, -50.0_f32..150.0], 3..9),
            width in 1_usize..100, height in 1_usize..100,
        ) {
            Coverage::default().rows(&Outline::Polygon(corners), [width, height], 2, |y, x, shares| {
                assert!(y < height && x + shares.len() <= width);
                assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
            });
        }
    }
}
