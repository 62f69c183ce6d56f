//! Painting, encoding and writing many samples.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};
use sbam_loader::jpeg_size;

use super::class::CLASSES;
use super::outline::Coverage;
use super::scene::Scene;
use super::{SEED, VERSION};
use crate::ordered::{Limits, map_in_order};
use crate::shard_writer::{NewSample, ShardSetWriter};
use crate::stop::check;

/// JPEG quality of the pictures, a camera's usual.
const QUALITY: u8 = 90;

/// How much to generate, and how.
#[derive(Clone, Copy)]
pub(super) struct Generate {
    pub(super) samples: u64,
    pub(super) shards: u64,
    pub(super) threads: usize,
}

/// Generates the shards and the manifest into `folder`, which exists and is empty.
pub(super) fn generate(
    folder: &Path,
    options: Generate,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<()> {
    let Generate {
        samples,
        shards,
        threads,
    } = options;
    let mut writer = ShardSetWriter::new(folder, "train");
    // No job is larger than another, so the number of jobs is limit enough.
    let limits = Limits {
        threads,
        bytes: u64::MAX,
    };
    let mut done = 0;
    map_in_order(
        limits,
        (0..samples).map(|index| (index, 0)),
        Coverage::default,
        |coverage, index| encode(&Scene::paint(index, coverage)),
        |encoded: Result<Encoded>| {
            check(stop)?;
            let Encoded {
                class_index,
                jpeg,
                truth,
            } = encoded?;
            // Cuts after equal shares of the samples.
            if done * shards / samples != done.saturating_sub(1) * shards / samples {
                writer.end_shard()?;
            }
            let size = jpeg_size(&jpeg)?;
            writer.append(NewSample {
                key: &format!("{done:06}"),
                crc32c: crc32c::crc32c(&jpeg),
                jpeg,
                width: size.width,
                height: size.height,
                restart_mcus: 0,
                label: Some(class_index as i32),
                json: Some(truth),
            })?;
            done += 1;
            progress(done, samples);
            Ok(())
        },
    )?;
    let class_names = CLASSES.iter().map(|class| class.name.to_owned()).collect();
    writer.finish(
        class_names,
        Some(SEED),
        format!("sbam built-in data set v{VERSION}"),
    )?;
    Ok(())
}

/// A sample's members.
struct Encoded {
    class_index: usize,
    jpeg: Vec<u8>,
    truth: String,
}

fn encode(scene: &Scene) -> Result<Encoded> {
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    encoder.encode(
        &scene.rgb,
        scene.width as u16,
        scene.height as u16,
        ColorType::Rgb,
    )?;
    Ok(Encoded {
        class_index: scene.class_index,
        jpeg,
        truth: scene.truth(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_folder::files;
    use sbam_loader::Manifest;

    static GO_ON: AtomicBool = AtomicBool::new(false);

    fn few(threads: usize) -> Generate {
        Generate {
            samples: 30,
            shards: 4,
            threads,
        }
    }

    #[test]
    fn bytes_are_the_same_at_any_thread_count() {
        let made = [1, 3].map(|threads| {
            let folder = tempfile::tempdir().unwrap();
            generate(folder.path(), few(threads), &GO_ON, &mut |_, _| {}).unwrap();
            files(folder.path())
        });
        assert!(made[0] == made[1]);
        assert_eq!(made[0].len(), 5, "four shards and a manifest");
    }

    /// Fails when a change alters the pictures: then raise [`VERSION`], so that caches hold what the code makes.
    #[test]
    fn this_version_gives_these_bytes() {
        let mut coverage = Coverage::default();
        let sum = (0..20).fold(0, |sum, index| {
            let encoded = encode(&Scene::paint(index, &mut coverage)).unwrap();
            crc32c::crc32c_append(
                crc32c::crc32c_append(sum, &encoded.jpeg),
                encoded.truth.as_bytes(),
            )
        });
        assert_eq!((VERSION, sum), (1, 0xfd2d_334f));
    }

    #[test]
    fn the_truth_about_every_object_is_possible_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        generate(folder.path(), few(2), &GO_ON, &mut |_, _| {}).unwrap();
        let manifest = Manifest::read(&folder.path().join(Manifest::FILE_NAME)).unwrap();
        let mut row = manifest.samples.iter();
        for shard in &manifest.shards {
            let path = folder.path().join(&shard.name);
            let tar = webdataset::shard::TarFiles::open(path.to_str().unwrap()).unwrap();
            for sample in webdataset::shard::group_by_keys(tar) {
                let (sample, row) = (sample.unwrap(), row.next().unwrap());
                let json = sample.get("json").unwrap().as_bytes().unwrap();
                let truth: serde_json::Value = serde_json::from_slice(json).unwrap();
                let number = |value: &serde_json::Value| value.as_u64().unwrap();
                let (width, height) = (number(&truth["width"]), number(&truth["height"]));
                assert_eq!((row.width as u64, row.height as u64), (width, height));
                assert!((160..=320).contains(&width) && (160..=320).contains(&height));
                let bounds: Vec<u64> = truth["box"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(number)
                    .collect();
                let [x, y, box_width, box_height] = bounds[..] else {
                    panic!("{bounds:?}")
                };
                assert!(x + box_width <= width && y + box_height <= height);
                let fraction = truth["object_fraction"].as_f64().unwrap();
                let box_fraction = (box_width * box_height) as f64 / (width * height) as f64;
                assert!(fraction > 0.25 * box_fraction && fraction <= box_fraction);
                let class = manifest.class_names[row.label.unwrap() as usize].as_str();
                assert_eq!(truth["class"].as_str(), Some(class));
            }
        }
    }
}
