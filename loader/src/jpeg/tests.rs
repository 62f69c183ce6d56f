use super::markers::{SOI, SOS};
use super::*;
use crate::error::SampleProblem;
use crate::fixture::{encode, jpeg};
use jpeg_encoder::{ColorType, SamplingFactor};
use proptest::prelude::*;

fn decode(jpeg: &[u8]) -> Result<(u32, u32, Vec<u8>), SampleProblem> {
    let mut decoder = Decoder::new();
    let rgb = decoder.decode(jpeg)?;
    Ok((rgb.width, rgb.height, rgb.pixels.to_vec()))
}

/// The start of scan's marker, from which on the bytes are entropy-coded.
fn scan_start(jpeg: &[u8]) -> usize {
    jpeg.windows(2)
        .position(|pair| pair == [0xff, SOS])
        .unwrap()
}

proptest! {
    #[test]
    fn size_and_pixels_agree(width in 1_u16..70, height in 1_u16..70, number: u8, progressive: bool, sampling in 0..4_usize) {
        let factor = [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_2_2, SamplingFactor::F_1_2][sampling];
        let pixels = vec![number; usize::from(width) * usize::from(height) * 3];
        let jpeg = encode(&pixels, width, height, ColorType::Rgb, |encoder| {
            encoder.set_progressive(progressive);
            encoder.set_sampling_factor(factor);
        });
        let size = jpeg_size(&jpeg).unwrap();
        prop_assert_eq!((size.width, size.height), (width.into(), height.into()));
        let (w, h, rgb) = decode(&jpeg).unwrap();
        prop_assert_eq!((w, h), (width.into(), height.into()));
        prop_assert_eq!(rgb.len(), pixels.len());
        prop_assert!(rgb.iter().all(|&value| value.abs_diff(number) <= 3));
    }

    #[test]
    fn no_bytes_make_it_panic(
        width in 1_u16..40, height in 1_u16..40, progressive: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let pixels = vec![90; usize::from(width) * usize::from(height) * 3];
        let mut jpeg = encode(&pixels, width, height, ColorType::Rgb, |e| e.set_progressive(progressive));
        for (at, value) in changes {
            *at.get_mut(&mut jpeg) = value;
        }
        // Damage may enlarge the image; what must not happen is a panic, or pixels of another size.
        if let (Ok(size), Ok((w, h, rgb))) = (jpeg_size(&jpeg), decode(&jpeg)) {
            prop_assert_eq!((size.width, size.height), (w, h));
            prop_assert_eq!(rgb.len() as u32, w * h * 3);
        }
    }

    #[test]
    fn no_foreign_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let with_start = [&[0xff, SOI], &bytes[..]].concat();
        let _ = (jpeg_size(&bytes), jpeg_size(&with_start), decode(&with_start));
    }
}

#[test]
fn a_jpeg_cut_off_anywhere_is_an_error() {
    for progressive in [false, true] {
        let whole = encode(&jpeg_pixels(40, 30), 40, 30, ColorType::Rgb, |encoder| {
            encoder.set_progressive(progressive);
        });
        for length in 0..whole.len() {
            let cut = &whole[..length];
            let problem = decode(cut).unwrap_err();
            if length >= 2 {
                assert!(
                    matches!(problem, SampleProblem::Truncated { .. }),
                    "{length}: {problem}"
                );
            }
        }
    }
}

/// Other decoders show grey from there on, and so would ours without strict mode.
#[test]
fn impossible_codes_are_an_error() {
    let mut damaged = encode(&jpeg_pixels(90, 80), 90, 80, ColorType::Rgb, |_| {});
    let middle = usize::midpoint(scan_start(&damaged), damaged.len());
    // Stuffed ones: no Huffman table has a code of only ones (ITU T.81, C.2).
    for pair in damaged[middle..middle + 12].chunks_mut(2) {
        pair.copy_from_slice(&[0xff, 0]);
    }
    assert_eq!(decode(&damaged).unwrap_err().kind(), "damaged");
}

fn jpeg_pixels(width: u16, height: u16) -> Vec<u8> {
    (0..u32::from(width) * u32::from(height) * 3)
        .map(|i| (i * i / 7) as u8)
        .collect()
}

#[test]
fn greyscale_and_cmyk_become_rgb() {
    let grey = encode(&[77; 24 * 17], 24, 17, ColorType::Luma, |_| {});
    let (_, _, rgb) = decode(&grey).unwrap();
    assert_eq!(rgb.len(), 24 * 17 * 3);
    assert!(rgb.iter().all(|&value| value.abs_diff(77) <= 1));
    // Full cyan and a little black; the encoder stores ink inverted, as Adobe does.
    let ink: Vec<u8> = [255, 0, 0, 55].repeat(20 * 16);
    for color in [ColorType::Cmyk, ColorType::CmykAsYcck] {
        let (_, _, rgb) = decode(&encode(&ink, 20, 16, color, |_| {})).unwrap();
        let (pixels, _) = rgb.as_chunks::<3>();
        for pixel in pixels {
            let close = |value: u8, to: u8| value.abs_diff(to) <= 4;
            assert!(
                close(pixel[0], 0) && close(pixel[1], 200) && close(pixel[2], 200),
                "{color:?} {pixel:?}"
            );
        }
    }
}

#[test]
fn exif_orientation_is_ignored() {
    // Little-endian TIFF with one entry: orientation 6, a quarter turn.
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let turned = encode(&jpeg_pixels(20, 10), 20, 10, ColorType::Rgb, |encoder| {
        encoder.add_exif_metadata(exif).unwrap();
    });
    let plain = encode(&jpeg_pixels(20, 10), 20, 10, ColorType::Rgb, |_| {});
    assert_eq!(decode(&turned).unwrap(), decode(&plain).unwrap());
}

#[test]
fn one_photograph_does_not_show_through_the_next() {
    let mut decoder = Decoder::new();
    let (small, large) = (jpeg(10, 12, 1), jpeg(60, 50, 2));
    let alone = decode(&small).unwrap();
    decoder.decode(&large).unwrap();
    let _ = decoder.decode(&large[..large.len() / 2]);
    let after = decoder.decode(&small).unwrap();
    assert_eq!((after.width, after.height, after.pixels.to_vec()), alone);
}

#[test]
fn tolerates_what_libjpeg_tolerates() {
    let whole = jpeg(33, 21, 5);
    let expected = decode(&whole).unwrap();
    let trailing = [&whole[..], b"camera maker's thumbnail"].concat();
    assert_eq!(decode(&trailing).unwrap(), expected);
    let mut stray = whole.clone();
    stray.splice(2..2, *b"stray bytes");
    assert_eq!(decode(&stray).unwrap(), expected);
    let scan = scan_start(&whole);
    let mut fill = whole;
    fill.splice(scan..scan, [0xff; 5]);
    assert_eq!(decode(&fill).unwrap(), expected);
}

#[test]
fn says_what_it_is_not() {
    for (bytes, part) in [
        (&b""[..], "empty"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"RIFF....WEBP", "WebP"),
        (b"hello", "starts with bytes"),
    ] {
        let problem = jpeg_size(bytes).unwrap_err();
        assert_eq!(problem.kind(), "not-jpeg");
        assert!(problem.to_string().contains(part), "{problem}");
    }
    let mut arithmetic = jpeg(8, 8, 0);
    let frame = arithmetic
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    arithmetic[frame + 1] = 0xc9;
    assert_eq!(jpeg_size(&arithmetic).unwrap_err().kind(), "unsupported");
    let mut huge = jpeg(8, 8, 0);
    huge[frame + 5..frame + 9].fill(0xff);
    assert_eq!(
        jpeg_size(&huge).unwrap(),
        JpegSize {
            width: 65_535,
            height: 65_535
        }
    );
    assert_eq!(decode(&huge).unwrap_err().kind(), "too-large");
}

/// zune-jpeg makes green pictures of the first and noise of the second, without a word.
#[test]
fn frames_that_zune_jpeg_gets_wrong_are_refused() {
    // With tables of its own the encoder writes each component in a scan of its own.
    let in_three_scans = |factor| {
        encode(&jpeg_pixels(40, 30), 40, 30, ColorType::Rgb, |encoder| {
            encoder.set_sampling_factor(factor);
            encoder.set_optimized_huffman_tables(true);
        })
    };
    for (factor, refused) in [
        (SamplingFactor::F_1_1, false),
        (SamplingFactor::F_2_1, false),
        (SamplingFactor::F_1_2, true),
        (SamplingFactor::F_2_2, true),
    ] {
        let found = decode(&in_three_scans(factor));
        assert_eq!(found.is_err(), refused, "{factor:?}");
    }
    let mut swapped = encode(&jpeg_pixels(40, 30), 40, 30, ColorType::Rgb, |encoder| {
        encoder.set_sampling_factor(SamplingFactor::F_1_1);
    });
    let frame = swapped
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    // The second component's factors.
    swapped[frame + 14] = 0x22;
    assert_eq!(decode(&swapped).unwrap_err().kind(), "unsupported");
    assert_eq!(restart_mcus(&swapped), 0);
}

/// A few bytes cannot make a decoder allocate for what their header claims.
#[test]
fn a_header_that_claims_more_than_its_bytes_can_hold_is_refused() {
    for progressive in [false, true] {
        let mut jpeg = encode(&jpeg_pixels(40, 30), 40, 30, ColorType::Rgb, |encoder| {
            encoder.set_progressive(progressive);
        });
        let marker = if progressive { 0xc2 } else { 0xc0 };
        let frame = jpeg
            .windows(2)
            .position(|pair| pair == [0xff, marker])
            .unwrap();
        jpeg[frame + 5..frame + 9].copy_from_slice(&[0x20, 0, 0x20, 0]);
        assert_eq!(decode(&jpeg).unwrap_err().kind(), "truncated");
    }
}
