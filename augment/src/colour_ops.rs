//! The pixel operations of a colour change, as `torchvision.transforms.v2.functional` defines them on uint8 tensors.

/// The weights of red, green and blue in a pixel's grey, torchvision's `_rgb_to_grayscale_image`.
const GREY: [f32; 3] = [0.2989, 0.587, 0.114];

/// What a whole turn's fraction becomes a level with: torchvision's `to_dtype`, `max_value + 1 − 1e-3`.
const LEVELS: f32 = 255.999;

/// Multiplies every value with `factor`.
pub(crate) fn brightness(pixels: &mut [[u8; 3]], factor: f32) {
    map_levels(pixels, |level| level * factor);
}

/// Blends every value with the mean of all pixels' greys.
pub(crate) fn contrast(pixels: &mut [[u8; 3]], factor: f32) {
    let sum: u64 = pixels
        .iter()
        .map(|&pixel| u64::from(grey(pixel) as u8))
        .sum();
    let mean = sum as f64 / pixels.len().max(1) as f64;
    let rest = (1.0 - factor) * mean as f32;
    map_levels(pixels, |level| level * factor + rest);
}

/// Blends every value with its pixel's grey.
pub(crate) fn saturation(pixels: &mut [[u8; 3]], factor: f32) {
    for pixel in pixels {
        let rest = (1.0 - factor) * f32::from(grey(*pixel) as u8);
        *pixel = pixel.map(|level| to_level(f32::from(level) * factor + rest));
    }
}

/// Turns the colour circle of every pixel by `turn`, from −0.5 to 0.5 of a whole turn.
pub(crate) fn hue(pixels: &mut [[u8; 3]], turn: f32) {
    for pixel in pixels {
        *pixel = turned(*pixel, turn);
    }
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
    // `as` saturates.
    value as u8
}

/// A pixel's grey, with its fraction.
fn grey([red, green, blue]: [u8; 3]) -> f32 {
    f32::from(red) * GREY[0] + f32::from(green) * GREY[1] + f32::from(blue) * GREY[2]
}

/// One pixel with its hue turned: to hue, saturation and value, and back.
fn turned(pixel: [u8; 3], turn: f32) -> [u8; 3] {
    let [red, green, blue] = pixel.map(|level| f32::from(level) * (1.0 / 255.0));
    let value = red.max(green).max(blue);
    let range = value - red.min(green).min(blue);
    // A grey pixel has no hue; any divisor does.
    let (range_or_one, value_or_one) = if range == 0.0 {
        (1.0, 1.0)
    } else {
        (range, value)
    };
    let saturation = range / value_or_one;
    let [r, g, b] = [red, green, blue].map(|channel| (value - channel) / range_or_one);
    let sixths = if value == red {
        b - g
    } else if value == green {
        2.0 + r - b
    } else {
        4.0 + g - r
    };
    let hue = fraction(sixths * (1.0 / 6.0) + 1.0);
    let turned = hue + turn;
    // torchvision's remainder: from 0 up to 1, and 1 itself where adding 1 rounds up to it.
    let turned = if turned < 0.0 {
        turned + 1.0
    } else {
        fraction(turned)
    };

    let sixths = turned * 6.0;
    let sector = sixths as u8;
    let within = sixths - f32::from(sector);
    let along = saturation * within;
    let unit = |value: f32| value.clamp(0.0, 1.0);
    let low = unit((1.0 - saturation) * value);
    let falling = unit((1.0 - along) * value);
    let rising = unit((along + (1.0 - saturation)) * value);
    let rgb = match sector % 6 {
        0 => [value, rising, low],
        1 => [falling, value, low],
        2 => [low, value, rising],
        3 => [low, falling, value],
        4 => [rising, low, value],
        _ => [value, low, falling],
    };
    rgb.map(|channel| (channel * LEVELS) as u8)
}

/// What is left of a number from 0 to 2 without its whole part.
fn fraction(value: f32) -> f32 {
    if value >= 1.0 { value - 1.0 } else { value }
}
