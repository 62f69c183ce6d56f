use jpeg_encoder::{ColorType, SamplingFactor};
use proptest::prelude::*;
use sbam_augment::{CropBox, DrawKey, Draws, Purpose};

use super::decoder::decode_by_zune;
use super::*;
use crate::error::SampleProblem;
use crate::fixture::encode;

const SAMPLINGS: [SamplingFactor; 5] = [
    SamplingFactor::F_1_1,
    SamplingFactor::F_2_1,
    SamplingFactor::F_1_2,
    SamplingFactor::F_2_2,
    SamplingFactor::F_4_1,
];

/// The first four have all components in one scan; the encoder writes the last in three, which cannot be cut.
const INTERLEAVED: usize = 4;

/// Noise over slopes, so that neighbouring pixels and rows all differ.
fn pixels(width: u16, height: u16, seed: u64, channels: u32) -> Vec<u8> {
    let mut draws = Draws::new(DrawKey {
        seed,
        epoch: 0,
        sample_index: 0,
        view: 0,
        purpose: Purpose::BuiltIn,
    });
    (0..u32::from(height))
        .flat_map(|y| (0..u32::from(width)).map(move |x| (x, y)))
        .flat_map(|(x, y)| (0..channels).map(move |c| (x, y, c)))
        .map(|(x, y, c)| (x * 3 + y * (2 + c) + draws.next_u32() % 90) as u8)
        .collect()
}

/// What stands for greyscale behind the list of samplings, and for four components, which are left to zune-jpeg.
const GREY: usize = SAMPLINGS.len();
const CMYK: usize = GREY + 1;

/// A JPEG with a restart marker every `interval` MCUs.
fn restartable(width: u16, height: u16, seed: u64, sampling: usize, interval: u16) -> Vec<u8> {
    let (color, channels) = match sampling {
        GREY => (ColorType::Luma, 1),
        CMYK => (ColorType::Cmyk, 4),
        _ => (ColorType::Rgb, 3),
    };
    encode(
        &pixels(width, height, seed, channels),
        width,
        height,
        color,
        |encoder| {
            if let Some(&factor) = SAMPLINGS.get(sampling) {
                encoder.set_sampling_factor(factor);
            }
            encoder.set_restart_interval(interval);
        },
    )
}

/// MCUs in a row.
fn columns(width: u16, sampling: usize) -> u16 {
    let mcu = match sampling {
        1 | 3 => 16,
        4 => 32,
        _ => 8,
    };
    width.div_ceil(mcu)
}

/// How many pixels were decoded for a box.
#[derive(Debug, PartialEq)]
struct Decoded {
    /// By [`Decoder`].
    here: usize,
    /// Of what [`Cutter`] leaves, by zune-jpeg.
    of_cut: usize,
}

/// Panics unless the box's pixels are those of the whole, however it is decoded.
fn compare(jpeg: &[u8], needed: CropBox) -> Decoded {
    let restart_mcus = restart_mcus(jpeg);
    let expected = decode_by_zune(jpeg).unwrap();
    let size = jpeg_size(jpeg).unwrap();
    let whole = CropBox::whole(size.width, size.height);
    let check = |pixels: &[u8], place: CropBox| {
        assert!(place.lies_inside(size.width, size.height));
        for y in needed.y..needed.y + needed.height {
            let row = |pixels: &[u8], place: CropBox| {
                let first = (y - place.y) * place.width + needed.x - place.x;
                pixels[first as usize * 3..][..needed.width as usize * 3].to_vec()
            };
            assert_eq!(
                row(pixels, place),
                row(&expected, whole),
                "row {y} of {needed:?}"
            );
        }
    };
    let mut decoder = Decoder::new();
    check(decoder.decode(jpeg).unwrap().pixels, whole);
    let Part {
        rgb,
        place,
        decoded_pixels,
    } = decoder.decode_part(jpeg, &needed, restart_mcus).unwrap();
    assert_eq!((rgb.width, rgb.height), (place.width, place.height));
    check(rgb.pixels, place);
    let mut cutter = Cutter::new();
    let cut = match restart_mcus {
        0 => cutter.cut_below(jpeg, &needed),
        _ => cutter.cut(jpeg, &needed, restart_mcus),
    };
    let cut = cut.unwrap().unwrap_or(Cut { jpeg, part: whole });
    check(&decode_by_zune(cut.jpeg).unwrap(), cut.part);
    Decoded {
        here: decoded_pixels as usize,
        of_cut: (cut.part.width * cut.part.height) as usize,
    }
}

fn box_in(width: u16, height: u16) -> impl Strategy<Value = CropBox> {
    let side = |length: u32| {
        prop_oneof![
            (0..length).prop_flat_map(move |start| (Just(start), 1..=length - start)),
            (0..length).prop_map(|start| (start, 1)),
            (1..=length).prop_map(|short| (0, short)),
            (1..=length).prop_map(move |short| (length - short, short)),
        ]
    };
    (side(width.into()), side(height.into())).prop_map(|(across, down)| CropBox {
        x: across.0,
        y: down.0,
        width: across.1,
        height: down.1,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn pixels_inside_the_box_are_those_of_the_whole(
        (width, height, needed) in (1_u16..260, 1_u16..200).prop_flat_map(|(w, h)| (Just(w), Just(h), box_in(w, h))),
        seed: u64, sampling in 0..=CMYK, choice: prop::sample::Index, whole_rows: bool,
    ) {
        let columns = columns(width, sampling);
        let divisors: Vec<u16> = (1..=columns).filter(|&k| columns.is_multiple_of(k)).collect();
        let interval = if whole_rows { columns * (1 + choice.index(3) as u16) } else { divisors[choice.index(divisors.len())] };
        let jpeg = restartable(width, height, seed, sampling, interval);
        let cuttable = !(INTERLEAVED..GREY).contains(&sampling);
        prop_assert_eq!(restart_mcus(&jpeg), if cuttable { interval.into() } else { 0 });
        compare(&jpeg, needed);
    }

    #[test]
    fn other_intervals_and_other_jpegs_are_not_cut_but_below(
        width in 20_u16..120, height in 20_u16..90, seed: u64, interval in 0_u16..12, progressive: bool,
    ) {
        let jpeg = encode(&pixels(width, height, seed, 3), width, height, ColorType::Rgb, |encoder| {
            encoder.set_sampling_factor(SamplingFactor::F_1_1);
            encoder.set_restart_interval(interval);
            encoder.set_progressive(progressive);
        });
        let columns = width.div_ceil(8);
        let divides = interval > 0 && (columns.is_multiple_of(interval) || interval.is_multiple_of(columns));
        let expected = if divides && !progressive { interval } else { 0 };
        prop_assert_eq!(restart_mcus(&jpeg), u32::from(expected));
        let decoded = compare(&jpeg, CropBox { x: 3, y: 4, width: 2, height: 2 });
        let all = usize::from(width) * usize::from(height);
        prop_assert_eq!(decoded.here, if progressive { all } else { 8 * 8 });
        if expected == 0 {
            // Down to the end of the box, unless it takes all scans to have any row.
            prop_assert_eq!(decoded.of_cut, if progressive { all } else { usize::from(width) * 8 });
        }
    }

    #[test]
    fn a_jpeg_without_restart_markers_gives_the_pixels_of_the_whole(
        (width, height, needed) in (1_u16..120, 1_u16..150).prop_flat_map(|(w, h)| (Just(w), Just(h), box_in(w, h))),
        seed: u64, sampling in 0..=CMYK,
    ) {
        compare(&restartable(width, height, seed, sampling, 0), needed);
    }

    /// Markers stay, so the part is cut; what is missing in it must not be filled with what was decoded before.
    #[test]
    fn damaged_segments_show_nothing_of_the_photograph_before(
        sampling in 0..=CMYK, whole_rows: bool, needed in box_in(90, 70), keep in 0_usize..4,
        damaged in prop::collection::vec(any::<bool>(), 64),
    ) {
        let columns = columns(90, sampling);
        let interval = if whole_rows { columns } else { columns / (2 - columns % 2) };
        let jpeg = restartable(90, 70, 7, sampling, interval);
        let mut cut = Vec::new();
        let mut at = 0;
        let ends = markers(&jpeg).into_iter().chain([jpeg.len() - 2]);
        for (end, damaged) in ends.zip(damaged) {
            // The first segment has the header before it.
            let keep = if damaged && at > 0 { keep.min(end - at) } else { end - at };
            cut.extend(&jpeg[at..at + keep]);
            cut.extend(&jpeg[end..end + 2]);
            at = end + 2;
        }
        let decode = |decoder: &mut Decoder| {
            decoder
                .decode_part(&cut, &needed, restart_mcus(&cut))
                .map(|part| part.rgb.pixels.to_vec())
                .map_err(|problem| problem.to_string())
        };
        let mut used = Decoder::new();
        let white = encode(&vec![255; 90 * 70 * 3], 90, 70, ColorType::Rgb, |_| {});
        used.decode(&white).unwrap();
        prop_assert_eq!(decode(&mut used), decode(&mut Decoder::new()));
    }

    #[test]
    fn no_damage_makes_it_panic(
        sampling in 0..=CMYK, needed in box_in(70, 50),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        length: prop::sample::Index, shorten: bool,
    ) {
        let mut jpeg = restartable(70, 50, 1, sampling, columns(70, sampling));
        for (at, value) in changes {
            *at.get_mut(&mut jpeg) = value;
        }
        if shorten {
            jpeg.truncate(length.index(jpeg.len()));
        }
        let _ = (restart_mcus(&jpeg), Decoder::new().decode_part(&jpeg, &needed, columns(70, sampling).into()).map(|part| part.place));
    }
}

#[test]
fn a_box_takes_few_pixels_more_than_its_own() {
    // 500x375 at 4:2:0: 32 MCUs a row, markers every 4 (64 pixels).
    let jpeg = restartable(500, 375, 5, 3, 4);
    let needed = CropBox {
        x: 130,
        y: 100,
        width: 100,
        height: 90,
    };
    let decoded = |here, of_cut| Decoded { here, of_cut };
    // Columns 128 to 232 decide: segments from 128 to 256, MCUs from 128 to 240; rows 98 to 192: 96 to 192.
    assert_eq!(compare(&jpeg, needed), decoded(112 * 96, 128 * 96));
    let one_to_the_left = CropBox {
        x: 129,
        width: 101,
        ..needed
    };
    assert_eq!(compare(&jpeg, one_to_the_left), decoded(128 * 96, 192 * 96));
    let at_the_end = CropBox {
        x: 490,
        y: 370,
        width: 10,
        height: 5,
    };
    // The last 52 pixels of the row and the last 7 rows; the last two MCUs, of which much is outside.
    assert_eq!(compare(&jpeg, at_the_end), decoded(32 * 16, 52 * 7));
}

#[test]
fn a_row_of_47_mcus_is_cut_by_rows_alone() {
    let jpeg = restartable(375, 500, 5, 0, 47);
    assert_eq!(restart_mcus(&jpeg), 47);
    let needed = CropBox {
        x: 100,
        y: 100,
        width: 30,
        height: 30,
    };
    let decoded = compare(&jpeg, needed);
    assert_eq!(decoded.of_cut, 375 * 40);
    assert_eq!(decoded.here, 40 * 40);
}

fn problem(jpeg: &[u8], interval: u32) -> SampleProblem {
    let needed = CropBox {
        x: 0,
        y: 0,
        width: 1,
        height: 1,
    };
    Decoder::new()
        .decode_part(jpeg, &needed, interval)
        .map(|part| part.place)
        .unwrap_err()
}

/// Where the restart markers stand.
fn markers(jpeg: &[u8]) -> Vec<usize> {
    (2..jpeg.len() - 1)
        .filter(|&at| jpeg[at] == 0xff && (0xd0..=0xd7).contains(&jpeg[at + 1]))
        .collect()
}

/// Far from the box, which would decode well: what is wrong is in segments that are not looked into.
#[test]
fn markers_out_of_place_are_an_error_with_their_place() {
    let jpeg = restartable(120, 160, 3, 0, 5);
    let places = markers(&jpeg);
    assert_eq!(places.len(), 3 * 20 - 1);
    let at = places[40];

    let mut wrong = jpeg.clone();
    wrong[at + 1] = 0xd7;
    assert!(matches!(problem(&wrong, 5), SampleProblem::Restart { at: found, .. } if found == at));

    let mut missing = jpeg.clone();
    missing.drain(at..at + 2);
    assert!(
        problem(&missing, 5)
            .to_string()
            .contains("restart marker 1 where 0 should be")
    );

    let mut unmarked = jpeg.clone();
    unmarked[at] = 0;
    assert!(matches!(
        problem(&unmarked, 5),
        SampleProblem::Restart { .. }
    ));

    let mut doubled = jpeg.clone();
    doubled.splice(at..at, [0xff, 0xd0]);
    assert!(matches!(
        problem(&doubled, 5),
        SampleProblem::Restart { .. }
    ));

    let end = jpeg.len() - 2;
    let mut one_more = jpeg.clone();
    one_more.splice(end..end, [0xff, 0xd3]);
    assert!(
        problem(&one_more, 5)
            .to_string()
            .contains("after the last of 60")
    );

    let mut early_end = jpeg[..at].to_vec();
    early_end.extend([0xff, 0xd9]);
    assert!(
        problem(&early_end, 5)
            .to_string()
            .contains("ends after segment 41 of 60")
    );

    for wrong in [wrong, missing, unmarked, doubled, one_more, early_end] {
        assert_eq!(restart_mcus(&wrong), 0);
    }
}

#[test]
fn a_jpeg_cut_short_anywhere_is_an_error() {
    let jpeg = restartable(60, 60, 3, 3, 2);
    for length in 2..jpeg.len() {
        let problem = problem(&jpeg[..length], 2);
        assert!(
            matches!(
                problem,
                SampleProblem::CutShort { .. } | SampleProblem::Truncated { .. }
            ),
            "{length}: {problem}"
        );
    }
    let far = &jpeg[..markers(&jpeg)[5] + 9];
    assert_eq!(
        problem(far, 2).to_string(),
        format!(
            "JPEG of {} bytes ends inside its scan, in segment 7 of 8",
            far.len()
        )
    );
}

#[test]
fn fill_bytes_before_markers_are_allowed() {
    let jpeg = restartable(60, 60, 3, 0, 4);
    let mut filled = jpeg.clone();
    for at in markers(&jpeg).into_iter().rev() {
        filled.splice(at..at, [0xff, 0xff]);
    }
    assert_eq!(restart_mcus(&filled), 4);
    let needed = CropBox {
        x: 33,
        y: 20,
        width: 9,
        height: 9,
    };
    let part = |jpeg: &[u8]| {
        Decoder::new()
            .decode_part(jpeg, &needed, restart_mcus(jpeg))
            .unwrap()
            .rgb
            .pixels
            .to_vec()
    };
    assert_eq!(part(&filled), part(&jpeg));
}

#[test]
fn another_interval_than_expected_is_an_error() {
    let ready = restartable(60, 60, 3, 0, 4);
    let differs = |found, manifest| SampleProblem::RestartDiffers { found, manifest };
    assert_eq!(problem(&ready, 2), differs(4, 2));
    assert_eq!(problem(&restartable(60, 60, 3, 0, 3), 2), differs(0, 2));
    assert_eq!(problem(&restartable(60, 60, 3, 0, 0), 4), differs(0, 4));
}

/// A header of 65,535 by 65,535 pixels neither allocates for them nor for their 67 million segments.
#[test]
fn an_enormous_header_is_refused() {
    let mut jpeg = restartable(60, 60, 3, 0, 1);
    let frame = jpeg
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    jpeg[frame + 5..frame + 9].fill(0xff);
    assert!(matches!(problem(&jpeg, 1), SampleProblem::TooLarge { .. }));
    assert_eq!(restart_mcus(&jpeg), 0);
    // Within the limit of pixels, but far more segments than bytes.
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x20, 0, 0x20, 0]);
    assert!(matches!(problem(&jpeg, 1), SampleProblem::Truncated { .. }));
    let one = CropBox {
        x: 0,
        y: 0,
        width: 1,
        height: 1,
    };
    let cut = Cutter::new().cut(&jpeg, &one, 1).map(|_| ());
    assert!(matches!(cut, Err(SampleProblem::CutShort { .. })));
    assert_eq!(restart_mcus(&jpeg), 0);
}
