//! The masks of step t are those that the weights left by step t − 1 give.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use sbam_augment::{DrawKey, Draws, Purpose, RandomResizedCrop, TrainView};
use sbam_loader::{Batch, Dataset, Loader, LoaderConfig};
use sbam_tests::{RunFolder, Trainer, write_photographs};

const BINARY: &str = env!("CARGO_BIN_EXE_trainer-under-test");
const TOKENS: usize = 16;
const BATCH: usize = 16;

#[test]
fn masks_are_made_by_the_weights_of_the_step_before() {
    let folder = tempfile::tempdir().expect("a folder");
    write_photographs(&folder.path().join("photographs"), 80);
    let shards = folder.path().join("shards");
    let stop = std::sync::atomic::AtomicBool::new(false);
    sbam_tools::pack_image_folder(
        &folder.path().join("photographs"),
        &shards,
        &sbam_tools::PackOptions::default(),
        &stop,
        &mut |_| {},
    )
    .expect("packed");
    let trainer = || Trainer::new(BINARY, folder.path());
    let out = folder.path().join("run");
    // A high learning rate, so that every step's weights give masks of their own.
    let settings = [
        "data.batch_size=16",
        "optim.accumulate=1",
        "checkpoint.every_steps=1",
        "checkpoint.keep_last=9",
        "train.epochs=1",
        "optim.lr=0.02",
        "optim.warmup_epochs=0",
    ];
    settings
        .iter()
        .fold(trainer().small_run(&shards, &out), |run, setting| {
            run.set(setting)
        })
        .succeeds();
    let run = RunFolder::new(&out);
    let logged: BTreeMap<(i64, i64), (i32, Vec<u8>)> = run
        .mask_rows()
        .into_iter()
        .map(|row| ((row.step, row.sample_index), (row.n_keep, row.mask)))
        .collect();

    let batches = batches_of_the_run(&shards);
    assert_eq!(batches.len(), 5);
    let mut differ_from_older_weights = 0;
    for step in 1..batches.len() {
        let input = folder.path().join("input.safetensors");
        write_input(&batches[step], &input);
        for older in [0, 1].into_iter().filter(|older| step > *older) {
            let output = folder.path().join("output.safetensors");
            trainer()
                .arg("forward")
                .path("--config", &run.path("config.resolved.toml"))
                .path(
                    "--weights",
                    &run.path(&format!(
                        "checkpoints/step-{:08}/model.safetensors",
                        step - older
                    )),
                )
                .path("--input", &input)
                .path("--output", &output)
                .succeeds();
            let masks = read_masks(&output);
            let same =
                batches[step]
                    .samples()
                    .iter()
                    .zip(&masks)
                    .all(|(sample, (n_keep, mask))| {
                        let (logged_keep, logged_mask) =
                            &logged[&(step as i64, sample.sample_index as i64)];
                        logged_keep == n_keep && logged_mask == mask
                    });
            if older == 0 {
                assert!(
                    same,
                    "step {step}: the log differs from what its weights give"
                );
            } else {
                differ_from_older_weights += usize::from(!same);
            }
        }
    }
    assert!(
        differ_from_older_weights > 0,
        "the test can tell one step's weights from another's"
    );
}

/// The run's batches, by the loader alone.
fn batches_of_the_run(shards: &std::path::Path) -> Vec<Batch> {
    let dataset = Dataset::open(&shards.to_string_lossy(), shards, &mut |_, _| {}).expect("opened");
    let config = LoaderConfig {
        seed: 0,
        batch_size: BATCH,
        global_batch: BATCH as u64,
        streams: 4,
        window_shards: 8,
        threads: 2,
        prefetch_batches: 8,
        out_width: 32,
        out_height: 32,
        view: TrainView {
            crop: RandomResizedCrop {
                scale: [0.2, 1.0],
                ratio: [0.75, 1.333_333_333_333_333_3],
            },
            hflip: 0.5,
            ..TrainView::default()
        },
        epochs: 1,
        verify_crc: true,
        ..LoaderConfig::default()
    };
    let mut loader = Loader::start(Arc::new(dataset), config, None).expect("started");
    let mut batches = Vec::new();
    while let Some(batch) = loader.next_batch().expect("a batch") {
        batches.push(batch);
    }
    batches
}

/// `images` [N, 3, H, W] normalised as the trainer does, and `noise` [N, L] from the sample's own generator.
fn write_input(batch: &Batch, path: &std::path::Path) {
    let (mean, std) = ([0.485f32, 0.456, 0.406], [0.229f32, 0.224, 0.225]);
    let (side, count) = (32, batch.samples().len());
    let mut images = Vec::with_capacity(batch.pixels().len());
    for image in batch.pixels().chunks(side * side * 3) {
        for channel in 0..3 {
            let (scale, shift) = (1.0 / (255.0 * std[channel]), -mean[channel] / std[channel]);
            images.extend(
                (0..side * side).map(|pixel| f32::from(image[pixel * 3 + channel]) * scale + shift),
            );
        }
    }
    let noise: Vec<f32> = batch
        .samples()
        .iter()
        .flat_map(|sample| {
            let mut draws = Draws::new(DrawKey {
                seed: 0,
                epoch: batch.epoch(),
                sample_index: sample.sample_index,
                view: 0,
                purpose: Purpose::Mask,
            });
            (0..TOKENS)
                .map(move |_| draws.uniform_f32())
                .collect::<Vec<f32>>()
        })
        .collect();
    let bytes = |values: &[f32]| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    let (images, noise) = (bytes(&images), bytes(&noise));
    let tensors = [
        (
            "images",
            TensorView::new(Dtype::F32, vec![count, 3, side, side], &images).expect("fits"),
        ),
        (
            "noise",
            TensorView::new(Dtype::F32, vec![count, TOKENS], &noise).expect("fits"),
        ),
    ];
    fs::write(path, serialize(tensors, None).expect("serialised")).expect("written");
}

/// `n_keep` and the packed mask of every sample.
fn read_masks(path: &std::path::Path) -> Vec<(i32, Vec<u8>)> {
    let bytes = fs::read(path).expect("read");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let floats = |name: &str| -> Vec<f32> {
        let (chunks, _) = tensors
            .tensor(name)
            .expect("present")
            .data()
            .as_chunks::<4>();
        chunks
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect()
    };
    let (n_keep, mask) = (floats("n_keep"), floats("mask"));
    n_keep
        .iter()
        .zip(mask.chunks(TOKENS))
        .map(|(n_keep, mask)| {
            let packed = mask
                .chunks(8)
                .map(|eight| eight.iter().fold(0u8, |byte, bit| byte << 1 | *bit as u8))
                .collect();
            (*n_keep as i32, packed)
        })
        .collect()
}
