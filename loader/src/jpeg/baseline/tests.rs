use jpeg_encoder::{ColorType, SamplingFactor};
use proptest::prelude::*;

use super::*;
use crate::fixture::encode;
use crate::jpeg::decoder::decode_by_zune;

/// Decodes all of a JPEG that is decoded here.
fn decode(instructions: Instructions, jpeg: &[u8]) -> Result<Vec<u8>, SampleProblem> {
    let mut baseline = Baseline {
        instructions,
        ..Baseline::default()
    };
    let Parsed { header, frame } = baseline.parse(jpeg)?;
    let whole = CropBox::whole(header.size.width, header.size.height);
    let mut rgb = vec![0; whole.width as usize * whole.height as usize * 3];
    let frame = frame.expect("a frame that is decoded here");
    baseline.decode(jpeg, &header, &frame, whole, &mut rgb)?;
    Ok(rgb)
}

const SAMPLINGS: [SamplingFactor; 4] = [
    SamplingFactor::F_1_1,
    SamplingFactor::F_2_1,
    SamplingFactor::F_1_2,
    SamplingFactor::F_2_2,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// From flat to noise, from good to bad quality.
    #[test]
    fn pixels_are_those_of_zune_jpeg(
        (width, height) in (1_u16..90, 1_u16..90), seed: u32, noise in 1_u32..256, quality in 1_u8..=100,
        sampling in 0..=SAMPLINGS.len(), interval in 0_u16..9,
    ) {
        let color = if sampling < SAMPLINGS.len() { ColorType::Rgb } else { ColorType::Luma };
        let channels = if sampling < SAMPLINGS.len() { 3 } else { 1 };
        let mut state = seed | 1;
        let pixels: Vec<u8> = (0..u32::from(width) * u32::from(height) * channels).map(|at| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (at / 11 + (state >> 24) % noise) as u8
        }).collect();
        let jpeg = encode(&pixels, width, height, color, |encoder| {
            encoder.set_quality(quality);
            if let Some(&factor) = SAMPLINGS.get(sampling) {
                encoder.set_sampling_factor(factor);
            }
            encoder.set_restart_interval(interval);
        });
        let expected = decode_by_zune(&jpeg).unwrap();
        for instructions in [Instructions::Portable, Instructions::default()] {
            let found = decode(instructions, &jpeg).unwrap();
            prop_assert!(found == expected, "{instructions:?}");
        }
    }
}
