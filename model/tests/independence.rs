//! A sample's result must not depend on what it is batched with, nor break on flat images.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;
use sbam_model::{
    ImageSize, LossReduction, LossWeights, Mae, MaeConfig, SalienceSource, TokenMask, mask_scores,
    min_max_normalise, patchify,
};

const TOKENS: usize = 24;

fn config() -> MaeConfig {
    MaeConfig {
        image_size: ImageSize::Rectangle([16, 24]),
        patch_size: 4,
        dim: 32,
        depth: 2,
        heads: 4,
        decoder_dim: 16,
        decoder_depth: 1,
        decoder_heads: 2,
        norm_pix_loss: true,
    }
}

/// Values that look like a picture to a test: cheap, different for every seed, between -1 and 1.
fn values(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

fn images(seeds: &[u64], device: &Device) -> Tensor<3> {
    let all: Vec<f32> = seeds
        .iter()
        .flat_map(|seed| values(*seed, 16 * 24 * 3))
        .collect();
    patchify(
        Tensor::<4>::from_data(TensorData::new(all, [seeds.len(), 16, 24, 3]), device),
        4,
    )
}

fn mask(seed: u64, n_keep: usize) -> TokenMask {
    TokenMask::keep_lowest(&values(seed, TOKENS), n_keep)
}

fn losses(model: &Mae, seeds: &[u64], masks: &[TokenMask], multiple: usize) -> Vec<f32> {
    let masks: Vec<&TokenMask> = masks.iter().collect();
    let weights = vec![1.0; seeds.len()];
    let device = Device::flex();
    let output = model.forward(images(seeds, &device), &masks, &weights, multiple);
    output
        .loss_per_sample
        .into_data()
        .try_into_vec()
        .expect("f32")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_samples_loss_is_the_same_in_any_company(
        seeds in prop::collection::vec(1u64..1_000_000, 2..7), keeps in prop::collection::vec(1usize..TOKENS, 7), multiple in 1usize..9,
    ) {
        let model = Mae::new(&config(), 5, &Device::flex()).expect("valid");
        let masks: Vec<TokenMask> = seeds.iter().zip(&keeps).map(|(seed, keep)| mask(*seed, *keep)).collect();
        let together = losses(&model, &seeds, &masks, multiple);
        for (index, seed) in seeds.iter().enumerate() {
            let alone = losses(&model, &[*seed], &masks[index..=index], 1);
            prop_assert!((together[index] - alone[0]).abs() <= 1e-5 * alone[0].abs().max(1.0), "{} against {}", together[index], alone[0]);
        }
    }

    #[test]
    fn a_samples_salience_is_the_same_in_any_company(seeds in prop::collection::vec(1u64..1_000_000, 2..6)) {
        let device = Device::flex();
        let model = Mae::new(&config(), 5, &device).expect("valid");
        for source in [SalienceSource::Embedding, SalienceSource::Encoder] {
            let salience = |seeds: &[u64]| -> Vec<f32> {
                model.encoder().salience(images(seeds, &device), source, 2).into_data().try_into_vec().expect("f32")
            };
            let together = salience(&seeds);
            for (index, seed) in seeds.iter().enumerate() {
                for (ours, alone) in together[index * TOKENS..].iter().zip(salience(&[*seed])) {
                    prop_assert!((ours - alone).abs() <= 1e-5 * alone.abs().max(1.0));
                }
            }
            // Rows sum to one, so salience sums to the number of tokens.
            let sum: f32 = together[..TOKENS].iter().sum();
            prop_assert!((sum - TOKENS as f32).abs() < 1e-3, "{sum}");
        }
    }

    #[test]
    fn micro_batches_add_up_to_the_step(
        seeds in prop::collection::vec(1u64..1_000_000, 4..8), keeps in prop::collection::vec(1usize..TOKENS, 8), by_sample in any::<bool>(),
    ) {
        let reduction = if by_sample { LossReduction::Sample } else { LossReduction::Patch };
        let device = Device::flex();
        let model = Mae::new(&config(), 5, &device).expect("valid");
        let masks: Vec<TokenMask> = seeds.iter().zip(&keeps).map(|(seed, keep)| mask(*seed, *keep)).collect();
        let total = masks.iter().map(|mask| LossWeights::count(reduction, mask.n_masked(), 1.0)).sum();
        let weights = LossWeights::new(reduction, total);
        let loss = |range: std::ops::Range<usize>| -> f32 {
            let masks: Vec<&TokenMask> = masks[range.clone()].iter().collect();
            let factors: Vec<f32> = masks.iter().map(|mask| weights.of(mask.n_masked(), 1.0)).collect();
            model.forward(images(&seeds[range], &device), &masks, &factors, 1).loss.into_scalar()
        };
        let (whole, parts) = (loss(0..seeds.len()), loss(0..2) + loss(2..seeds.len()));
        prop_assert!((whole - parts).abs() <= 1e-5 * whole, "{whole} against {parts}");
    }
}

#[test]
fn a_constant_image_gives_no_nan() {
    let device = Device::flex();
    let train = device.clone().autodiff();
    let model = Mae::new(&config(), 5, &train).expect("valid");
    let flat = patchify(Tensor::<4>::full([1, 16, 24, 3], 0.3, &device), 4);
    for source in [SalienceSource::Embedding, SalienceSource::Encoder] {
        let salience: Vec<f32> = model
            .valid()
            .encoder()
            .salience(flat.clone(), source, 1)
            .into_data()
            .try_into_vec()
            .expect("f32");
        let normalised = min_max_normalise(&salience);
        assert!(
            normalised.iter().all(|value| value.is_finite()),
            "{salience:?}"
        );
        let scores = mask_scores(&normalised, &values(9, TOKENS), 0.5);
        let mask = TokenMask::keep_lowest(&scores, 6);
        let output = model.forward(Tensor::from_inner(flat.clone()), &[&mask], &[1.0 / 18.0], 1);
        let loss: f32 = output.loss.clone().into_scalar();
        assert!(loss.is_finite());
        let gradients = output.loss.backward();
        drop(gradients);
    }
}
