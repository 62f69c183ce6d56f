//! One Parquet file of the mask log: written beside, complete when renamed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::rows::{LogContext, SCHEMA_VERSION, StepRows};
use crate::files::sync_folder;

/// Rows of a Parquet row group; bounds the memory of an open part to a few megabytes.
const ROW_GROUP_ROWS: usize = 16_384;

/// A part being written.
pub(super) struct Part {
    writer: ArrowWriter<File>,
    partial: PathBuf,
    path: PathBuf,
    pub(super) epoch: u64,
    pub(super) rows: usize,
}

impl Part {
    /// Begins `masks/epoch=E/part-rR-sS.parquet` under `folder`, the `masks` folder.
    pub(super) fn begin(
        folder: &Path,
        context: &LogContext,
        epoch: u64,
        first_step: u64,
    ) -> Result<Self> {
        let epoch_folder = folder.join(format!("epoch={epoch}"));
        fs::create_dir_all(&epoch_folder)
            .with_context(|| format!("cannot make {}", epoch_folder.display()))?;
        let path = epoch_folder.join(format!("part-r{}-s{first_step}.parquet", context.rank));
        let partial = path.with_extension("parquet.partial");
        let file = File::create(&partial)
            .with_context(|| format!("cannot write {}", partial.display()))?;
        let metadata = [
            ("sbam.schema_version", SCHEMA_VERSION.to_owned()),
            ("sbam.config_hash", context.config_hash.clone()),
            ("sbam.grid_height", context.grid[0].to_string()),
            ("sbam.grid_width", context.grid[1].to_string()),
        ];
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_key_value_metadata(Some(
                metadata
                    .into_iter()
                    .map(|(key, value)| KeyValue::new(key.to_owned(), value))
                    .collect(),
            ))
            .build();
        let writer = ArrowWriter::try_new(file, context.schema(), Some(properties))?;
        Ok(Self {
            writer,
            partial,
            path,
            epoch,
            rows: 0,
        })
    }

    pub(super) fn append(&mut self, rows: &StepRows, context: &LogContext) -> Result<()> {
        self.writer
            .write(&rows.to_record_batch(context)?)
            .with_context(|| format!("cannot write {}", self.partial.display()))?;
        self.rows += rows.rows.len();
        Ok(())
    }

    /// Completes the file on disk and gives it its name.
    pub(super) fn finish(self) -> Result<()> {
        let file = self
            .writer
            .into_inner()
            .with_context(|| format!("cannot complete {}", self.partial.display()))?;
        file.sync_all()
            .with_context(|| format!("cannot write {}", self.partial.display()))?;
        drop(file);
        fs::rename(&self.partial, &self.path)
            .with_context(|| format!("cannot rename {}", self.partial.display()))?;
        sync_folder(self.path.parent().unwrap_or(Path::new(".")))
    }
}
