//! Writing samples to shards, and the manifest that describes them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sbam_loader::{Manifest, Sample, Shard};

use crate::shard_file::OpenShard;

/// A sample to be written.
pub struct NewSample<'a> {
    /// Name of the sample, unique over the data set, without dots and slashes.
    pub key: &'a str,
    /// The JPEG file's bytes, as they are to be written.
    pub jpeg: Vec<u8>,
    /// CRC-32C of `jpeg`.
    pub crc32c: u32,
    /// Width in pixels, from the frame header.
    pub width: u32,
    /// Height in pixels, from the frame header.
    pub height: u32,
    /// MCUs between two restart markers of `jpeg`; 0 if it is not crop-ready.
    pub restart_mcus: u32,
    /// Class index, if the data set has labels.
    pub label: Option<i32>,
    /// What else is known about the sample, as JSON.
    pub json: Option<String>,
}

/// Writes a set of shards `PREFIX-000000.tar`, `PREFIX-000001.tar`, … and, last, `manifest.parquet`.
///
/// The shards are plain `WebDataset` tars: members `KEY.cls` (class index in ASCII), `KEY.jpg` and `KEY.json`, in this
/// order, as far as the sample has them. The same samples give the same bytes: times are 0 and owners fixed.
///
/// It writes into a folder that exists. Making that folder appear only when complete is the caller's part.
pub struct ShardSetWriter {
    folder: PathBuf,
    prefix: String,
    open: Option<OpenShard>,
    shards: Vec<Shard>,
    samples: Vec<Sample>,
}

impl ShardSetWriter {
    /// A writer into `folder`, which exists.
    pub fn new(folder: &Path, prefix: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            prefix: prefix.to_owned(),
            open: None,
            shards: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// Appends a sample to the current shard, or begins one if there is none.
    pub fn append(&mut self, sample: NewSample<'_>) -> Result<()> {
        let NewSample {
            key,
            jpeg,
            crc32c,
            width,
            height,
            restart_mcus,
            label,
            json,
        } = sample;
        let valid_key = !key.is_empty() && !key.contains(['.', '/', '\0']);
        ensure!(
            valid_key,
            "{key:?} cannot be a key: it is empty or holds a dot, a slash or a NUL"
        );
        let length = i32::try_from(jpeg.len()).with_context(|| {
            format!("sample {key} is too long for a shard: {} bytes", jpeg.len())
        })?;
        let shard_index = i32::try_from(self.shards.len()).context("too many shards")?;
        if self.open.is_none() {
            let name = format!("{}-{:06}.tar", self.prefix, self.shards.len());
            self.open = Some(OpenShard::create(&self.folder, name)?);
        }
        let Some(shard) = &mut self.open else {
            bail!("no shard is open");
        };
        if let Some(label) = label {
            shard.member(key, "cls", label.to_string().into_bytes())?;
        }
        let offset = shard.member(key, "jpg", jpeg)?;
        if let Some(json) = json {
            shard.member(key, "json", json.into_bytes())?;
        }
        self.samples.push(Sample {
            shard_index,
            key: key.to_owned(),
            offset: i64::try_from(offset).context("the shard is too long")?,
            length,
            width: i32::try_from(width).context("the image is too wide")?,
            height: i32::try_from(height).context("the image is too high")?,
            label,
            crc32c: i64::from(crc32c),
            restart_mcus: i32::try_from(restart_mcus).context("the image is too wide")?,
        });
        Ok(())
    }

    /// Completes the current shard, if one is open; the next sample begins another.
    pub fn end_shard(&mut self) -> Result<()> {
        if let Some(shard) = self.open.take() {
            self.shards.push(shard.close()?);
        }
        Ok(())
    }

    /// Completes the last shard, writes the manifest beside the shards and returns it.
    pub fn finish(
        mut self,
        class_names: Vec<String>,
        seed: Option<u64>,
        tool: String,
    ) -> Result<Manifest> {
        self.end_shard()?;
        let manifest = Manifest {
            shards: self.shards,
            samples: self.samples,
            class_names,
            seed,
            tool,
        };
        let path = self.folder.join(Manifest::FILE_NAME);
        manifest
            .write(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A sample as a test makes it: key, payload, label, whether there is JSON.
    type Made = (String, Vec<u8>, Option<i32>, bool);

    fn write(folder: &Path, samples: &[Made]) -> Manifest {
        let mut writer = ShardSetWriter::new(folder, "test");
        for (i, (key, jpeg, label, json)) in samples.iter().enumerate() {
            if i % 3 == 2 {
                writer.end_shard().unwrap();
            }
            writer
                .append(NewSample {
                    key,
                    jpeg: jpeg.clone(),
                    crc32c: crc32c::crc32c(jpeg),
                    width: 3,
                    height: 4,
                    restart_mcus: 5,
                    label: *label,
                    json: json.then(|| format!("{{\"key\":{key:?}}}")),
                })
                .unwrap();
        }
        writer
            .finish(vec!["a".into(), "b".into()], Some(9), "test".into())
            .unwrap()
    }

    fn samples() -> impl Strategy<Value = Vec<Made>> {
        let key = "[a-zä_ -]{1,20}|[a-z]{92,104}|[é]{45,300}";
        let one = (
            prop::collection::vec(any::<u8>(), 1..1500),
            prop::option::of(0..2),
            any::<bool>(),
        );
        prop::collection::btree_map(key, one, 1..12).prop_map(|samples| {
            samples
                .into_iter()
                .map(|(key, (jpeg, label, json))| (key, jpeg, label, json))
                .collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn offsets_and_checksums_are_those_of_the_bytes_on_disk(samples in samples()) {
            let folder = tempfile::tempdir().unwrap();
            let written = write(folder.path(), &samples);
            let manifest = Manifest::read(&folder.path().join(Manifest::FILE_NAME)).unwrap();
            prop_assert_eq!(manifest.hash(), written.hash());
            let shards: Vec<Vec<u8>> =
                manifest.shards.iter().map(|shard| std::fs::read(folder.path().join(&shard.name)).unwrap()).collect();
            for (shard, bytes) in manifest.shards.iter().zip(&shards) {
                prop_assert_eq!(shard.bytes, bytes.len() as u64);
                prop_assert_eq!(shard.crc32c, crc32c::crc32c(bytes));
            }
            for (sample, (key, jpeg, label, _)) in manifest.samples.iter().zip(&samples) {
                let payload = &shards[sample.shard_index as usize][sample.offset as usize..][..sample.length as usize];
                prop_assert_eq!(payload, jpeg);
                prop_assert_eq!((&sample.key, sample.label, sample.restart_mcus), (key, *label, 5));
                prop_assert_eq!(sample.crc32c, i64::from(crc32c::crc32c(jpeg)));
            }
        }

        #[test]
        fn a_webdataset_reader_finds_every_member(samples in samples()) {
            let folder = tempfile::tempdir().unwrap();
            let manifest = write(folder.path(), &samples);
            let mut found = Vec::new();
            for shard in &manifest.shards {
                let path = folder.path().join(&shard.name);
                let files = webdataset::shard::TarFiles::open(path.to_str().unwrap()).unwrap();
                for sample in webdataset::shard::group_by_keys(files) {
                    let sample = sample.unwrap();
                    let bytes = |name: &str| sample.get(name).map(|value| value.as_bytes().unwrap().to_vec());
                    found.push((
                        sample.key().unwrap().to_owned(),
                        bytes("jpg").unwrap(),
                        bytes("cls").map(|label| String::from_utf8(label).unwrap().parse().unwrap()),
                        bytes("json").is_some(),
                    ));
                }
            }
            prop_assert_eq!(found, samples);
        }
    }

    #[test]
    fn a_key_that_would_be_cut_at_its_dot_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = ShardSetWriter::new(folder.path(), "test");
        for key in ["", "a.b", "a/b"] {
            let sample = NewSample {
                key,
                jpeg: vec![],
                crc32c: 0,
                width: 1,
                height: 1,
                restart_mcus: 0,
                label: None,
                json: None,
            };
            assert!(
                writer
                    .append(sample)
                    .unwrap_err()
                    .to_string()
                    .contains("cannot be a key")
            );
        }
    }
}
