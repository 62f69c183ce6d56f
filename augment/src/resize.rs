use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions};

#[cfg(target_arch = "x86_64")]
use crate::passes::Passes;
use crate::{Error, Result, View};

/// Bytes per pixel: red, green, blue.
pub const CHANNELS: usize = 3;

/// Renders views: cuts the box out, resizes it, mirrors it, changes its colours.
///
/// The resize is that of Pillow's `image.crop(box).resize(size, BICUBIC)`: bicubic with a = −0.5, widened when it
/// shrinks the image, pixels outside the box contribute nothing, and each axis rounds and clips to 8 bits. So the order
/// of the axes shows where the filter overshoots at hard edges, and it is Pillow's too (see `Axis::first`). What is
/// left is rounding: Pillow's weights have 22 fractional bits, ours about 16.
///
/// On x86-64 with AVX2 the two passes are this crate's own, mirror on their way, and allocate nothing once they have seen
/// the largest image; elsewhere, and for images of ten columns or less, fast_image_resize does both and allocates for each
/// output row and column. The bytes are the same.
///
/// Its buffers are reused, so keep one per thread.
#[derive(Debug, Default, Clone)]
pub struct Resizer {
    inner: fast_image_resize::Resizer,
    /// What the first axis leaves for the second, where fast_image_resize does both.
    between: Vec<u8>,
    #[cfg(target_arch = "x86_64")]
    passes: Passes,
}

impl Resizer {
    /// A resizer with empty buffers, on the fastest instructions that the processor has.
    pub fn new() -> Self {
        Self::default()
    }

    /// Renders `view` of the photograph `rgb` into `out`.
    ///
    /// # Shapes
    /// - `rgb`: `[height, width, 3]`
    /// - `out`: `[out_height, out_width, 3]`, every byte of which is written
    #[expect(
        clippy::too_many_arguments,
        reason = "two images of three arguments each, and what to show"
    )]
    pub fn render(
        &mut self,
        rgb: &[u8],
        width: u32,
        height: u32,
        view: &View,
        out: &mut [u8],
        out_width: u32,
        out_height: u32,
    ) -> Result<()> {
        check_size("the photograph", rgb.len(), width, height)?;
        check_size("the output", out.len(), out_width, out_height)?;
        let crop = view.crop;
        if !crop.lies_inside(width, height) {
            return Err(Error::CropOutside {
                crop,
                width,
                height,
            });
        }
        #[cfg(target_arch = "x86_64")]
        let rendered =
            self.passes
                .render(rgb, width, crop, view.flip, out, (out_width, out_height));
        #[cfg(not(target_arch = "x86_64"))]
        let rendered = false;
        if !rendered {
            self.render_anywhere(rgb, width, height, view, out, out_width, out_height)?;
        }
        if let Some(colour) = view.colour {
            colour.apply(out);
        }
        Ok(())
    }

    /// Crop, resize and flip by fast_image_resize. It allocates for each output row and column.
    #[expect(
        clippy::too_many_arguments,
        reason = "two images of three arguments each, and what to show"
    )]
    fn render_anywhere(
        &mut self,
        rgb: &[u8],
        width: u32,
        height: u32,
        view: &View,
        out: &mut [u8],
        out_width: u32,
        out_height: u32,
    ) -> Result<()> {
        let crop = view.crop;
        let photograph = TypedImageRef::<U8x3>::from_buffer(width, height, rgb).map_err(refused)?;
        // A view of the box alone: the `crop` option of `ResizeOptions` would read pixels around the box.
        let source =
            TypedCroppedImage::from_ref(&photograph, crop.x, crop.y, crop.width, crop.height)
                .map_err(refused)?;
        let mut target =
            TypedImage::<U8x3>::from_buffer(out_width, out_height, out).map_err(refused)?;
        let (width, height) = match Axis::first((crop.width, crop.height), (out_width, out_height))
        {
            Axis::Columns => (out_width, crop.height),
            Axis::Rows => (crop.width, out_height),
        };
        if (width, height) == (crop.width, crop.height)
            || (width, height) == (out_width, out_height)
        {
            // One axis keeps its length, so there is one pass or none.
            self.inner
                .resize_typed(&source, &mut target, &catmull_rom())
                .map_err(refused)?;
        } else {
            let bytes = width as usize * height as usize * CHANNELS;
            if self.between.len() < bytes {
                self.between.resize(bytes, 0);
            }
            let mut between =
                TypedImage::<U8x3>::from_buffer(width, height, &mut self.between[..bytes])
                    .map_err(refused)?;
            self.inner
                .resize_typed(&source, &mut between, &catmull_rom())
                .map_err(refused)?;
            self.inner
                .resize_typed(&between, &mut target, &catmull_rom())
                .map_err(refused)?;
        }
        if view.flip {
            mirror(out, out_width as usize);
        }
        Ok(())
    }
}

/// The direction in which a pass resizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axis {
    /// Along a row: the number of columns changes.
    Columns,
    /// Along a column: the number of rows changes.
    Rows,
}

impl Axis {
    /// The axis that Pillow 13 resizes first (`ImagingResampleInner` in libImaging/Resample.c): along the rows, unless
    /// the image loses rows, and more than twice as many of them as columns. Sizes are `(width, height)` in pixels.
    pub(crate) fn first(from: (u32, u32), to: (u32, u32)) -> Self {
        let lost = |from: u32, to: u32| i64::from(from) - i64::from(to);
        let (columns, rows) = (lost(from.0, to.0), lost(from.1, to.1));
        if rows > 0 && rows > 2 * columns {
            Self::Rows
        } else {
            Self::Columns
        }
    }
}

fn catmull_rom() -> ResizeOptions {
    ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::Resize {
        reason: error.to_string(),
    }
}

fn check_size(what: &'static str, found: usize, width: u32, height: u32) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(Error::Empty {
            what,
            width,
            height,
        });
    }
    let expected = u128::from(width) * u128::from(height) * CHANNELS as u128;
    if found as u128 == expected {
        return Ok(());
    }
    Err(Error::BufferSize {
        what,
        width,
        height,
        expected: u64::try_from(expected).unwrap_or(u64::MAX),
        found: found as u64,
    })
}

/// Swaps left and right in an image whose rows have `width` pixels.
fn mirror(rgb: &mut [u8], width: usize) {
    for row in rgb.chunks_exact_mut(width * CHANNELS) {
        let (pixels, _) = row.as_chunks_mut::<CHANNELS>();
        pixels.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CropBox;
    use proptest::prelude::*;

    /// Pillow's algorithm (libImaging/Resample.c) in double precision: bicubic with a = −0.5, widened when shrinking,
    /// weights normalised inside the box, rounded and clipped after each axis.
    fn reference(rgb: &[u8], width: usize, crop: CropBox, out: (usize, usize)) -> Vec<f64> {
        let size = (crop.width as usize, crop.height as usize);
        let cut: Vec<f64> = (crop.y as usize..)
            .take(size.1)
            .flat_map(|y| &rgb[(y * width + crop.x as usize) * 3..][..size.0 * 3])
            .map(|&value| f64::from(value))
            .collect();
        let lost = (size.0 as i64 - out.0 as i64, size.1 as i64 - out.1 as i64);
        if lost.1 > 0 && lost.1 > 2 * lost.0 {
            let rows = along_columns(&cut, size.0 * 3, &weights(size.1, out.1));
            along_rows(&rows, size.0 * 3, &weights(size.0, out.0))
        } else {
            let columns = along_rows(&cut, size.0 * 3, &weights(size.0, out.0));
            along_columns(&columns, out.0 * 3, &weights(size.1, out.1))
        }
    }

    /// Changes the number of columns of an image whose rows have `stride` values.
    fn along_rows(values: &[f64], stride: usize, weights: &[(usize, Vec<f64>)]) -> Vec<f64> {
        let rows = values.chunks(stride);
        rows.flat_map(|row| {
            weights.iter().flat_map(move |(first, weights)| {
                [0, 1, 2].map(|c| rounded(weights, |k| row[(first + k) * 3 + c]))
            })
        })
        .collect()
    }

    /// Changes the number of rows of an image whose rows have `stride` values.
    fn along_columns(values: &[f64], stride: usize, weights: &[(usize, Vec<f64>)]) -> Vec<f64> {
        let rows = weights.iter();
        rows.flat_map(|(first, weights)| {
            (0..stride).map(move |at| rounded(weights, |k| values[(first + k) * stride + at]))
        })
        .collect()
    }

    fn rounded(weights: &[f64], value: impl Fn(usize) -> f64) -> f64 {
        let terms = weights.iter().enumerate();
        let sum: f64 = terms.map(|(k, weight)| weight * value(k)).sum();
        sum.round().clamp(0.0, 255.0)
    }

    /// For each output position, the first input position and the weights from there on.
    fn weights(length: usize, out_length: usize) -> Vec<(usize, Vec<f64>)> {
        let bicubic = |x: f64| {
            let (a, x) = (-0.5, x.abs());
            if x < 1.0 {
                ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
            } else if x < 2.0 {
                (((x - 5.0) * x + 8.0) * x - 4.0) * a
            } else {
                0.0
            }
        };
        let scale = length as f64 / out_length as f64;
        let widened = scale.max(1.0);
        (0..out_length)
            .map(|at| {
                let center = (at as f64 + 0.5) * scale;
                let first = (center - 2.0 * widened + 0.5).max(0.0) as usize;
                let end = ((center + 2.0 * widened + 0.5) as usize).min(length);
                let weights: Vec<f64> = (first..end)
                    .map(|x| bicubic((x as f64 - center + 0.5) / widened))
                    .collect();
                let sum: f64 = weights.iter().sum();
                (first, weights.iter().map(|weight| weight / sum).collect())
            })
            .collect()
    }

    /// Waves under strong grain, so that overshoot reaches both ends of the range.
    fn picture(width: u32, height: u32, seed: u64) -> Vec<u8> {
        let mut draws = crate::Draws::new(crate::DrawKey {
            seed,
            epoch: 0,
            sample_index: 0,
            view: 0,
            purpose: crate::Purpose::BuiltIn,
        });
        let (fx, fy) = (draws.uniform_in(0.0, 0.6), draws.uniform_in(0.0, 0.6));
        let places =
            (0..height).flat_map(|y| (0..width).map(move |x| (f64::from(x), f64::from(y))));
        places
            .flat_map(|(x, y)| {
                let wave = 128.0 + 60.0 * ((x * fx).sin() + (y * fy).cos());
                [0, 1, 2].map(|_| (wave + draws.uniform_in(-99.0, 99.0)) as u8)
            })
            .collect()
    }

    type Case = (Vec<u8>, u32, u32, CropBox, u32, u32);

    fn cases() -> impl Strategy<Value = Case> {
        let crop =
            |length: u32| (0..length).prop_flat_map(move |start| (Just(start), 1..=length - start));
        (1_u32..90, 1_u32..90)
            .prop_flat_map(move |(width, height)| {
                (Just((width, height)), crop(width), crop(height))
            })
            .prop_flat_map(|sizes| (Just(sizes), 1_u32..50, 1_u32..50, any::<u64>()))
            .prop_map(
                |(((width, height), columns, rows), out_width, out_height, seed)| {
                    let crop = CropBox {
                        x: columns.0,
                        y: rows.0,
                        width: columns.1,
                        height: rows.1,
                    };
                    (
                        picture(width, height, seed),
                        width,
                        height,
                        crop,
                        out_width,
                        out_height,
                    )
                },
            )
    }

    fn render(rgb: &[u8], size: (u32, u32), crop: CropBox, flip: bool, out: (u32, u32)) -> Vec<u8> {
        let mut pixels = vec![0; (out.0 * out.1) as usize * 3];
        Resizer::new()
            .render(
                rgb,
                size.0,
                size.1,
                &View {
                    flip,
                    ..View::plain(crop)
                },
                &mut pixels,
                out.0,
                out.1,
            )
            .unwrap();
        pixels
    }

    proptest! {
        #[test]
        fn equals_pillows_algorithm_to_within_rounding(
            (rgb, width, height, crop, out_width, out_height) in cases(),
        ) {
            let found = render(&rgb, (width, height), crop, false, (out_width, out_height));
            let expected = reference(&rgb, width as usize, crop, (out_width as usize, out_height as usize));
            for (found, expected) in found.iter().zip(expected) {
                // One level for the rounding of each axis.
                prop_assert!((f64::from(*found) - expected).abs() <= 2.0, "{found} where Pillow has {expected}");
            }
        }

        #[test]
        fn both_ways_give_the_same_bytes(
            (rgb, width, height, crop, out_width, out_height) in cases(), flip: bool,
        ) {
            let view = View { flip, ..View::plain(crop) };
            let mut anywhere = vec![0; (out_width * out_height) as usize * 3];
            Resizer::new()
                .render_anywhere(&rgb, width, height, &view, &mut anywhere, out_width, out_height)
                .unwrap();
            prop_assert_eq!(render(&rgb, (width, height), crop, flip, (out_width, out_height)), anywhere);
        }

        #[test]
        fn pixels_outside_the_box_contribute_nothing(
            (rgb, width, height, crop, out_width, out_height) in cases(), other: u8,
        ) {
            let mut changed = rgb.clone();
            for y in 0..height {
                for x in 0..width {
                    let inside = (crop.x..crop.x + crop.width).contains(&x)
                        && (crop.y..crop.y + crop.height).contains(&y);
                    if !inside {
                        changed[((y * width + x) * 3) as usize..][..3].fill(other);
                    }
                }
            }
            let out = (out_width, out_height);
            prop_assert_eq!(
                render(&rgb, (width, height), crop, false, out),
                render(&changed, (width, height), crop, false, out)
            );
        }

        #[test]
        fn a_flip_mirrors_the_output((rgb, width, height, crop, out_width, out_height) in cases()) {
            let plain = render(&rgb, (width, height), crop, false, (out_width, out_height));
            let flipped = render(&rgb, (width, height), crop, true, (out_width, out_height));
            let pixel = |image: &[u8], x: u32, y: u32| image[((y * out_width + x) * 3) as usize..][..3].to_vec();
            for y in 0..out_height {
                for x in 0..out_width {
                    prop_assert_eq!(pixel(&plain, x, y), pixel(&flipped, out_width - 1 - x, y));
                }
            }
        }

        #[test]
        fn a_used_resizer_gives_the_same((rgb, width, height, crop, out_width, out_height) in cases()) {
            let mut resizer = Resizer::new();
            let noise = picture(70, 80, 3);
            let view = View { flip: true, ..View::plain(CropBox::whole(70, 80)) };
            resizer.render(&noise, 70, 80, &view, &mut vec![0; 33 * 44 * 3], 33, 44).unwrap();
            let mut pixels = vec![9; (out_width * out_height) as usize * 3];
            let view = View::plain(crop);
            resizer.render(&rgb, width, height, &view, &mut pixels, out_width, out_height).unwrap();
            prop_assert_eq!(pixels, render(&rgb, (width, height), crop, false, (out_width, out_height)));
        }
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let mut out = [0; 12];
        let mut render = |rgb: &[u8], width, height, crop, out_width| {
            let view = View::plain(crop);
            Resizer::new().render(rgb, width, height, &view, &mut out, out_width, 2)
        };
        let whole = CropBox::whole(4, 2);
        assert!(render(&[0; 24], 4, 2, whole, 2).is_ok());
        assert!(matches!(
            render(&[0; 23], 4, 2, whole, 2),
            Err(Error::BufferSize { .. })
        ));
        assert!(matches!(
            render(&[0; 24], 4, 2, whole, 3),
            Err(Error::BufferSize { .. })
        ));
        assert!(matches!(
            render(&[], 0, 2, whole, 2),
            Err(Error::Empty { .. })
        ));
        assert!(matches!(
            render(&[0; 24], u32::MAX, u32::MAX, whole, 2),
            Err(Error::BufferSize { .. })
        ));
        for crop in [
            CropBox { x: 1, ..whole },
            CropBox { width: 0, ..whole },
            CropBox {
                y: u32::MAX,
                ..whole
            },
            CropBox {
                height: u32::MAX,
                ..whole
            },
        ] {
            assert!(matches!(
                render(&[0; 24], 4, 2, crop, 2),
                Err(Error::CropOutside { .. })
            ));
        }
    }
}
