//! Surfaces: small tiles of noise that wrap around, made once and looked up with a random offset, turn and zoom.

use std::sync::LazyLock;

use sbam_augment::{DrawKey, Draws, Purpose};

use super::SEED;
use super::chance::{bell, between, direction, index};

/// Side of a tile, in entries; a power of two, so that looking up wraps with a bit mask.
const SIDE: usize = 256;

/// Kinds of surface in [`TILES`]: soft clouds, fine grain, streaks, veins.
const KINDS: usize = 4;

/// Sample indices from here on belong to the tiles and to nothing else.
const TILE_DRAWS: u64 = 1 << 40;

/// All tiles, [`KINDS`] of them; values have mean about 0 and standard deviation about 40.
static TILES: LazyLock<Vec<Vec<i8>>> = LazyLock::new(|| {
    let tile = |kind: u64, layers: &[([usize; 2], f32)], fold: bool| {
        let key = DrawKey {
            seed: SEED,
            epoch: 0,
            sample_index: TILE_DRAWS + kind,
            view: 0,
            purpose: Purpose::BuiltIn,
        };
        normalised(&noise(&mut Draws::new(key), layers), fold)
    };
    vec![
        tile(
            0,
            &[
                ([4, 4], 1.0),
                ([8, 8], 0.7),
                ([16, 16], 0.5),
                ([32, 32], 0.35),
                ([64, 64], 0.25),
            ],
            false,
        ),
        tile(
            1,
            &[([32, 32], 0.5), ([64, 64], 0.7), ([128, 128], 1.0)],
            false,
        ),
        tile(2, &[([4, 32], 0.8), ([4, 64], 1.0), ([8, 128], 0.7)], false),
        tile(3, &[([8, 8], 1.0), ([16, 16], 0.6), ([32, 32], 0.35)], true),
    ]
});

/// White noise of standard deviation about 40, the sensor's.
static SENSOR: LazyLock<Vec<i8>> = LazyLock::new(|| {
    let key = DrawKey {
        seed: SEED,
        epoch: 0,
        sample_index: TILE_DRAWS + 100,
        view: 0,
        purpose: Purpose::BuiltIn,
    };
    let mut draws = Draws::new(key);
    (0..SIDE * SIDE)
        .map(|_| (bell(&mut draws) * 36.0) as i8)
        .collect()
});

/// Sums layers of value noise: a random lattice of the given columns and rows, smoothly interpolated, wrapping around.
fn noise(draws: &mut Draws, layers: &[([usize; 2], f32)]) -> Vec<f32> {
    let mut sum = vec![0.0; SIDE * SIDE];
    for &([columns, rows], weight) in layers {
        let lattice: Vec<f32> = (0..columns * rows)
            .map(|_| between(draws, -1.0, 1.0))
            .collect();
        for (i, value) in sum.iter_mut().enumerate() {
            let x = (i % SIDE * columns) as f32 / SIDE as f32;
            let y = (i / SIDE * rows) as f32 / SIDE as f32;
            let (column, row) = (x as usize, y as usize);
            let (tx, ty) = (smooth(x - column as f32), smooth(y - row as f32));
            let at = |column: usize, row: usize| lattice[row % rows * columns + column % columns];
            let upper = at(column, row) * (1.0 - tx) + at(column + 1, row) * tx;
            let lower = at(column, row + 1) * (1.0 - tx) + at(column + 1, row + 1) * tx;
            *value += weight * (upper * (1.0 - ty) + lower * ty);
        }
    }
    sum
}

/// The cubic that eases from 0 to 1.
fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

/// Mean 0 and standard deviation 40 as bytes; `fold` turns zero crossings into thin veins first.
fn normalised(values: &[f32], fold: bool) -> Vec<i8> {
    let folded: Vec<f32> = values
        .iter()
        .map(|&v| if fold { v.abs().sqrt() } else { v })
        .collect();
    let count = folded.len() as f32;
    let mean = folded.iter().sum::<f32>() / count;
    let deviation = (folded.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / count).sqrt();
    folded
        .iter()
        .map(|v| ((v - mean) / deviation * 40.0).clamp(-127.0, 127.0) as i8)
        .collect()
}

/// One surface as one thing wears it: a tile with its own offset, turn, zoom and strength.
#[derive(Clone)]
pub(super) struct Surface {
    tile: &'static [i8],
    /// Steps through the tile for one pixel to the right, in 1/65536 entries; one pixel down is this turned by 90°.
    step: [i32; 2],
    origin: [i32; 2],
    strength: f32,
}

impl Surface {
    /// Draws one; `strength` is its standard deviation in grey levels.
    pub(super) fn draw(draws: &mut Draws, strength: f32) -> Self {
        let tile = &TILES[index(draws, KINDS)];
        let [c, s] = direction(draws);
        let entries_per_pixel = between(draws, 0.5, 1.7);
        let step = [
            (c * entries_per_pixel * 65_536.0) as i32,
            (s * entries_per_pixel * 65_536.0) as i32,
        ];
        let origin = [draws.next_u32() as i32, draws.next_u32() as i32];
        Self {
            tile,
            step,
            origin,
            strength: strength / 40.0,
        }
    }

    /// Values along row `y` from pixel `x` rightwards, in grey levels around 0.
    pub(super) fn row(&self, x: usize, y: usize) -> impl Iterator<Item = f32> + '_ {
        let (x, y) = (x as i32, y as i32);
        let [dx, dy] = self.step;
        // Wrapping is right: the tile repeats, and 2³² is a multiple of its size.
        let mut u = self.origin[0]
            .wrapping_add(x.wrapping_mul(dx))
            .wrapping_sub(y.wrapping_mul(dy));
        let mut v = self.origin[1]
            .wrapping_add(x.wrapping_mul(dy))
            .wrapping_add(y.wrapping_mul(dx));
        std::iter::repeat_with(move || {
            let entry =
                ((v >> 16) as usize & (SIDE - 1)) * SIDE + ((u >> 16) as usize & (SIDE - 1));
            u = u.wrapping_add(dx);
            v = v.wrapping_add(dy);
            f32::from(self.tile[entry]) * self.strength
        })
    }
}

/// Sensor noise for a whole picture: [`SENSOR`] from a random place.
pub(super) struct SensorNoise {
    origin: usize,
    strength: f32,
}

impl SensorNoise {
    /// Draws one; `strength` is its standard deviation in grey levels.
    pub(super) fn draw(draws: &mut Draws, strength: f32) -> Self {
        Self {
            origin: index(draws, SIDE * SIDE),
            strength: strength / 40.0,
        }
    }

    /// The values of row `y` from its first pixel on, three a pixel.
    pub(super) fn row(&self, y: usize) -> impl Iterator<Item = f32> + '_ {
        // An odd stride, so that no row repeats another within a picture.
        let start = self.origin + y * 7_919;
        (start..).map(|i| f32::from(SENSOR[i & (SIDE * SIDE - 1)]) * self.strength)
    }
}
