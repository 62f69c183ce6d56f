//! What a run leaves behind, read back.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float32Type, Int32Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

/// A run's folder.
#[derive(Debug, Clone)]
pub struct RunFolder {
    root: PathBuf,
}

/// One row of the mask log; floats by their bits, so that rows compare exactly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the columns of the mask log")]
pub struct MaskRow {
    pub step: i64,
    pub epoch: i32,
    pub sample_index: i64,
    pub key: String,
    pub n_tokens: i32,
    pub n_keep: i32,
    pub mask_ratio_bits: u32,
    pub loss_bits: u32,
    pub mask: Vec<u8>,
}

impl RunFolder {
    /// The run in this folder.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The lines of `metrics.jsonl` without the fields that depend on the machine's speed.
    ///
    /// # Panics
    /// If the file or a line cannot be read.
    pub fn metrics(&self) -> Vec<BTreeMap<String, Value>> {
        let text =
            fs::read_to_string(self.path("metrics.jsonl")).expect("metrics.jsonl can be read");
        text.lines()
            .map(|line| {
                let mut line: BTreeMap<String, Value> =
                    serde_json::from_str(line).expect("a line of JSON");
                for of_speed in ["images_per_s", "data_wait_share", "step_s"] {
                    assert!(line.remove(of_speed).is_some(), "{of_speed} is logged");
                }
                line
            })
            .collect()
    }

    /// How many lines `metrics.jsonl` has by now; 0 before it exists.
    pub fn metrics_lines(&self) -> usize {
        fs::read_to_string(self.path("metrics.jsonl")).map_or(0, |text| text.lines().count())
    }

    /// Steps that have a whole checkpoint, ascending.
    pub fn checkpoints(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path("checkpoints"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with("step-"))
            .collect();
        names.sort();
        names
    }

    /// The bytes of a file of the last checkpoint.
    ///
    /// # Panics
    /// If there is none.
    pub fn last_checkpoint_file(&self, name: &str) -> Vec<u8> {
        let last = self.checkpoints().pop().expect("there is a checkpoint");
        fs::read(self.path("checkpoints").join(last).join(name))
            .expect("the checkpoint has the file")
    }

    /// Every complete part of the mask log, sorted.
    pub fn parts(&self) -> Vec<PathBuf> {
        self.files_of("masks", "parquet")
    }

    /// Files below `folder` whose names end in `.extension`, sorted.
    pub fn files_of(&self, folder: &str, extension: &str) -> Vec<PathBuf> {
        let mut waiting = vec![self.path(folder)];
        let mut found = Vec::new();
        while let Some(folder) = waiting.pop() {
            for path in fs::read_dir(&folder)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
            {
                if path.is_dir() {
                    waiting.push(path);
                } else if path.extension().is_some_and(|found| found == extension) {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }

    /// Every row of the mask log, sorted.
    ///
    /// # Panics
    /// If a part cannot be read.
    pub fn mask_rows(&self) -> Vec<MaskRow> {
        let mut rows = Vec::new();
        for part in self.parts() {
            let file = File::open(&part).expect("the part can be opened");
            let reader = ParquetRecordBatchReaderBuilder::try_new(file)
                .expect("a Parquet file")
                .build()
                .expect("readable");
            for batch in reader {
                let batch = batch.expect("a record batch");
                let column = |name: &str| {
                    batch
                        .column_by_name(name)
                        .unwrap_or_else(|| panic!("column {name}"))
                };
                let long = |name: &str, row| column(name).as_primitive::<Int64Type>().value(row);
                let int = |name: &str, row| column(name).as_primitive::<Int32Type>().value(row);
                let bits = |name: &str, row| {
                    column(name)
                        .as_primitive::<Float32Type>()
                        .value(row)
                        .to_bits()
                };
                rows.extend((0..batch.num_rows()).map(|row| MaskRow {
                    step: long("step", row),
                    epoch: int("epoch", row),
                    sample_index: long("sample_index", row),
                    key: column("key").as_string::<i32>().value(row).to_owned(),
                    n_tokens: int("n_tokens", row),
                    n_keep: int("n_keep", row),
                    mask_ratio_bits: bits("mask_ratio", row),
                    loss_bits: bits("loss", row),
                    mask: column("mask").as_binary::<i32>().value(row).to_vec(),
                }));
                assert_eq!(column("salient_fraction").len(), batch.num_rows());
            }
        }
        rows.sort();
        rows
    }
}
