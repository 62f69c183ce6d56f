//! Small photographs and shards for tests. The tar writer is our own, so that offsets and damage are known exactly.

use std::path::Path;
use std::sync::Arc;

use jpeg_encoder::{ColorType, Encoder};
use sbam_augment::TrainView;
use tempfile::TempDir;

use crate::{Dataset, LoaderConfig, OnError, Output};

/// A JPEG that differs from number to number.
pub(crate) fn jpeg(width: u16, height: u16, number: u32) -> Vec<u8> {
    let pixels: Vec<u8> = (0..u32::from(height))
        .flat_map(|y| (0..u32::from(width)).map(move |x| (x, y)))
        .flat_map(|(x, y)| {
            [
                (x * 9 + number * 31) as u8,
                (y * 7 + number * 17) as u8,
                (x * y + number) as u8,
            ]
        })
        .collect();
    encode(&pixels, width, height, ColorType::Rgb, |_| {})
}

/// Encodes with settings of choice.
pub(crate) fn encode(
    pixels: &[u8],
    width: u16,
    height: u16,
    color: ColorType,
    set: impl FnOnce(&mut Encoder<&mut Vec<u8>>),
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 90);
    set(&mut encoder);
    encoder.encode(pixels, width, height, color).unwrap();
    bytes
}

/// A tar archive in the making.
#[derive(Default)]
pub(crate) struct Tar(pub(crate) Vec<u8>);

impl Tar {
    /// Appends a file and returns where its content starts.
    pub(crate) fn add(&mut self, name: &str, data: &[u8]) -> u64 {
        self.add_of_type(b'0', name, data)
    }

    pub(crate) fn add_of_type(&mut self, kind: u8, name: &str, data: &[u8]) -> u64 {
        let mut header = [0; 512];
        let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
        put(0, &name.as_bytes()[..name.len().min(100)]);
        put(100, b"0000644\0");
        put(124, format!("{:011o}\0", data.len()).as_bytes());
        put(136, b"00000000000\0");
        put(148, b"        ");
        put(156, &[kind]);
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend(header);
        let offset = self.0.len() as u64;
        self.0.extend(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        offset
    }

    /// The archive with its end.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// Writes shards `s-0.tar`, … with these numbers of samples, sample i (over all shards) with label i mod 10 and key
/// `kI`; `bytes` gives each sample's JPEG.
pub(crate) fn write_shards(folder: &Path, counts: &[usize], mut bytes: impl FnMut(u32) -> Vec<u8>) {
    let mut number = 0;
    for (shard, &count) in counts.iter().enumerate() {
        let mut tar = Tar::default();
        for _ in 0..count {
            tar.add(&format!("k{number}.jpg"), &bytes(number));
            tar.add(
                &format!("k{number}.cls"),
                (number % 10).to_string().as_bytes(),
            );
            number += 1;
        }
        std::fs::write(folder.join(format!("s-{shard}.tar")), tar.finish()).unwrap();
    }
}

/// The usual sample: small, of a size that depends on its number.
pub(crate) fn small_jpeg(number: u32) -> Vec<u8> {
    jpeg(9 + (number % 5) as u16, 7 + (number % 3) as u16, number)
}

/// A data set of small samples in these shards.
pub(crate) fn dataset(counts: &[usize]) -> (TempDir, Arc<Dataset>) {
    dataset_of(counts, small_jpeg)
}

pub(crate) fn dataset_of(
    counts: &[usize],
    bytes: impl FnMut(u32) -> Vec<u8>,
) -> (TempDir, Arc<Dataset>) {
    let folder = tempfile::tempdir().unwrap();
    write_shards(folder.path(), counts, bytes);
    let dataset = open(folder.path());
    (folder, dataset)
}

pub(crate) fn open(folder: &Path) -> Arc<Dataset> {
    let cache = folder.join("cache");
    Arc::new(Dataset::open(folder.to_str().unwrap(), &cache, &mut |_, _| {}).unwrap())
}

pub(crate) fn config() -> LoaderConfig {
    LoaderConfig {
        seed: 1,
        batch_size: 4,
        global_batch: 8,
        views: 1,
        rank: 0,
        world: 1,
        streams: 4,
        window_shards: 2,
        drop_last: false,
        threads: 2,
        fetch_threads: 2,
        fetch_ahead_bytes: 1 << 20,
        prefetch_batches: 2,
        out_width: 6,
        out_height: 5,
        output: Output::U8,
        view: TrainView::default(),
        epochs: 2,
        on_error: OnError::Error,
        verify_crc: true,
    }
}
