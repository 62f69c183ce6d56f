//! TensorBoard event files: scalars by step.
//!
//! A file is a sequence of TFRecords (length, masked CRC-32C of the length, data, masked CRC-32C of
//! the data, little-endian), each an `Event` of TensorFlow's `event.proto`, of which only the fields
//! below are used.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use prost::Message;

use crate::files::write_whole;

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

const FILE_PREFIX: &str = "events.out.tfevents.";

/// Writes one event file.
pub(crate) struct TensorBoard {
    file: BufWriter<File>,
}

impl TensorBoard {
    /// Begins a new event file in `folder`; every start of a run has its own.
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        let now = wall_time();
        let mut number = 0;
        let path = loop {
            let path = folder.join(format!("{FILE_PREFIX}{:010}.{number}.sbam", now as u64));
            if !path.exists() {
                break path;
            }
            number += 1;
        };
        let file =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut events = Self {
            file: BufWriter::new(file),
        };
        let version = Event {
            wall_time: now,
            file_version: Some("brain.Event:2".to_owned()),
            ..Event::default()
        };
        events.write(&version)?;
        Ok(events)
    }

    /// Adds a point to every curve.
    pub(crate) fn append(&mut self, step: u64, scalars: &[(&'static str, f64)]) -> Result<()> {
        let value = scalars
            .iter()
            .map(|(tag, value)| Value {
                tag: (*tag).to_owned(),
                simple_value: Some(*value as f32),
            })
            .collect();
        self.write(&Event {
            wall_time: wall_time(),
            step: step as i64,
            summary: Some(Summary { value }),
            file_version: None,
        })
    }

    fn write(&mut self, event: &Event) -> Result<()> {
        self.file
            .write_all(&record(&event.encode_to_vec()))
            .and_then(|()| self.file.flush())
            .context("cannot write the TensorBoard event file")
    }
}

fn wall_time() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend(length);
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_crc(data).to_le_bytes());
    record
}

/// TFRecord's masked checksum: rotated and offset, so that a checksum of checksums is sound.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

/// Splits a file into its whole records, checksums and all; what a kill cut short is left out.
fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<8>() {
        let data_bytes = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some(end) = data_bytes
            .checked_add(16)
            .filter(|end| rest.len() + 8 >= *end)
        else {
            break;
        };
        found.push(&bytes[..end]);
        bytes = &bytes[end..];
    }
    found
}

/// Removes the events of steps from `step` on from every event file of a run.
pub(crate) fn remove_events_from(folder: &Path, step: u64) -> Result<()> {
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?
    {
        let path = entry?.path();
        if !path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(FILE_PREFIX))
        {
            continue;
        }
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let kept: Vec<u8> = records(&bytes)
            .into_iter()
            .filter(|record| {
                Event::decode(&record[12..record.len() - 4])
                    .is_ok_and(|event| event.summary.is_none() || event.step < step as i64)
            })
            .flatten()
            .copied()
            .collect();
        if kept.len() < bytes.len() {
            write_whole(&path, &kept)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_and_cut_events_go_and_the_others_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut events = TensorBoard::create(folder.path()).expect("created");
        for step in 0..5 {
            events
                .append(step, &[("train/loss", 0.0)])
                .expect("appended");
        }
        drop(events);
        let path = fs::read_dir(folder.path())
            .expect("listed")
            .next()
            .expect("a file")
            .expect("an entry")
            .path();
        let mut bytes = fs::read(&path).expect("read");
        let whole = records(&bytes).len();
        assert_eq!(whole, 6);
        bytes.truncate(bytes.len() - 3);
        fs::write(&path, &bytes).expect("cut");
        remove_events_from(folder.path(), 3).expect("removed");
        let bytes = fs::read(&path).expect("read");
        let steps: Vec<i64> = records(&bytes)
            .iter()
            .map(|record| {
                Event::decode(&record[12..record.len() - 4])
                    .expect("an event")
                    .step
            })
            .collect();
        assert_eq!(steps, [0, 0, 1, 2], "the version, then steps 0 to 2");
    }

    #[test]
    fn a_value_of_zero_is_written() {
        let value = Value {
            tag: "a".to_owned(),
            simple_value: Some(0.0),
        };
        assert_eq!(value.encode_to_vec(), [0x0a, 1, b'a', 0x15, 0, 0, 0, 0]);
    }
}
