//! Draws of the shapes the generator needs, made from uniform ones by plain arithmetic.
//!
//! No sine, logarithm or power is used: they differ in the last bit between C libraries, and the data set is to have
//! the same bytes everywhere.

use sbam_augment::Draws;

/// Uniform in `low..high`.
pub(super) fn between(draws: &mut Draws, low: f32, high: f32) -> f32 {
    low + (high - low) * draws.uniform_f32()
}

/// About normal, mean 0 and variance 1, within ±3.5 (the sum of four uniform draws).
pub(super) fn bell(draws: &mut Draws) -> f32 {
    let sum: f32 = (0..4).map(|_| draws.uniform_f32()).sum();
    (sum - 2.0) * 3.0_f32.sqrt()
}

/// A direction, uniform over the circle, by rejection from the square.
pub(super) fn direction(draws: &mut Draws) -> [f32; 2] {
    loop {
        let x = between(draws, -1.0, 1.0);
        let y = between(draws, -1.0, 1.0);
        let squared = x * x + y * y;
        if (0.01..=1.0).contains(&squared) {
            let length = squared.sqrt();
            return [x / length, y / length];
        }
    }
}

/// True with the given probability.
pub(super) fn happens(draws: &mut Draws, probability: f32) -> bool {
    draws.uniform_f32() < probability
}

/// An index below `count`.
pub(super) fn index(draws: &mut Draws, count: usize) -> usize {
    draws.below(count as u64) as usize
}

/// A radius whose density falls with its third power between `low` and `high`, as the sizes of things in photographs do
/// (Lee, Mumford and Huang, IJCV 2001): every octave of radii then covers the same area.
pub(super) fn power_law_radius(draws: &mut Draws, low: f32, high: f32) -> f32 {
    let ratio = low / high;
    low / (1.0 - draws.uniform_f32() * (1.0 - ratio * ratio)).sqrt()
}
