//! One sample: an object of its class on a cluttered background, with the truth about it.

use std::fmt::Write as _;

use sbam_augment::{DrawKey, Draws, Purpose};

use super::SEED;
use super::canvas::{Camera, Canvas};
use super::chance::{between, direction};
use super::class::{CLASSES, Class};
use super::leaves::{Shading, Style, lit, paint_background};
use super::outline::{Coverage, Outline};
use super::texture::Texture;

/// Pictures are this many pixels wide and high, both drawn on their own.
const SIDE: std::ops::RangeInclusive<u64> = 160..=320;

/// Least and greatest share of the picture that an object is meant to cover. Pixels on its edge count whole or not at
/// all, so that the share measured is not exactly the one meant.
const OBJECT_FRACTION: [f32; 2] = [0.03, 0.45];

/// An object's bounding box takes at most this share of the picture's width and height, so that there is room to move.
const LARGEST_EXTENT: f32 = 0.94;

/// A painted sample.
pub(super) struct Scene {
    pub(super) class_index: usize,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Red, green and blue, row by row.
    pub(super) rgb: Vec<u8>,
    /// The object's bounding box: x, y, width, height.
    pub(super) object_box: [usize; 4],
    /// How many pixels the object covers.
    pub(super) object_pixels: usize,
}

/// The object of a sample, before it is painted.
struct Thing {
    outline: Outline,
    texture: Texture,
    radius: f32,
}

impl Scene {
    /// Paints sample number `sample_index`. The same number gives the same bytes, always.
    pub(super) fn paint(sample_index: u64, coverage: &mut Coverage) -> Self {
        let class_index = class_of(sample_index);
        let mut draws = draws_of(sample_index);
        let mut side = || (SIDE.start() + draws.below(SIDE.end() - SIDE.start() + 1)) as usize;
        let size = [side(), side()];
        let style = Style::draw(&mut draws);
        let mut canvas = Canvas::filled(size, style.palette.tint(&mut draws).colour());
        paint_background(&mut draws, &style, &mut canvas, coverage);
        let thing = place(&mut draws, &CLASSES[class_index], size);
        paint_object(&mut draws, &style, &thing, &mut canvas, coverage);
        let rgb = Camera::draw(&mut draws).photograph(&canvas);
        let (object_box, object_pixels) = measure(&thing.outline, size, coverage);
        Self {
            class_index,
            width: size[0],
            height: size[1],
            rgb,
            object_box,
            object_pixels,
        }
    }

    /// The sample's `.json`.
    pub(super) fn truth(&self) -> String {
        let [x, y, box_width, box_height] = self.object_box;
        let (width, height) = (self.width, self.height);
        let fraction = self.object_pixels as f64 / (width * height) as f64;
        let name = CLASSES[self.class_index].name;
        let mut json = String::new();
        // Written by hand, so that the order of the fields does not hang on features of `serde_json`.
        let _ = write!(
            json,
            "{{\"class\":\"{name}\",\"box\":[{x},{y},{box_width},{box_height}],\"object_fraction\":{fraction},\
             \"width\":{width},\"height\":{height}}}"
        );
        json
    }
}

fn draws_of(sample_index: u64) -> Draws {
    Draws::new(DrawKey {
        seed: SEED,
        epoch: 0,
        sample_index,
        view: 0,
        purpose: Purpose::BuiltIn,
    })
}

/// Every ten samples in a row hold each class once, in an order of their own.
fn class_of(sample_index: u64) -> usize {
    let classes = CLASSES.len() as u64;
    let key = DrawKey {
        seed: SEED,
        epoch: 1,
        sample_index: sample_index / classes,
        view: 0,
        purpose: Purpose::BuiltIn,
    };
    let mut order: Vec<usize> = (0..CLASSES.len()).collect();
    Draws::new(key).shuffle(&mut order);
    order[(sample_index % classes) as usize]
}

/// Draws the object's size, turn and place: uniform over all places where the whole object is in the picture.
fn place(draws: &mut Draws, class: &Class, [width, height]: [usize; 2]) -> Thing {
    let (width, height) = (width as f32, height as f32);
    let shape = class.shape;
    let axis = direction(draws);
    let [left, top, right, bottom] = shape.outline([0.0; 2], axis, 1.0).bounds();
    let largest_scale = LARGEST_EXTENT * (width / (right - left)).min(height / (bottom - top));
    // Uniform in length rather than in area: small objects are not rare.
    let scale_of = |fraction: f32| (fraction * width * height / shape.unit_area()).sqrt();
    let scale = between(
        draws,
        scale_of(OBJECT_FRACTION[0]),
        scale_of(OBJECT_FRACTION[1]).min(largest_scale),
    );
    let centre = [
        between(draws, -left * scale, width - right * scale),
        between(draws, -top * scale, height - bottom * scale),
    ];
    let length = scale * shape.unit_area().sqrt();
    let texture = Texture {
        pattern: class.pattern,
        centre,
        axis: direction(draws),
        period: (length / between(draws, 3.2, 6.0)).max(6.5),
        phase: [draws.uniform_f32(), draws.uniform_f32()],
    };
    Thing {
        outline: shape.outline(centre, axis, scale),
        texture,
        radius: length * 0.5,
    }
}

/// Paints the object from the background's own palette, with the same kinds of surface, light and shadow.
fn paint_object(
    draws: &mut Draws,
    style: &Style,
    thing: &Thing,
    canvas: &mut Canvas,
    coverage: &mut Coverage,
) {
    style.cast_shadow(canvas, coverage, &thing.outline, thing.radius);
    let first = style.palette.tint(draws);
    let second = first
        .contrasting(between(draws, 60.0, 120.0))
        .coloured_as(style.palette.tint(draws));
    let colours = [first.colour(), second.colour()];
    let surface = style.surface(draws);
    let texture = thing.texture;
    let shading = Shading::draw(draws, texture.centre, thing.radius);
    canvas.fill(coverage, &thing.outline, OBJECT_LINES, |x, y| {
        surface
            .row(x, y)
            .zip(shading.row(x, y))
            .zip(x..)
            .map(move |((grain, factor), x)| {
                let share = texture.share(x, y);
                let [from, to] = colours;
                let mixed = std::array::from_fn(|i| from[i] + (to[i] - from[i]) * share);
                lit(mixed, factor, grain)
            })
    });
}

/// Lines for each pixel in the object's coverage.
const OBJECT_LINES: u16 = 4;

/// Bounding box and number of the pixels that are at least half covered.
fn measure(outline: &Outline, size: [usize; 2], coverage: &mut Coverage) -> ([usize; 4], usize) {
    let (mut left, mut top, mut right, mut bottom, mut count) = (usize::MAX, usize::MAX, 0, 0, 0);
    coverage.rows(outline, size, OBJECT_LINES, |y, first_x, shares| {
        for (x, _) in (first_x..).zip(shares).filter(|(_, share)| **share >= 0.5) {
            (left, top, right, bottom) =
                (left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1));
            count += 1;
        }
    });
    ([left, top, right - left, bottom - top], count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ordered::{Limits, map_in_order};

    #[test]
    fn the_measure_of_an_object_is_that_of_its_outline() {
        let mut coverage = Coverage::default();
        for sample_index in 0..500 {
            let size = [
                160 + sample_index as usize % 160,
                320 - sample_index as usize % 140,
            ];
            let class = &CLASSES[sample_index as usize % CLASSES.len()];
            let thing = place(&mut draws_of(sample_index), class, size);
            let ([x, y, width, height], pixels) = measure(&thing.outline, size, &mut coverage);
            let area = 4.0 * thing.radius * thing.radius;
            assert!(
                (pixels as f32 / area - 1.0).abs() < 0.03,
                "{pixels} pixels for {area}"
            );
            let [left, top, right, bottom] = thing.outline.bounds();
            let outer = [left, top, size[0] as f32 - right, size[1] as f32 - bottom];
            assert!(outer.iter().all(|distance| *distance >= -0.01), "{outer:?}");
            // A thin point of a star may cover less than half of its outermost pixels.
            let inner = [
                x as f32 - left,
                y as f32 - top,
                right - (x + width) as f32,
                bottom - (y + height) as f32,
            ];
            assert!(
                inner.iter().all(|distance| (-0.75..3.0).contains(distance)),
                "{inner:?}"
            );
        }
    }

    #[test]
    fn every_ten_samples_hold_each_class_once() {
        for ten in 0..400 {
            let mut classes: Vec<usize> = (ten * 10..ten * 10 + 10).map(class_of).collect();
            classes.sort_unstable();
            assert!(classes.into_iter().eq(0..10));
        }
    }

    fn scenes(count: u64) -> Vec<Scene> {
        let mut scenes = Vec::new();
        let limits = Limits {
            threads: 2,
            bytes: u64::MAX,
        };
        map_in_order(
            limits,
            (0..count).map(|index| (index, 0)),
            Coverage::default,
            |coverage, index| Scene::paint(index, coverage),
            |scene| {
                scenes.push(scene);
                Ok(())
            },
        )
        .unwrap();
        scenes
    }

    #[test]
    fn sizes_vary_from_small_to_large_and_classes_are_balanced() {
        let scenes = scenes(300);
        let mut fractions: Vec<f64> = scenes
            .iter()
            .map(|scene| scene.object_pixels as f64 / (scene.width * scene.height) as f64)
            .collect();
        fractions.sort_by(f64::total_cmp);
        assert!(
            fractions[0] > 0.027 && fractions[0] < 0.04,
            "{}",
            fractions[0]
        );
        assert!(
            fractions[299] > 0.40 && fractions[299] < 0.46,
            "{}",
            fractions[299]
        );
        assert!(
            fractions[30] < 0.07 && fractions[270] > 0.25,
            "{} {}",
            fractions[30],
            fractions[270]
        );
        for class in 0..CLASSES.len() {
            assert_eq!(
                scenes
                    .iter()
                    .filter(|scene| scene.class_index == class)
                    .count(),
                30
            );
        }
        assert!(
            scenes
                .iter()
                .filter(|scene| scene.width.abs_diff(scene.height) > 40)
                .count()
                > 100
        );
    }

    #[test]
    fn objects_lie_anywhere_in_the_picture() {
        let scenes = scenes(400);
        // Where the box lies between touching the left and top edges (0) and touching the others (1).
        let places: Vec<[f64; 2]> = scenes
            .iter()
            .map(|scene| {
                let [x, y, width, height] = scene.object_box;
                [
                    x as f64 / (scene.width - width) as f64,
                    y as f64 / (scene.height - height) as f64,
                ]
            })
            .collect();
        for axis in 0..2 {
            let mean = places.iter().map(|place| place[axis]).sum::<f64>() / 400.0;
            let variance = places
                .iter()
                .map(|place| (place[axis] - mean).powi(2))
                .sum::<f64>()
                / 400.0;
            assert!((mean - 0.5).abs() < 0.05, "axis {axis}: mean {mean}");
            assert!(
                (variance - 1.0 / 12.0).abs() < 0.012,
                "axis {axis}: variance {variance}"
            );
            for tenth in 0..10 {
                let share = places
                    .iter()
                    .filter(|place| (place[axis] * 10.0).min(9.0) as usize == tenth)
                    .count();
                assert!(
                    (15..=70).contains(&share),
                    "axis {axis}, tenth {tenth}: {share} of 400"
                );
            }
        }
        for corner in [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]] {
            let near =
                |place: &[f64; 2]| (0..2).all(|axis| (place[axis] - corner[axis]).abs() < 0.15);
            assert!(places.iter().any(near), "no object near {corner:?}");
        }
        // Centres themselves come near all edges of the picture.
        let centres = scenes.iter().map(|scene| {
            let [x, y, width, height] = scene.object_box;
            [
                (x as f64 + width as f64 / 2.0) / scene.width as f64,
                (y as f64 + height as f64 / 2.0) / scene.height as f64,
            ]
        });
        let (mut least, mut most) = ([1.0_f64; 2], [0.0_f64; 2]);
        for centre in centres {
            for axis in 0..2 {
                least[axis] = least[axis].min(centre[axis]);
                most[axis] = most[axis].max(centre[axis]);
            }
        }
        assert!(
            least.iter().all(|v| *v < 0.17) && most.iter().all(|v| *v > 0.83),
            "{least:?} {most:?}"
        );
    }
}
