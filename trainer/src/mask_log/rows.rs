//! The rows of one step, and the Parquet schema they have.

use std::sync::Arc;

use anyhow::Result;
use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Float32Builder, Int32Builder, Int64Builder,
    ListBuilder, RecordBatch, StringBuilder, UInt8Builder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use sbam_loader::BatchSample;
use sbam_model::{SalienceStats, SampleMask, masked_salience_share};

/// Version of the schema, in the metadata of every part.
pub(super) const SCHEMA_VERSION: &str = "1";

/// What all rows of a run share.
#[derive(Debug, Clone)]
pub(crate) struct LogContext {
    /// `[rows, columns]` of the token grid.
    pub(crate) grid: [usize; 2],
    /// Hash of the resolved configuration.
    pub(crate) config_hash: String,
    /// This process.
    pub(crate) rank: u32,
    /// Whether every token's salience is logged too.
    pub(crate) with_salience: bool,
}

impl LogContext {
    pub(super) fn schema(&self) -> SchemaRef {
        let required = |name: &str, kind| Field::new(name, kind, false);
        let nullable = |name: &str, kind| Field::new(name, kind, true);
        let mut fields = vec![
            required("step", DataType::Int64),
            required("epoch", DataType::Int32),
            required("rank", DataType::Int32),
            required("view", DataType::Int32),
            required("sample_index", DataType::Int64),
            required("key", DataType::Utf8),
            nullable("label", DataType::Int32),
            required("loss_weight", DataType::Float32),
            required("n_tokens", DataType::Int32),
            required("n_keep", DataType::Int32),
            required("mask_ratio", DataType::Float32),
        ];
        fields.extend(SALIENCE_COLUMNS.map(|name| nullable(name, DataType::Float32)));
        fields.push(required("loss", DataType::Float32));
        fields.extend(
            ["crop_x", "crop_y", "crop_width", "crop_height"]
                .map(|name| required(name, DataType::Int32)),
        );
        fields.push(required("flip", DataType::Boolean));
        fields.push(required("mask", DataType::Binary));
        if self.with_salience {
            let item = Arc::new(Field::new_list_field(DataType::UInt8, true));
            fields.push(nullable("salience", DataType::List(item)));
        }
        Arc::new(Schema::new(fields))
    }
}

/// Columns that a random mask has no value for.
const SALIENCE_COLUMNS: [&str; 11] = [
    "salient_fraction",
    "salience_min",
    "salience_max",
    "salience_mean",
    "salience_std",
    "salience_entropy",
    "salience_gini",
    "salience_q10",
    "salience_q50",
    "salience_q90",
    "masked_salience_share",
];

/// One sample of a step as it is logged.
#[derive(Debug, Clone)]
pub(crate) struct SampleRow {
    pub(crate) sample: BatchSample,
    pub(crate) key: String,
    pub(crate) mask: SampleMask,
    pub(crate) loss: f32,
}

/// The rows of one step.
#[derive(Debug, Clone)]
pub(crate) struct StepRows {
    pub(crate) step: u64,
    pub(crate) epoch: u64,
    pub(crate) rows: Vec<SampleRow>,
}

impl StepRows {
    /// The rows as columns; statistics of salience are computed here, on the log's thread.
    pub(super) fn to_record_batch(&self, context: &LogContext) -> Result<RecordBatch> {
        let count = self.rows.len();
        let ints = |value: &dyn Fn(&SampleRow) -> i32| -> ArrayRef {
            let mut column = Int32Builder::with_capacity(count);
            self.rows
                .iter()
                .for_each(|row| column.append_value(value(row)));
            Arc::new(column.finish())
        };
        let longs = |value: &dyn Fn(&SampleRow) -> i64| -> ArrayRef {
            let mut column = Int64Builder::with_capacity(count);
            self.rows
                .iter()
                .for_each(|row| column.append_value(value(row)));
            Arc::new(column.finish())
        };
        let floats = |value: &dyn Fn(&SampleRow) -> f32| -> ArrayRef {
            let mut column = Float32Builder::with_capacity(count);
            self.rows
                .iter()
                .for_each(|row| column.append_value(value(row)));
            Arc::new(column.finish())
        };
        let mut keys = StringBuilder::new();
        let mut labels = Int32Builder::with_capacity(count);
        let mut flips = BooleanBuilder::with_capacity(count);
        let mut masks = BinaryBuilder::new();
        for row in &self.rows {
            keys.append_value(&row.key);
            labels.append_option(row.sample.label);
            flips.append_value(row.sample.view.flip);
            masks.append_value(pack_bits(&row.mask.mask.masked()));
        }
        let mut columns: Vec<ArrayRef> = vec![
            longs(&|_| self.step as i64),
            ints(&|_| self.epoch as i32),
            ints(&|_| context.rank as i32),
            ints(&|row| row.sample.view_index as i32),
            longs(&|row| row.sample.sample_index as i64),
            Arc::new(keys.finish()),
            Arc::new(labels.finish()),
            floats(&|row| row.sample.loss_weight),
            ints(&|row| row.mask.mask.tokens() as i32),
            ints(&|row| row.mask.mask.n_keep() as i32),
            floats(&|row| row.mask.mask_ratio),
        ];
        columns.extend(self.salience_columns());
        columns.push(floats(&|row| row.loss));
        columns.push(ints(&|row| row.sample.view.crop.x as i32));
        columns.push(ints(&|row| row.sample.view.crop.y as i32));
        columns.push(ints(&|row| row.sample.view.crop.width as i32));
        columns.push(ints(&|row| row.sample.view.crop.height as i32));
        columns.push(Arc::new(flips.finish()));
        columns.push(Arc::new(masks.finish()));
        if context.with_salience {
            columns.push(self.salience_levels());
        }
        Ok(RecordBatch::try_new(context.schema(), columns)?)
    }

    fn salience_columns(&self) -> [ArrayRef; 11] {
        let mut columns = [(); 11].map(|()| Float32Builder::with_capacity(self.rows.len()));
        for row in &self.rows {
            let values = row.mask.salience.as_ref().map(|salience| {
                let stats = SalienceStats::of(salience);
                let hidden = masked_salience_share(salience, &row.mask.mask.masked());
                [
                    salience.fraction,
                    stats.min,
                    stats.max,
                    stats.mean,
                    stats.std,
                    stats.entropy,
                    stats.gini,
                    stats.q10,
                    stats.q50,
                    stats.q90,
                    hidden,
                ]
            });
            for (index, column) in columns.iter_mut().enumerate() {
                column.append_option(values.map(|values| values[index]));
            }
        }
        columns.map(|mut column| Arc::new(column.finish()) as ArrayRef)
    }

    /// ŝ of every token in 256 levels.
    fn salience_levels(&self) -> ArrayRef {
        let mut column = ListBuilder::new(UInt8Builder::new());
        for row in &self.rows {
            if let Some(salience) = &row.mask.salience {
                for value in &salience.normalised {
                    column.values().append_value((value * 255.0).round() as u8);
                }
            }
            column.append(row.mask.salience.is_some());
        }
        Arc::new(column.finish())
    }
}

/// One bit per token, 1 = masked, most significant first, zero-padded to whole bytes.
fn pack_bits(masked: &[bool]) -> Vec<u8> {
    masked
        .chunks(8)
        .map(|eight| {
            eight.iter().enumerate().fold(0, |byte, (place, masked)| {
                byte | u8::from(*masked) << (7 - place)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_token_is_the_highest_bit() {
        assert_eq!(pack_bits(&[true, false, true]), [0b1010_0000]);
        let mut masked = [false; 12];
        masked[8] = true;
        assert_eq!(pack_bits(&masked), [0, 0b1000_0000]);
    }
}
