//! The manifest as a Parquet file: signed integers and plain strings, zstd, described in its file metadata.

use std::fs::File;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, Int64Array, PrimitiveArray, RecordBatch, StringArray,
};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, Int32Type, Int64Type, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::manifest::{MAX_SAMPLES, Manifest, Sample, Shard, limit};

/// The version of columns and metadata that this code reads and writes.
const SCHEMA_VERSION: u32 = 1;
/// Rows per row group: enough to compress well, few enough for readers to work on several at once.
const ROW_GROUP_ROWS: usize = 1 << 17;
/// Rows turned into columns, or back, at a time.
const CHUNK_ROWS: usize = 1 << 16;
/// The most bytes that one metadata entry may have. A million shards take about 80 MB.
const MAX_METADATA_BYTES: u64 = 1 << 28;

const KEY_VERSION: &str = "sbam.schema_version";
const KEY_TOOL: &str = "sbam.tool";
const KEY_SEED: &str = "sbam.seed";
const KEY_CLASSES: &str = "sbam.class_names";
const KEY_SHARDS: &str = "sbam.shards";
/// [`Manifest::hash`] of the content, because Parquet itself does not notice changed bytes. Other writers may leave it
/// out.
const KEY_HASH: &str = "sbam.content_sha256";

/// A shard as it stands in the file's metadata.
#[derive(Serialize, Deserialize)]
struct ShardEntry {
    name: String,
    bytes: u64,
    /// Eight hexadecimal digits.
    crc32c: String,
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Example
    /// ```no_run
    /// let manifest = sbam_loader::Manifest::read("shards/manifest.parquet".as_ref())?;
    /// println!("{} samples in {} shards", manifest.samples.len(), manifest.shards.len());
    /// # Ok::<(), sbam_loader::Error>(())
    /// ```
    pub fn read(path: &Path) -> Result<Self> {
        Ok(Self::read_hashed(path)?.0)
    }

    /// [`read`](Self::read), with the manifest's hash.
    pub(crate) fn read_hashed(path: &Path) -> Result<(Self, String)> {
        let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        // The Parquet reader asserts what damaged footers break ("column start and length should not be negative").
        let manifest = catch_unwind(AssertUnwindSafe(|| decode(path, file))).unwrap_or_else(|_| {
            Err(Error::ManifestFile {
                path: path.to_owned(),
                reason: "the Parquet reader panicked".to_owned(),
            })
        });
        let (manifest, expected) = manifest?;
        let hash = manifest.hash();
        if let Some(expected) = expected
            && expected != hash
        {
            return Err(Error::ManifestMetadata {
                path: path.to_owned(),
                key: KEY_HASH,
                problem: format!(
                    "{expected}, but the content has {hash}: it is damaged or was edited"
                ),
            });
        }
        manifest.check()?;
        Ok((manifest, hash))
    }

    /// Checks the manifest and writes it: beside `path`, synced, then renamed, so that no reader ever sees a part.
    ///
    /// The same manifest always gives the same bytes.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.check()?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let failed = |e| Error::io("write", path, e);
        let mut file = new_beside(folder).map_err(failed)?;
        {
            let mut out = std::io::BufWriter::new(file.as_file_mut());
            self.encode(&mut out)
                .map_err(|e| failed(std::io::Error::other(e)))?;
            out.flush().map_err(failed)?;
        }
        file.as_file().sync_all().map_err(failed)?;
        file.persist(path).map_err(|e| failed(e.error))?;
        // The rename itself must survive a power cut too.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|e| Error::io("sync", folder, e))
    }

    fn encode(&self, out: &mut (impl std::io::Write + Send)) -> parquet::errors::Result<()> {
        let schema = schema();
        let json = |value: serde_json::Result<String>| {
            value.map_err(|e| ParquetError::External(Box::new(e)))
        };
        let shards: Vec<ShardEntry> = self
            .shards
            .iter()
            .map(|shard| ShardEntry {
                name: shard.name.clone(),
                bytes: shard.bytes,
                crc32c: format!("{:08x}", shard.crc32c),
            })
            .collect();
        let mut metadata = vec![
            KeyValue::new(KEY_VERSION.to_owned(), SCHEMA_VERSION.to_string()),
            KeyValue::new(KEY_TOOL.to_owned(), self.tool.clone()),
            KeyValue::new(
                KEY_CLASSES.to_owned(),
                json(serde_json::to_string(&self.class_names))?,
            ),
            KeyValue::new(KEY_SHARDS.to_owned(), json(serde_json::to_string(&shards))?),
        ];
        metadata.push(KeyValue::new(KEY_HASH.to_owned(), self.hash()));
        if let Some(seed) = self.seed {
            metadata.push(KeyValue::new(KEY_SEED.to_owned(), seed.to_string()));
        }
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_key_value_metadata(Some(metadata))
            .build();
        let mut writer = ArrowWriter::try_new(out, schema.clone(), Some(properties))?;
        for samples in self.samples.chunks(CHUNK_ROWS) {
            writer.write(&RecordBatch::try_new(
                schema.clone(),
                self.columns(samples),
            )?)?;
        }
        writer.close()?;
        Ok(())
    }

    fn columns(&self, samples: &[Sample]) -> Vec<ArrayRef> {
        let i32s = |field: fn(&Sample) -> i32| -> ArrayRef {
            Arc::new(Int32Array::from_iter_values(samples.iter().map(field)))
        };
        let i64s = |field: fn(&Sample) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(samples.iter().map(field)))
        };
        let shard_name = |sample: &Sample| self.shards[sample.shard_index as usize].name.as_str();
        vec![
            Arc::new(StringArray::from_iter_values(
                samples.iter().map(shard_name),
            )),
            i32s(|s| s.shard_index),
            Arc::new(StringArray::from_iter_values(
                samples.iter().map(|s| s.key.as_str()),
            )),
            i64s(|s| s.offset),
            i32s(|s| s.length),
            i32s(|s| s.width),
            i32s(|s| s.height),
            Arc::new(samples.iter().map(|s| s.label).collect::<Int32Array>()),
            i64s(|s| s.crc32c),
            i32s(|s| s.restart_mcus),
        ]
    }
}

/// The manifest as it stands in the file, and the hash that stands there, if one does.
fn decode(path: &Path, file: File) -> Result<(Manifest, Option<String>)> {
    let unreadable = |error: &dyn std::fmt::Display| Error::ManifestFile {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| unreadable(&e))?;
    let (mut manifest, hash) = read_metadata(
        path,
        builder.metadata().file_metadata().key_value_metadata(),
    )?;
    let reader = builder
        .with_batch_size(CHUNK_ROWS)
        .build()
        .map_err(|e| unreadable(&e))?;
    for batch in reader {
        read_rows(path, &batch.map_err(|e| unreadable(&e))?, &mut manifest)?;
        limit("samples in a manifest", manifest.samples.len(), MAX_SAMPLES)?;
    }
    Ok((manifest, hash))
}

/// A temporary file in `folder`, readable by whom the process's umask allows; removed unless it is renamed.
fn new_beside(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    use std::os::unix::fs::PermissionsExt as _;
    tempfile::Builder::new()
        .prefix(".manifest-")
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)
}

fn schema() -> Arc<Schema> {
    let column = |name, data_type| Field::new(name, data_type, false);
    Arc::new(Schema::new(vec![
        column("shard", DataType::Utf8),
        column("shard_index", DataType::Int32),
        column("key", DataType::Utf8),
        column("offset", DataType::Int64),
        column("length", DataType::Int32),
        column("width", DataType::Int32),
        column("height", DataType::Int32),
        Field::new("label", DataType::Int32, true),
        column("crc32c", DataType::Int64),
        column("restart_mcus", DataType::Int32),
    ]))
}

fn read_metadata(
    path: &Path,
    entries: Option<&Vec<KeyValue>>,
) -> Result<(Manifest, Option<String>)> {
    let problem = |key, problem: String| Error::ManifestMetadata {
        path: path.to_owned(),
        key,
        problem,
    };
    let find = |key: &'static str| -> Result<Option<&str>> {
        let value = entries
            .into_iter()
            .flatten()
            .find(|entry| entry.key == key)
            .and_then(|entry| entry.value.as_deref());
        if let Some(value) = value {
            limit(
                "bytes in a manifest's metadata entry",
                value.len(),
                MAX_METADATA_BYTES,
            )?;
        }
        Ok(value)
    };
    let need = |key| {
        find(key)?
            .ok_or_else(|| problem(key, "missing; this is not a manifest of shards".to_owned()))
    };
    let version = need(KEY_VERSION)?;
    if version != SCHEMA_VERSION.to_string() {
        return Err(problem(
            KEY_VERSION,
            format!("version {version:?}, this program reads {SCHEMA_VERSION}"),
        ));
    }
    let seed = match find(KEY_SEED)? {
        None => None,
        Some(text) => Some(
            text.parse()
                .map_err(|_| problem(KEY_SEED, format!("{text:?} is not a number")))?,
        ),
    };
    let entries: Vec<ShardEntry> = from_json(path, KEY_SHARDS, need(KEY_SHARDS)?)?;
    let shards = entries
        .into_iter()
        .map(|entry| {
            let crc32c = u32::from_str_radix(&entry.crc32c, 16).map_err(|_| {
                let crc32c = &entry.crc32c;
                problem(KEY_SHARDS, format!("crc32c {crc32c:?} is not hexadecimal"))
            })?;
            Ok(Shard {
                name: entry.name,
                bytes: entry.bytes,
                crc32c,
            })
        })
        .collect::<Result<_>>()?;
    let manifest = Manifest {
        shards,
        samples: Vec::new(),
        class_names: from_json(path, KEY_CLASSES, need(KEY_CLASSES)?)?,
        seed,
        tool: need(KEY_TOOL)?.to_owned(),
    };
    Ok((manifest, find(KEY_HASH)?.map(str::to_owned)))
}

fn from_json<T: DeserializeOwned>(path: &Path, key: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Error::ManifestMetadata {
        path: path.to_owned(),
        key,
        problem: e.to_string(),
    })
}

/// The columns of one batch of rows, found by name, so that their order in the file does not matter.
struct Columns<'a> {
    path: &'a Path,
    batch: &'a RecordBatch,
}

impl<'a> Columns<'a> {
    fn find(&self, column: &'static str, expected: &DataType) -> Result<&'a ArrayRef> {
        let found = self.batch.column_by_name(column);
        found
            .filter(|array| array.data_type() == expected)
            .ok_or_else(|| Error::ManifestColumn {
                path: self.path.to_owned(),
                column,
                expected: expected.to_string(),
                found: found.map_or_else(|| "nothing".to_owned(), |a| a.data_type().to_string()),
            })
    }

    fn without_null<A: Array>(&self, column: &'static str, array: &'a A) -> Result<&'a A> {
        if array.null_count() == 0 {
            return Ok(array);
        }
        Err(Error::ManifestColumn {
            path: self.path.to_owned(),
            column,
            expected: "a value in every row".to_owned(),
            found: format!("{} nulls", array.null_count()),
        })
    }

    fn text(&self, column: &'static str) -> Result<&'a StringArray> {
        self.without_null(column, self.find(column, &DataType::Utf8)?.as_string())
    }

    fn numbers<T: ArrowPrimitiveType>(&self, column: &'static str) -> Result<&'a [T::Native]> {
        let array: &PrimitiveArray<T> = self.find(column, &T::DATA_TYPE)?.as_primitive();
        Ok(self.without_null(column, array)?.values())
    }
}

fn read_rows(path: &Path, batch: &RecordBatch, manifest: &mut Manifest) -> Result<()> {
    let columns = Columns { path, batch };
    let shard = columns.text("shard")?;
    let shard_index = columns.numbers::<Int32Type>("shard_index")?;
    let key = columns.text("key")?;
    let offset = columns.numbers::<Int64Type>("offset")?;
    let length = columns.numbers::<Int32Type>("length")?;
    let width = columns.numbers::<Int32Type>("width")?;
    let height = columns.numbers::<Int32Type>("height")?;
    let label = columns
        .find("label", &DataType::Int32)?
        .as_primitive::<Int32Type>();
    let crc32c = columns.numbers::<Int64Type>("crc32c")?;
    let restart_mcus = columns.numbers::<Int32Type>("restart_mcus")?;
    for row in 0..batch.num_rows() {
        let listed = usize::try_from(shard_index[row])
            .ok()
            .and_then(|index| manifest.shards.get(index));
        if listed.is_none_or(|listed| listed.name != shard.value(row)) {
            return Err(Error::ManifestRow {
                row: manifest.samples.len() as u64,
                shard: shard.value(row).to_owned(),
                key: key.value(row).to_owned(),
                problem: format!(
                    "shard_index {} is {} in the list of shards",
                    shard_index[row],
                    listed.map_or("nothing", |listed| &listed.name)
                ),
            });
        }
        manifest.samples.push(Sample {
            shard_index: shard_index[row],
            key: key.value(row).to_owned(),
            offset: offset[row],
            length: length[row],
            width: width[row],
            height: height[row],
            label: label.is_valid(row).then(|| label.value(row)),
            crc32c: crc32c[row],
            restart_mcus: restart_mcus[row],
        });
    }
    Ok(())
}
