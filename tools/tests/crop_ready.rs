//! Properties of rewritten JPEGs that readers rely on, through the public API.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use proptest::prelude::*;
use sbam_loader::{Decoder, Rgb};
use sbam_tools::{CropReady, CropReadyJpeg, KeptAsIs};

/// How an image is made.
#[derive(Clone, Debug)]
struct Made {
    width: u16,
    height: u16,
    colours: ColorType,
    sampling: SamplingFactor,
    quality: u8,
    progressive: bool,
    restart: u16,
    optimised: bool,
    seed: u64,
}

impl Made {
    /// Smooth waves with some noise, so that all frequencies occur.
    fn jpeg(&self) -> Vec<u8> {
        let channels = match self.colours {
            ColorType::Luma => 1,
            ColorType::Cmyk | ColorType::CmykAsYcck => 4,
            _ => 3,
        };
        let (width, height) = (usize::from(self.width), usize::from(self.height));
        let mut noise = self.seed | 1;
        let pixels: Vec<u8> = (0..width * height * channels)
            .map(|i| {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                let (x, y, c) = (i / channels % width, i / channels / width, i % channels);
                let wave = ((x * (c + 2)) as f32 / 9.0).sin() + (y as f32 / 7.0).cos();
                (128.0 + 50.0 * wave) as u8 ^ (noise % 16) as u8
            })
            .collect();
        let mut jpeg = Vec::new();
        let mut encoder = Encoder::new(&mut jpeg, self.quality);
        encoder.set_sampling_factor(self.sampling);
        encoder.set_progressive(self.progressive);
        encoder.set_optimized_huffman_tables(self.optimised);
        if self.restart > 0 {
            encoder.set_restart_interval(self.restart);
        }
        encoder
            .encode(&pixels, self.width, self.height, self.colours)
            .unwrap();
        jpeg
    }

    fn has_four_components(&self) -> bool {
        matches!(self.colours, ColorType::Cmyk | ColorType::CmykAsYcck)
    }

    /// As jpeg-encoder writes files if it is to optimise tables, or knows no other way.
    fn has_scan_for_each_component(&self) -> bool {
        !self.progressive && (self.optimised || matches!(self.sampling, SamplingFactor::F_4_1))
    }

    /// Width of an MCU in pixels.
    fn mcu_width(&self) -> u32 {
        match (self.colours, self.sampling) {
            (ColorType::Luma, _) | (_, SamplingFactor::F_1_1 | SamplingFactor::F_1_2) => 8,
            (_, SamplingFactor::F_4_1) => 32,
            _ => 16,
        }
    }
}

fn made() -> impl Strategy<Value = Made> {
    let colours = prop::sample::select(vec![
        ColorType::Rgb,
        ColorType::Rgb,
        ColorType::Ycbcr,
        ColorType::Luma,
        ColorType::Cmyk,
        ColorType::CmykAsYcck,
    ]);
    let sampling = prop::sample::select(vec![
        SamplingFactor::F_1_1,
        SamplingFactor::F_2_1,
        SamplingFactor::F_2_2,
        SamplingFactor::F_1_2,
        SamplingFactor::F_4_1,
    ]);
    let restart = prop_oneof![Just(0), 1_u16..20];
    let sizes = (1_u16..200, 1_u16..80);
    let flags = (any::<bool>(), any::<bool>());
    (
        sizes,
        colours,
        sampling,
        5_u8..=100,
        flags,
        restart,
        any::<u64>(),
    )
        .prop_map(
            |((width, height), colours, sampling, quality, flags, restart, seed)| Made {
                width,
                height,
                colours,
                sampling,
                quality,
                // Else, jpeg-encoder writes 4:1:1 with a scan for each component, the end of which zune-jpeg does not always
                // decode: the rewritten file is then the right one, as `however_it_was_coded_the_result_is_the_same` shows.
                progressive: flags.0 || matches!(sampling, SamplingFactor::F_4_1),
                // The same for optimised tables; and with restart markers, these lack codes.
                optimised: flags.0 && flags.1 && restart == 0,
                restart,
                seed,
            },
        )
}

fn plain() -> Made {
    Made {
        width: 100,
        height: 40,
        colours: ColorType::Rgb,
        sampling: SamplingFactor::F_2_2,
        quality: 90,
        progressive: false,
        restart: 0,
        optimised: false,
        seed: 1,
    }
}

fn rewrite(jpeg: &[u8]) -> Result<CropReadyJpeg, KeptAsIs> {
    rewrite_with(&mut CropReady::new(), jpeg)
}

/// Rewrites `jpeg` whether it can be decoded or not, so that the rewriter itself must find what is wrong.
fn rewrite_with(rewriter: &mut CropReady, jpeg: &[u8]) -> Result<CropReadyJpeg, KeptAsIs> {
    let nothing = Rgb {
        width: 0,
        height: 0,
        pixels: &[],
    };
    let mut decoder = Decoder::new();
    let decoded = decoder.decode(jpeg);
    rewriter.rewrite(jpeg, Some(decoded.as_ref().unwrap_or(&nothing)))
}

fn pixels(jpeg: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = Decoder::new();
    decoder.decode(jpeg).ok().map(|rgb| rgb.pixels.to_vec())
}

/// The segments up to the scan: marker and content.
fn segments(jpeg: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let (mut at, mut found) = (2, Vec::new());
    loop {
        let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        found.push((jpeg[at + 1], jpeg[at + 4..at + 2 + length].to_vec()));
        if jpeg[at + 1] == 0xda {
            return found;
        }
        at += 2 + length;
    }
}

fn segment(jpeg: &[u8], marker: u8) -> Option<Vec<u8>> {
    let found = segments(jpeg).into_iter().find(|(m, _)| *m == marker);
    found.map(|(_, body)| body)
}

/// Segments of APPn and COM.
fn metadata(jpeg: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let is_metadata = |(marker, _): &(u8, _)| matches!(marker, 0xe0..=0xef | 0xfe);
    segments(jpeg).into_iter().filter(is_metadata).collect()
}

/// The rule as the format is described, by trying every distance.
fn rule(width: u32, mcu_width: u32) -> u32 {
    let row = width.div_ceil(mcu_width);
    let fits = |k: &u32| row.is_multiple_of(*k) && *k * mcu_width >= 32 && *k * mcu_width <= 128;
    let mut best = (1..=row).filter(fits).collect::<Vec<_>>();
    best.sort_by_key(|k| (i64::from(k * mcu_width) - 64).abs());
    best.first().copied().unwrap_or(row)
}

/// `jpeg` with segments put right after its start.
fn with_segments(jpeg: &[u8], added: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = jpeg[..2].to_vec();
    for (marker, body) in added {
        bytes.extend([0xff, *marker]);
        bytes.extend((body.len() as u16 + 2).to_be_bytes());
        bytes.extend(body);
    }
    bytes.extend(&jpeg[2..]);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn pixels_and_metadata_stay_and_restart_markers_follow_the_rule(made in made()) {
        let jpeg = made.jpeg();
        let before = pixels(&jpeg);
        let rewritten = match rewrite(&jpeg) {
            Ok(rewritten) => rewritten,
            Err(reason) => {
                // Four components at different sizes are too much for zune-jpeg if they are progressive, and it does not
                // always decode the end of scans with a single component each.
                prop_assert_eq!(reason, KeptAsIs::Ambiguous);
                let is_known = if before.is_some() {
                    made.has_scan_for_each_component()
                } else {
                    made.has_four_components()
                };
                prop_assert!(is_known);
                return Ok(());
            }
        };
        prop_assert!(pixels(&rewritten.bytes) == before);
        prop_assert_eq!(metadata(&rewritten.bytes), metadata(&jpeg));
        prop_assert_eq!(rewritten.restart_mcus, rule(u32::from(made.width), made.mcu_width()));
        let interval = segment(&rewritten.bytes, 0xdd).unwrap();
        prop_assert_eq!(u32::from(u16::from_be_bytes([interval[0], interval[1]])), rewritten.restart_mcus);
        prop_assert_eq!(sbam_loader::restart_mcus(&rewritten.bytes), rewritten.restart_mcus);
        prop_assert!(segment(&rewritten.bytes, 0xc0).is_some(), "it is baseline");
        let frame = |jpeg| segments(jpeg).into_iter().find(|(m, _)| (0xc0..=0xc2).contains(m)).unwrap().1;
        prop_assert_eq!(frame(&rewritten.bytes), frame(&jpeg));
    }

    #[test]
    fn however_it_was_coded_the_result_is_the_same(made in made()) {
        let results: Vec<_> = [(false, false, 0), (false, false, 3), (true, false, 0), (true, false, 3), (true, true, 0)]
            .into_iter()
            .filter_map(|(progressive, optimised, restart)| {
                rewrite(&Made { progressive, restart, optimised, ..made.clone() }.jpeg()).ok()
            })
            .collect();
        prop_assert!(results.len() > 1 || made.has_four_components());
        prop_assert!(results.iter().all(|result| *result == results[0]));
    }

    #[test]
    fn a_second_rewriting_changes_nothing(made in made()) {
        let once = rewrite(&made.jpeg());
        prop_assume!(once.is_ok());
        let once = once.unwrap();
        prop_assert_eq!(rewrite(&once.bytes).unwrap(), once);
    }

    #[test]
    fn damage_is_kept_or_decodes_to_the_same(
        made in made(), places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut jpeg = made.jpeg();
        for (place, value) in places {
            let at = place.index(jpeg.len());
            jpeg[at] = value;
        }
        if let Some(cut) = cut {
            jpeg.truncate(cut.index(jpeg.len()));
        }
        if let (Ok(rewritten), Some(before)) = (rewrite(&jpeg), pixels(&jpeg)) {
            prop_assert!(pixels(&rewritten.bytes) == Some(before));
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut jpeg = vec![0xff, 0xd8];
        jpeg.extend(&bytes);
        prop_assert!(rewrite(&bytes).is_err() && rewrite(&jpeg).is_err());
    }
}

#[test]
fn one_rewriter_gives_what_fresh_ones_give() {
    let mut rewriter = CropReady::new();
    for seed in 0..20 {
        let made = Made {
            width: 20 + 60 * (seed % 7) as u16,
            seed,
            ..plain()
        };
        let jpeg = made.jpeg();
        assert!(rewrite_with(&mut rewriter, &jpeg[..jpeg.len() / 2]).is_err());
        assert_eq!(rewrite_with(&mut rewriter, &jpeg), rewrite(&jpeg));
    }
}

#[test]
fn a_row_of_a_prime_number_of_mcus_is_one_segment() {
    let made = Made {
        width: 375,
        sampling: SamplingFactor::F_1_1,
        ..plain()
    };
    assert_eq!(rewrite(&made.jpeg()).unwrap().restart_mcus, 47);
}

#[test]
fn truncated_files_are_kept() {
    for progressive in [false, true] {
        let jpeg = Made {
            progressive,
            ..plain()
        }
        .jpeg();
        for length in 0..jpeg.len() - 1 {
            assert!(rewrite(&jpeg[..length]).is_err(), "{length} bytes");
        }
    }
    let jpeg = plain().jpeg();
    assert_eq!(rewrite(&jpeg[..jpeg.len() - 40]), Err(KeptAsIs::Damaged));
}

#[test]
fn exif_comments_and_unknown_segments_stay_and_what_lies_behind_the_end_goes() {
    let added = [
        (0xe1, b"Exif\0\0MM\0\x2a and more".to_vec()),
        (0xe1, b"http://ns.adobe.com/xap/1.0/\0<x/>".to_vec()),
        (0xfe, b"first".to_vec()),
        (0xed, vec![7; 65_533]),
        (0xfe, b"second".to_vec()),
        (0xee, b"not the Adobe marker".to_vec()),
    ];
    let mut jpeg = with_segments(&plain().jpeg(), &added);
    let expected = metadata(&jpeg);
    let multi_picture = (0xe2, b"MPF\0II and so on".to_vec());
    jpeg = with_segments(&jpeg, &[multi_picture]);
    let once = rewrite(&jpeg).unwrap();
    assert_eq!(metadata(&once.bytes), expected);
    jpeg.extend(b"a film of two seconds");
    assert_eq!(rewrite(&jpeg).unwrap(), once);
}

#[test]
fn colours_that_markers_tell_stay() {
    let adobe = |transform| {
        (
            0xee,
            [b"Adobe\0\x64\0\0\0\0".as_slice(), &[transform]].concat(),
        )
    };
    let ycbcr = plain().jpeg();
    let mut seen = Vec::new();
    for transform in [0, 1] {
        let jpeg = with_segments(&ycbcr, &[adobe(transform)]);
        let rewritten = rewrite(&jpeg).unwrap();
        assert_eq!(metadata(&rewritten.bytes)[0], adobe(transform));
        let before = pixels(&jpeg).unwrap();
        assert!(pixels(&rewritten.bytes).unwrap() == before);
        seen.push(before);
    }
    assert!(seen[0] != seen[1], "the marker matters to the decoder");
    // Component ids R, G and B, and no JFIF marker, mean RGB.
    let mut rgb = ycbcr.clone();
    for (i, id) in b"RGB".iter().enumerate() {
        let frame = rgb.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
        let scan = rgb.windows(2).position(|two| two == [0xff, 0xda]).unwrap();
        rgb[frame + 10 + 3 * i] = *id;
        rgb[scan + 5 + 2 * i] = *id;
    }
    rgb.drain(2..20);
    assert_eq!(&rgb[2..3], [0xff], "JFIF is gone");
    let rewritten = rewrite(&rgb).unwrap();
    let before = pixels(&rgb).unwrap();
    assert!(pixels(&rewritten.bytes).unwrap() == before && before == seen[0]);
}

#[test]
fn an_srgb_profile_goes_and_another_stays() {
    let jpeg = plain().jpeg();
    for (profile, stays) in [
        (profile(0.4361, 2.4), false),
        (profile(0.6097, 2.4), true),
        (profile(0.4361, 2.2), true),
        (b"not a profile".to_vec(), true),
    ] {
        let half = profile.len() / 2;
        let part = |number: u8, data: &[u8]| {
            (
                0xe2,
                [b"ICC_PROFILE\0".as_slice(), &[number, 2], data].concat(),
            )
        };
        let with = with_segments(
            &jpeg,
            &[part(1, &profile[..half]), part(2, &profile[half..])],
        );
        let expected = metadata(if stays { &with } else { &jpeg });
        assert_eq!(metadata(&rewrite(&with).unwrap().bytes), expected);
        // One that is not whole cannot be judged.
        let broken = with_segments(&jpeg, &[part(2, &profile)]);
        assert_eq!(
            metadata(&rewrite(&broken).unwrap().bytes),
            metadata(&broken)
        );
    }
}

/// A profile of sRGB's colourants, but for red's X, and of sRGB's curve, but for its exponent.
fn profile(red_x: f64, gamma: f64) -> Vec<u8> {
    let fixed = |x: f64| ((x * 65536.0).round() as i32).to_be_bytes();
    let colourant = |xyz: [f64; 3]| [b"XYZ \0\0\0\0".to_vec(), xyz.map(fixed).concat()].concat();
    let numbers = [gamma, 1.0 / 1.055, 0.055 / 1.055, 1.0 / 12.92, 0.04045];
    let curve = [
        b"para\0\0\0\0\0\x03\0\0".to_vec(),
        numbers.map(fixed).concat(),
    ]
    .concat();
    let tags = [
        (b"rXYZ", colourant([red_x, 0.2225, 0.0139])),
        (b"gXYZ", colourant([0.3851, 0.7169, 0.0971])),
        (b"bXYZ", colourant([0.1431, 0.0606, 0.7141])),
        (b"rTRC", curve.clone()),
        (b"gTRC", curve.clone()),
        (b"bTRC", curve),
    ];
    let mut bytes = vec![0; 128];
    bytes[12..24].copy_from_slice(b"mntrRGB XYZ ");
    bytes[36..40].copy_from_slice(b"acsp");
    bytes.extend((tags.len() as u32).to_be_bytes());
    let mut at = bytes.len() + 12 * tags.len();
    for (name, data) in &tags {
        bytes.extend_from_slice(*name);
        bytes.extend((at as u32).to_be_bytes());
        bytes.extend((data.len() as u32).to_be_bytes());
        at += data.len();
    }
    bytes.extend(tags.iter().flat_map(|(_, data)| data));
    bytes
}

#[test]
fn limits_are_kept() {
    let mut large = plain().jpeg();
    let frame = large
        .windows(2)
        .position(|two| two == [0xff, 0xc0])
        .unwrap();
    large[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    assert_eq!(rewrite(&large), Err(KeptAsIs::TooLarge));

    // Within the limit on pixels, but not on coefficients: 11,585 squared, three components at full size.
    let full = Made {
        sampling: SamplingFactor::F_1_1,
        ..plain()
    };
    let mut large = full.jpeg();
    let frame = large
        .windows(2)
        .position(|two| two == [0xff, 0xc0])
        .unwrap();
    large[frame + 5..frame + 9].copy_from_slice(&[0x2d, 0x41, 0x2d, 0x41]);
    assert_eq!(rewrite(&large), Err(KeptAsIs::TooLarge));

    let mut scans = Made {
        progressive: true,
        ..plain()
    }
    .jpeg();
    let scan = scans
        .windows(2)
        .rposition(|two| two == [0xff, 0xda])
        .unwrap();
    let last = scans[scan..scans.len() - 2].to_vec();
    scans.truncate(scans.len() - 2);
    for _ in 0..1000 {
        scans.extend(&last);
    }
    scans.extend([0xff, 0xd9]);
    assert_eq!(rewrite(&scans), Err(KeptAsIs::TooManyScans));
}

#[test]
fn markers_where_decoders_disagree_about_them_are_kept() {
    let progressive = Made {
        progressive: true,
        ..plain()
    }
    .jpeg();
    let scan = progressive
        .windows(2)
        .rposition(|two| two == [0xff, 0xda])
        .unwrap();
    let mut late = progressive.clone();
    late.splice(scan..scan, [0xff, 0xfe, 0, 4, b'h', b'i']);
    assert_eq!(rewrite(&late), Err(KeptAsIs::LateMetadata));
    assert!(rewrite(&progressive).is_ok());
}

/// Sequential with a scan for each component and chroma of half the height: the loader refuses it, libjpeg reads it, and
/// what it becomes is decoded like the file that the encoder writes in one scan.
#[test]
fn a_file_that_only_libjpeg_decodes_is_made_readable() {
    let made = Made {
        width: 60,
        height: 50,
        colours: ColorType::Rgb,
        sampling: SamplingFactor::F_2_2,
        quality: 90,
        progressive: false,
        restart: 0,
        optimised: true,
        seed: 5,
    };
    let jpeg = made.jpeg();
    assert_eq!(pixels(&jpeg), None);
    let rewritten = CropReady::new().rewrite(&jpeg, None).unwrap();
    let in_one_scan = Made {
        optimised: false,
        ..made
    }
    .jpeg();
    assert_eq!(pixels(&rewritten.bytes), pixels(&in_one_scan));
    assert!(pixels(&rewritten.bytes).is_some());
}
