//! The pixel operations of a colour change, as `torchvision.transforms.v2.functional` defines them on uint8 tensors.

/// The weights of red, green and blue in a pixel's grey, torchvision's `_rgb_to_grayscale_image`.
const GREY: [f32; 3] = [0.2989, 0.587, 0.114];

/// What a level is stretched by before it is cut: torchvision's `to_dtype` multiplies 0 to 1 with `255 + 1 − 1e-3`.
const STRETCH: f32 = 255.999 / 255.0;

/// Pixels that are worked on side by side.
const BLOCK: usize = 16;

/// One channel of a block, in levels.
type Channel = [f32; BLOCK];

/// Multiplies every value with `factor`.
pub(crate) fn brightness(pixels: &mut [[u8; 3]], factor: f32) {
    map_levels(pixels, |level| level * factor);
}

/// Blends every value with the mean of all pixels' greys.
pub(crate) fn contrast(pixels: &mut [[u8; 3]], factor: f32) {
    let (blocks, rest) = pixels.as_chunks();
    let sum_of = |block| {
        let [reds, greens, blues] = split(block);
        let channels = reds.into_iter().zip(greens).zip(blues);
        let greys = channels.map(|((red, green), blue)| grey(red, green, blue) as u32);
        u64::from(greys.sum::<u32>())
    };
    let sum: u64 = blocks.iter().chain([&padded(rest)]).map(sum_of).sum();
    let mean = sum as f64 / pixels.len().max(1) as f64;
    let rest = (1.0 - factor) * mean as f32;
    map_levels(pixels, |level| level * factor + rest);
}

/// Blends every value with its pixel's grey.
pub(crate) fn saturation(pixels: &mut [[u8; 3]], factor: f32) {
    map_blocks(pixels, |[mut reds, mut greens, mut blues]| {
        for ((red, green), blue) in reds.iter_mut().zip(&mut greens).zip(&mut blues) {
            let rest = (1.0 - factor) * grey(*red, *green, *blue);
            *red = *red * factor + rest;
            *green = *green * factor + rest;
            *blue = *blue * factor + rest;
        }
        [reds, greens, blues]
    });
}

/// Turns the colour circle of every pixel by `turn`, from −0.5 to 0.5 of a whole turn.
///
/// A channel is `value − range · w`: `w` goes from 0 to 1 and back with the distance of the pixel's hue from the channel's,
/// counted in sixths of a turn. It is torchvision's way by hue, saturation and value, with a division less than four.
pub(crate) fn hue(pixels: &mut [[u8; 3]], turn: f32) {
    let turn = turn * 6.0;
    map_blocks(pixels, |[mut reds, mut greens, mut blues]| {
        for ((red, green), blue) in reds.iter_mut().zip(&mut greens).zip(&mut blues) {
            let [r, g, b] = [*red, *green, *blue];
            let value = larger(larger(r, g), b);
            let range = value - smaller(smaller(r, g), b);
            let (start, difference) = if value == r {
                (0.0, g - b)
            } else if value == g {
                (2.0, b - r)
            } else {
                (4.0, r - g)
            };
            // A grey pixel has no hue; any divisor does.
            let hue = start + difference / larger(range, 1.0) + turn;
            let hue = if hue < 0.0 { hue + 6.0 } else { hue };
            let channel = |offset: f32| {
                let at = hue + offset;
                let at = if at >= 6.0 { at - 6.0 } else { at };
                let at = if at >= 6.0 { at - 6.0 } else { at };
                let weight = larger(smaller(smaller(at, 4.0 - at), 1.0), 0.0);
                (value - range * weight) * STRETCH
            };
            (*red, *green, *blue) = (channel(5.0), channel(3.0), channel(1.0));
        }
        [reds, greens, blues]
    });
}

/// The larger of two numbers; `f32::max` minds NaN, which takes time.
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// The smaller of two numbers.
fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// Replaces every pixel by what `change` makes of its block, cut to whole levels.
fn map_blocks(pixels: &mut [[u8; 3]], change: impl Fn([Channel; 3]) -> [Channel; 3]) {
    let changed = |block: &mut [[u8; 3]; BLOCK]| {
        let [reds, greens, blues] = change(split(block));
        for (at, pixel) in block.iter_mut().enumerate() {
            *pixel = [
                to_level(reds[at]),
                to_level(greens[at]),
                to_level(blues[at]),
            ];
        }
    };
    let (blocks, rest) = pixels.as_chunks_mut();
    blocks.iter_mut().for_each(changed);
    let mut block = padded(rest);
    changed(&mut block);
    rest.copy_from_slice(&block[..rest.len()]);
}

/// The channels of a block.
#[inline]
fn split(block: &[[u8; 3]; BLOCK]) -> [Channel; 3] {
    let mut channels = [[0.0; BLOCK]; 3];
    for (at, pixel) in block.iter().enumerate() {
        for (channel, &level) in channels.iter_mut().zip(pixel) {
            channel[at] = f32::from(level);
        }
    }
    channels
}

/// Fewer pixels than a block, and black ones after them.
fn padded(pixels: &[[u8; 3]]) -> [[u8; 3]; BLOCK] {
    let mut block = [[0; 3]; BLOCK];
    block[..pixels.len()].copy_from_slice(pixels);
    block
}

/// Replaces every value by what `change` makes of it, cut to a whole level.
fn map_levels(pixels: &mut [[u8; 3]], change: impl Fn(f32) -> f32) {
    let table: [u8; 256] = std::array::from_fn(|level| to_level(change(level as f32)));
    for level in pixels.as_flattened_mut() {
        *level = table[usize::from(*level)];
    }
}

/// Clips to 0 to 255 and cuts the fraction off.
fn to_level(value: f32) -> u8 {
    smaller(larger(value, 0.0), 255.0) as i32 as u8
}

/// A pixel's grey, cut to a whole level.
fn grey(red: f32, green: f32, blue: f32) -> f32 {
    (red * GREY[0] + green * GREY[1] + blue * GREY[2]) as i32 as f32
}
