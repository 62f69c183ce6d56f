use std::fs::OpenOptions;
use std::sync::atomic::{AtomicU64, Ordering};

use jpeg_encoder::{ColorType, SamplingFactor};
use proptest::prelude::*;
use sbam_augment::{Layout, Resizer};

use super::*;
use crate::config::Output;
use crate::fixture::{config, dataset, dataset_of, encode, open, small_jpeg, write_shards};
use crate::jpeg::Decoder;

/// All that a caller can see of a batch.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    pixels: Vec<u8>,
    samples: Vec<BatchSample>,
    place: (u64, u64, u64),
    ends: (bool, bool),
    state: LoaderState,
    receipt: Option<Receipt>,
}

fn see(batch: &Batch) -> Seen {
    Seen {
        pixels: batch.pixels().to_vec(),
        samples: batch.samples().to_vec(),
        place: (batch.epoch(), batch.step_in_epoch(), batch.index_in_epoch()),
        ends: (batch.ends_step(), batch.ends_epoch()),
        state: batch.state().clone(),
        receipt: batch.receipt().cloned(),
    }
}

fn run(dataset: &Arc<Dataset>, config: LoaderConfig, state: Option<LoaderState>) -> Vec<Seen> {
    let mut loader = Loader::start(Arc::clone(dataset), config, state).unwrap();
    let mut seen = Vec::new();
    while let Some(batch) = loader.next_batch().unwrap() {
        seen.push(see(&batch));
    }
    assert!(
        loader.next_batch().unwrap().is_none(),
        "the end stays the end"
    );
    seen
}

fn indices(batch: &Seen) -> Vec<u64> {
    batch
        .samples
        .iter()
        .map(|sample| sample.sample_index)
        .collect()
}

fn first_error(loader: &mut Loader) -> Error {
    loop {
        match loader.next_batch() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the last epoch ended without an error"),
            Err(error) => return error,
        }
    }
}

/// Starts a loader that must not start.
fn refused(dataset: &Arc<Dataset>, config: LoaderConfig, state: Option<LoaderState>) -> String {
    Loader::start(Arc::clone(dataset), config, state)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_slot_holds_the_view_of_its_sample() {
    let (_folder, dataset) = dataset(&[5, 8, 4]);
    let config = config();
    for batch in run(&dataset, config.clone(), None) {
        for (slot, sample) in batch.samples.iter().enumerate() {
            if sample.kind != SlotKind::Sample {
                continue;
            }
            let row = dataset.sample(sample.sample_index);
            let (width, height) = (row.width as u32, row.height as u32);
            let view = config
                .view
                .draw(1, batch.place.0, sample.sample_index, 0, width, height);
            assert_eq!(sample.view, view);
            assert_eq!(sample.label, Some((sample.sample_index % 10) as i32));
            let mut jpeg = Vec::new();
            dataset.read(sample.sample_index, &mut jpeg).unwrap();
            let mut decoder = Decoder::new();
            let rgb = decoder.decode(&jpeg).unwrap();
            let mut expected = vec![0; 6 * 5 * 3];
            Resizer::new()
                .render(rgb.pixels, width, height, &view, &mut expected, 6, 5)
                .unwrap();
            assert_eq!(batch.pixels[slot * 90..][..90], expected);
        }
    }
}

#[test]
fn padding_fills_the_last_step_and_dropping_leaves_it_out() {
    let (_folder, dataset) = dataset(&[10, 7, 4]);
    let padded = run(&dataset, config(), None);
    // 21 samples are three steps of 8, the last with 3 slots of padding.
    assert_eq!(padded.len(), 2 * 6);
    let receipt = padded[5].receipt.as_ref().unwrap();
    assert_eq!((receipt.seen, receipt.padded, receipt.dropped), (21, 3, 0));
    receipt.check(21).unwrap();
    let last = &padded[5];
    assert_eq!(last.samples[0].kind, SlotKind::Sample);
    for slot in 1..4 {
        assert_eq!(last.samples[slot].kind, SlotKind::Padding);
        assert!(last.samples[slot].loss_weight == 0.0);
        assert_eq!(
            last.samples[slot].sample_index,
            last.samples[0].sample_index
        );
        assert_eq!(last.pixels[slot * 90..][..90], last.pixels[..90]);
    }

    let drop_last = LoaderConfig {
        drop_last: true,
        ..config()
    };
    let dropped = run(&dataset, drop_last, None);
    assert_eq!(dropped.len(), 2 * 4);
    let receipt = dropped[3].receipt.as_ref().unwrap();
    assert_eq!((receipt.seen, receipt.padded, receipt.dropped), (16, 0, 5));
    receipt.check(21).unwrap();
    assert!(
        dropped
            .iter()
            .flat_map(|batch| &batch.samples)
            .all(|s| s.kind == SlotKind::Sample)
    );
    assert_eq!(indices(&dropped[3]), indices(&padded[3]));
}

#[test]
fn a_batch_of_nothing_but_padding_is_black() {
    let (_folder, dataset) = dataset(&[9]);
    let seen = run(
        &dataset,
        LoaderConfig {
            batch_size: 2,
            epochs: 1,
            ..config()
        },
        None,
    );
    let last = seen.last().unwrap();
    assert!(
        last.samples
            .iter()
            .all(|s| s.kind == SlotKind::Padding && s.loss_weight == 0.0)
    );
    assert!(last.pixels.iter().all(|&value| value == 0));
    last.receipt.as_ref().unwrap().check(9).unwrap();
}

fn any_config() -> impl Strategy<Value = LoaderConfig> {
    let shape = (1_usize..5, 1_u64..4, 0_u32..3, 1_u32..4, 1_u32..4);
    let ways = (any::<u64>(), any::<bool>(), 1_usize..5, 1_usize..4);
    (shape, ways).prop_map(
        |((batch_size, accumulate, world, streams, window_shards), ways)| {
            let (seed, drop_last, threads, prefetch_batches) = ways;
            let world = 1 << world;
            LoaderConfig {
                seed,
                batch_size,
                global_batch: batch_size as u64 * accumulate * u64::from(world),
                world,
                streams: streams * world,
                window_shards,
                drop_last,
                threads,
                prefetch_batches,
                ..config()
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_world_sees_each_sample_once_in_the_same_global_batches(
        counts in prop::collection::vec(0_usize..9, 1..6), config in any_config(),
    ) {
        let samples: usize = counts.iter().sum();
        prop_assume!(samples as u64 >= config.global_batch);
        let (_folder, dataset) = dataset(&counts);

        // One rank with the whole global batch in one batch.
        let alone = LoaderConfig {
            world: 1, batch_size: config.global_batch as usize, ..config.clone()
        };
        let expected = run(&dataset, alone, None);

        let ranks: Vec<_> = (0..config.world)
            .map(|rank| run(&dataset, LoaderConfig { rank, ..config.clone() }, None))
            .collect();
        for rank in &ranks {
            prop_assert_eq!(rank.len(), ranks[0].len(), "every rank takes the same steps");
        }
        let micro_batches = (config.global_batch / config.batch_size as u64 / u64::from(config.world)) as usize;
        prop_assert_eq!(ranks[0].len(), expected.len() * micro_batches);
        for (step, whole) in expected.iter().enumerate() {
            // Slot t of the step is number t div world of rank t mod world.
            for (slot, sample) in whole.samples.iter().enumerate() {
                let (rank, place) = (slot % config.world as usize, slot / config.world as usize);
                let micro_batch = &ranks[rank][step * micro_batches + place / config.batch_size];
                let place = place % config.batch_size;
                let shared = micro_batch.samples[place];
                prop_assert_eq!(sample.kind, shared.kind);
                if sample.kind == SlotKind::Sample {
                    prop_assert_eq!(*sample, shared);
                    prop_assert_eq!(&whole.pixels[slot * 90..][..90], &micro_batch.pixels[place * 90..][..90]);
                }
            }
            prop_assert_eq!(whole.ends, ranks[0][(step + 1) * micro_batches - 1].ends);
        }
        for epoch in 0..2 {
            let at = (epoch + 1) * ranks[0].len() / 2 - 1;
            let mut receipt = Receipt::new(epoch as u64);
            for rank in &ranks {
                receipt.merge(rank[at].receipt.as_ref().unwrap()).unwrap();
            }
            receipt.check(samples as u64).unwrap();
            prop_assert_eq!(&receipt, expected[(epoch + 1) * expected.len() / 2 - 1].receipt.as_ref().unwrap());
        }
    }

    #[test]
    fn threads_do_not_matter_and_resuming_goes_on_exactly(
        counts in prop::collection::vec(0_usize..9, 1..6), config in any_config(),
        other_threads in 1_usize..6, other_prefetch in 1_usize..6, cut in 0.0..1.0_f64,
    ) {
        let samples: usize = counts.iter().sum();
        prop_assume!(samples as u64 >= config.global_batch);
        // Some samples are broken, so that replacements and the quarantine list are resumed too.
        let (_folder, dataset) = dataset_of(&counts, |number| {
            let mut jpeg = small_jpeg(number);
            if number % 7 == 3 {
                jpeg.truncate(jpeg.len() - 2);
            }
            jpeg
        });
        let config = LoaderConfig {
            rank: config.world - 1, on_error: OnError::Skip, epochs: 3, ..config
        };
        let whole = run(&dataset, config.clone(), None);
        let other = LoaderConfig {
            threads: other_threads, prefetch_batches: other_prefetch, ..config
        };
        let at = (whole.len() as f64 * cut) as usize;
        let state: LoaderState =
            serde_json::from_str(&serde_json::to_string(&whole[at].state).unwrap()).unwrap();
        prop_assert_eq!(&run(&dataset, other.clone(), Some(state))[..], &whole[at + 1..]);
        prop_assert_eq!(run(&dataset, other, None), whole);
    }
}

#[test]
fn resumes_at_every_batch_also_at_another_number_of_ranks() {
    let (_folder, dataset) = dataset(&[6, 6, 7]);
    let whole = run(
        &dataset,
        LoaderConfig {
            epochs: 3,
            ..config()
        },
        None,
    );
    for (at, seen) in whole.iter().enumerate() {
        let state = Some(seen.state.clone());
        let config = LoaderConfig {
            epochs: 3,
            ..config()
        };
        assert_eq!(run(&dataset, config.clone(), state), whole[at + 1..]);
        if !seen.ends.0 {
            continue;
        }
        // At a step's end, two ranks take over from one.
        let mut shared = Vec::new();
        for rank in 0..2 {
            let config = LoaderConfig {
                world: 2,
                rank,
                ..config.clone()
            };
            shared.push(run(
                &dataset,
                config,
                Some(seen.state.clone().for_rank(rank)),
            ));
        }
        for (step, pair) in whole[at + 1..].chunks(2).enumerate() {
            let together: Vec<u64> = (0..4)
                .flat_map(|place| [0, 1].map(|rank: usize| shared[rank][step].samples[place]))
                .filter(|sample| sample.kind == SlotKind::Sample)
                .map(|sample| sample.sample_index)
                .collect();
            let alone: Vec<u64> = pair
                .iter()
                .flat_map(|batch| &batch.samples)
                .filter(|sample| sample.kind == SlotKind::Sample)
                .map(|sample| sample.sample_index)
                .collect();
            assert_eq!(together, alone);
            let mut merged = shared[0][step].state.clone();
            merged.merge(&shared[1][step].state).unwrap();
            assert_eq!(merged, pair[1].state);
        }
    }
}

type Change = fn(&mut LoaderConfig);

#[test]
fn does_not_resume_another_run() {
    let (_folder, data) = dataset(&[6, 6, 7]);
    let state = run(&data, config(), None)[0].state.clone();
    let (_other_folder, other_data) = dataset(&[6, 6, 8]);
    let message = refused(&other_data, config(), Some(state.clone()));
    assert!(message.contains("manifest hash"), "{message}");
    let cases: [(Change, &str); 5] = [
        (
            |c| c.seed = 9,
            "seed is 1 in the saved loader state but 9 now",
        ),
        (
            |c| c.streams = 2,
            "streams is 4 in the saved loader state but 2 now",
        ),
        (
            |c| c.window_shards = 3,
            "window_shards is 2 in the saved loader state but 3 now",
        ),
        (
            |c| c.global_batch = 12,
            "global_batch is 8 in the saved loader state but 12 now",
        ),
        (
            |c| c.drop_last = true,
            "drop_last is false in the saved loader state but true now",
        ),
    ];
    for (change, expected) in cases {
        let mut config = config();
        change(&mut config);
        let message = refused(&data, config, Some(state.clone()));
        assert!(message.contains(expected), "{message}");
    }
    for state in [
        LoaderState {
            version: 7,
            ..state.clone()
        },
        LoaderState {
            position: 3,
            ..state.clone()
        },
        LoaderState {
            position: 800,
            ..state.clone()
        },
        LoaderState {
            epoch: 1,
            ..state.clone()
        },
    ] {
        refused(&data, config(), Some(state));
    }
}

#[test]
fn refuses_settings_that_cannot_work() {
    let (_folder, dataset) = dataset(&[6, 6, 7]);
    let cases: [(Change, &str); 14] = [
        (|c| c.threads = 0, "threads"),
        (|c| c.prefetch_batches = 0, "prefetch_batches"),
        (|c| c.batch_size = 0, "batch_size"),
        (|c| c.batch_size = 1 << 31, "bytes of a batch"),
        (|c| c.prefetch_batches = 1 << 19, "samples prepared ahead"),
        (|c| c.out_width = 0, "output width"),
        (|c| c.out_height = 100_000, "output height"),
        (|c| c.world = 0, "world"),
        (|c| c.rank = 1, "rank 1 of 1"),
        (|c| c.streams = 0, "streams"),
        (|c| c.world = 3, "set a multiple of 3"),
        (|c| c.global_batch = 6, "not a multiple of 4"),
        (|c| c.global_batch = 20, "at most 19"),
        (|c| c.view.hflip = 2.0, "hflip"),
    ];
    for (change, part) in cases {
        let mut config = config();
        change(&mut config);
        let message = refused(&dataset, config, None);
        assert!(message.contains(part), "{message}");
    }
}

/// Every fifth sample has its end cut off.
fn damaged() -> (tempfile::TempDir, Arc<Dataset>) {
    let (folder, dataset) = dataset_of(&[10, 10, 3], |number| {
        let mut jpeg = small_jpeg(number);
        if number % 5 == 1 {
            jpeg.truncate(jpeg.len() - 2);
        }
        jpeg
    });
    (folder, dataset)
}

#[test]
fn skipping_keeps_the_order_and_writes_down_what_was_skipped() {
    let (_folder, damaged) = damaged();
    let (_whole_folder, whole) = dataset(&[10, 10, 3]);
    let skip = LoaderConfig {
        on_error: OnError::Skip,
        ..config()
    };
    let (skipped, good) = (run(&damaged, skip, None), run(&whole, config(), None));
    for (batch, good) in skipped.iter().zip(&good) {
        for slot in 0..4 {
            let wanted = good.samples[slot].sample_index;
            let (found, pixels) = (batch.samples[slot], &batch.pixels[slot * 90..][..90]);
            if good.samples[slot].kind == SlotKind::Padding {
                assert_eq!(found.kind, SlotKind::Padding);
            } else if wanted % 5 != 1 {
                assert_eq!(found, good.samples[slot]);
                assert_eq!(*pixels, good.pixels[slot * 90..][..90]);
            } else {
                assert_eq!((found.kind, found.loss_weight), (SlotKind::Replaced, 0.0));
                let before = (0..slot)
                    .rev()
                    .find(|&s| batch.samples[s].kind == SlotKind::Sample);
                match before {
                    Some(before) => {
                        assert_eq!(found.sample_index, batch.samples[before].sample_index);
                        assert_eq!(*pixels, batch.pixels[before * 90..][..90]);
                    }
                    None => assert!(found.sample_index == wanted && pixels.iter().all(|&p| p == 0)),
                }
            }
        }
    }
    let end = skipped.last().unwrap();
    let receipt = end.receipt.as_ref().unwrap();
    assert_eq!(
        (receipt.seen, receipt.skipped["truncated"], receipt.padded),
        (18, 5, 1)
    );
    receipt.check(23).unwrap();
    let mut bad = end.state.quarantine.clone();
    bad.sort_by_key(|bad| bad.sample_index);
    assert_eq!(
        bad.iter().map(|b| b.sample_index).collect::<Vec<_>>(),
        [1, 6, 11, 16, 21]
    );
    assert_eq!(
        (bad[3].shard.as_str(), bad[3].key.as_str(), bad[3].epoch),
        ("s-1.tar", "k16", 0)
    );
    assert_eq!(bad[3].offset, damaged.sample(16).offset as u64);
    assert!(
        bad[3].reason.contains("ends inside its scan"),
        "{}",
        bad[3].reason
    );
}

#[test]
fn a_bad_sample_is_an_error_that_names_it_and_the_last() {
    let (_folder, damaged) = damaged();
    let strict = LoaderConfig {
        threads: 3,
        ..config()
    };
    let mut loader = Loader::start(Arc::clone(&damaged), strict.clone(), None).unwrap();
    let mut good = Vec::new();
    let error = loop {
        match loader.next_batch() {
            Ok(batch) => good.push(see(&batch.unwrap())),
            Err(error) => break error,
        }
    };
    let Error::Sample {
        ref shard,
        ref key,
        offset,
        ..
    } = error
    else {
        panic!("{error}");
    };
    let number: u64 = key[1..].parse().unwrap();
    assert!(number % 5 == 1 && *shard == damaged.shard(number).name);
    assert_eq!(offset, damaged.sample(number).offset as u64);
    let again = loader.next_batch().unwrap_err();
    assert!(
        matches!(&again, Error::Stopped { first } if *first == error.to_string()),
        "{again}"
    );
    // What was handed out before still says where to go on.
    let last_good = good.last().map_or_else(
        || LoaderState::first(&strict, damaged.hash()),
        |b| b.state.clone(),
    );
    assert_eq!(*loader.state(), last_good);
    assert_eq!(
        Arc::strong_count(&damaged),
        2,
        "the threads have ended: only loader and test hold the data set"
    );
}

#[test]
fn a_shard_that_got_shorter_is_an_error_and_never_skipped() {
    let folder = tempfile::tempdir().unwrap();
    write_shards(folder.path(), &[10, 10], small_jpeg);
    let dataset = open(folder.path());
    let path = folder.path().join("s-1.tar");
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(2000)
        .unwrap();
    let skip = LoaderConfig {
        on_error: OnError::Skip,
        ..config()
    };
    let mut loader = Loader::start(dataset, skip, None).unwrap();
    let error = first_error(&mut loader);
    assert!(matches!(error, Error::ShardRead { .. }), "{error}");
    assert!(error.to_string().contains("s-1.tar"), "{error}");
    assert!(loader.state().quarantine.is_empty());
}

#[test]
fn bytes_that_changed_are_noticed_by_their_checksum() {
    let folder = tempfile::tempdir().unwrap();
    write_shards(folder.path(), &[8], small_jpeg);
    let dataset = open(folder.path());
    let sample = dataset.sample(3).clone();
    let path = folder.path().join("s-0.tar");
    let mut bytes = std::fs::read(&path).unwrap();
    // A flipped bit of the JFIF pixel density changes no pixel.
    bytes[sample.offset as usize + 14] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let blind = LoaderConfig {
        verify_crc: false,
        ..config()
    };
    assert_eq!(run(&dataset, blind, None).len(), 4);
    let mut loader = Loader::start(dataset, config(), None).unwrap();
    let error = first_error(&mut loader);
    let expected = format!("manifest says {:08x}", sample.crc32c);
    assert!(error.to_string().contains(&expected), "{error}");
}

#[test]
fn a_manifest_with_another_size_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    write_shards(folder.path(), &[8], small_jpeg);
    let mut manifest = open(folder.path()).manifest.clone();
    manifest.samples[2].width += 1;
    manifest
        .write(&folder.path().join(crate::Manifest::FILE_NAME))
        .unwrap();
    let mut loader = Loader::start(open(folder.path()), config(), None).unwrap();
    let error = first_error(&mut loader);
    assert!(error.to_string().contains("sample k2 "), "{error}");
    assert!(
        error.to_string().contains("but the manifest says 12x9"),
        "{error}"
    );
}

#[test]
fn a_panic_in_a_worker_is_an_error_and_no_shorter_epoch() {
    let (_folder, dataset) = dataset(&[10, 6]);
    for on_error in [OnError::Error, OnError::Skip] {
        for threads in [1, 3] {
            let source = Arc::clone(&dataset);
            let fetch: Fetch = Arc::new(move |sample_index, into: &mut Vec<u8>| {
                assert!(sample_index != 11, "sample eleven is cursed");
                source.read(sample_index, into)
            });
            let config = LoaderConfig {
                threads,
                on_error,
                ..config()
            };
            let mut loader =
                Loader::start_with(Arc::clone(&dataset), config, None, &fetch).unwrap();
            let error = first_error(&mut loader);
            let message = error.to_string();
            assert!(matches!(error, Error::WorkerPanicked { .. }), "{message}");
            assert!(
                message.contains("sample k11 ") && message.contains("is cursed"),
                "{message}"
            );
            assert!(matches!(loader.next_batch(), Err(Error::Stopped { .. })));
        }
    }
}

#[test]
fn dropping_it_ends_its_threads() {
    let (_folder, dataset) = dataset(&[10, 10, 10]);
    for batches in 0..6 {
        for held in [false, true] {
            let config = LoaderConfig {
                epochs: u64::MAX,
                threads: 3,
                ..config()
            };
            let mut loader = Loader::start(Arc::clone(&dataset), config, None).unwrap();
            let mut keep = Vec::new();
            for _ in 0..batches {
                let batch = loader.next_batch().unwrap().unwrap();
                if held {
                    keep.push((see(&batch), batch));
                }
            }
            drop(loader);
            // Each thread holds the data set for as long as it lives.
            assert_eq!(Arc::strong_count(&dataset), 1);
            for (seen, batch) in keep {
                assert_eq!(see(&batch), seen, "a held batch keeps its pixels");
            }
        }
    }
}

#[test]
fn holding_batches_blocks_nothing() {
    let (_folder, dataset) = dataset(&[10, 10, 10]);
    let config = LoaderConfig {
        prefetch_batches: 1,
        ..config()
    };
    let expected = run(&dataset, config.clone(), None);
    let mut loader = Loader::start(Arc::clone(&dataset), config, None).unwrap();
    let mut held = Vec::new();
    while let Some(batch) = loader.next_batch().unwrap() {
        held.push(batch);
    }
    assert_eq!(held.iter().map(see).collect::<Vec<_>>(), expected);
}

#[test]
fn never_prepares_more_than_it_may() {
    let (_folder, dataset) = dataset(&[40, 40]);
    let (fetched, handed_out, most_ahead) =
        (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let counters = Arc::new((fetched, handed_out, most_ahead));
    let (source, counts) = (Arc::clone(&dataset), Arc::clone(&counters));
    let fetch: Fetch = Arc::new(move |sample_index, into: &mut Vec<u8>| {
        let ahead = counts.0.fetch_add(1, Ordering::SeqCst) + 1 - counts.1.load(Ordering::SeqCst);
        counts.2.fetch_max(ahead, Ordering::SeqCst);
        source.read(sample_index, into)
    });
    let config = LoaderConfig {
        prefetch_batches: 3,
        threads: 4,
        ..config()
    };
    let mut loader = Loader::start_with(dataset, config, None, &fetch).unwrap();
    while let Some(_batch) = loader.next_batch().unwrap() {
        counters.1.fetch_add(4, Ordering::SeqCst);
    }
    // Three in preparation, and the one that `next_batch` has let go but that is not counted yet.
    let most_ahead = counters.2.load(Ordering::SeqCst);
    assert!(most_ahead <= 4 * 4, "{most_ahead} samples were read ahead");
}

#[test]
fn reuses_its_buffers() {
    let (_folder, dataset) = dataset(&[40, 40]);
    let mut loader = Loader::start(dataset, config(), None).unwrap();
    let mut places = std::collections::HashSet::new();
    while let Some(batch) = loader.next_batch().unwrap() {
        places.insert(batch.pixels().as_ptr() as usize);
    }
    assert!(
        places.len() <= 3,
        "{} buffers for 2 batches ahead",
        places.len()
    );
}

#[test]
fn counts_steps_and_batches() {
    let (_folder, dataset) = dataset(&[10, 11]);
    let loader = Loader::start(Arc::clone(&dataset), config(), None).unwrap();
    assert_eq!(
        (loader.steps_per_epoch(), loader.batches_per_epoch()),
        (3, 6)
    );
    let config = LoaderConfig {
        drop_last: true,
        ..config()
    };
    let loader = Loader::start(dataset, config, None).unwrap();
    assert_eq!(
        (loader.steps_per_epoch(), loader.batches_per_epoch()),
        (2, 4)
    );
}

/// A photograph of 64×48 whose restart interval depends on its number: none, half a row, a row, two rows.
fn cut_at_markers(number: u32) -> Vec<u8> {
    let pixels: Vec<u8> = (0..64 * 48 * 3)
        .map(|at: u32| (at.wrapping_mul(at ^ number) >> 5) as u8)
        .collect();
    encode(&pixels, 64, 48, ColorType::Rgb, |encoder| {
        encoder.set_sampling_factor(SamplingFactor::F_2_2);
        encoder.set_restart_interval([0, 2, 4, 8][number as usize % 4]);
    })
}

/// What a slot must show: its view of the whole photograph, decoded and resized by itself.
fn expected_pixels(dataset: &Dataset, sample: &BatchSample) -> Vec<u8> {
    let mut jpeg = Vec::new();
    dataset.read(sample.sample_index, &mut jpeg).unwrap();
    let mut decoder = Decoder::new();
    let rgb = decoder.decode(&jpeg).unwrap();
    let mut pixels = vec![0; 6 * 5 * 3];
    Resizer::new()
        .render(
            rgb.pixels,
            rgb.width,
            rgb.height,
            &sample.view,
            &mut pixels,
            6,
            5,
        )
        .unwrap();
    pixels
}

#[test]
fn parts_cut_out_show_the_same_as_whole_photographs_in_every_view() {
    let (_folder, dataset) = dataset_of(&[9, 10], cut_at_markers);
    let intervals: Vec<i32> = (0..4)
        .map(|index| dataset.sample(index).restart_mcus)
        .collect();
    assert_eq!(intervals, [0, 2, 4, 8]);
    // Small boxes are mostly apart and decoded one by one, large ones together.
    for scale in [[0.005, 0.02], [0.3, 1.0]] {
        for views in [1, 3] {
            let mut config = LoaderConfig {
                batch_size: 6,
                global_batch: 12,
                views,
                ..config()
            };
            config.view.crop.scale = scale;
            let batches = run(&dataset, config.clone(), None);
            assert_eq!(batches[0].samples.len(), 6);
            let mut receipts = batches.iter().filter_map(|batch| batch.receipt.as_ref());
            receipts.next().unwrap().check(19).unwrap();
            for batch in &batches {
                for (slot, sample) in batch.samples.iter().enumerate() {
                    assert_eq!(sample.view_index, slot as u32 % views);
                    let first = &batch.samples[slot - slot % views as usize];
                    assert_eq!(sample.sample_index, first.sample_index);
                    if sample.kind == SlotKind::Sample {
                        let drawn = config.view.draw(
                            1,
                            batch.place.0,
                            sample.sample_index,
                            sample.view_index,
                            64,
                            48,
                        );
                        assert_eq!(sample.view, drawn);
                    }
                    assert_eq!(
                        batch.pixels[slot * 90..][..90],
                        expected_pixels(&dataset, sample)
                    );
                }
            }
        }
    }
}

#[test]
fn batches_of_views_are_the_same_after_a_resume_and_at_any_thread_count() {
    let (_folder, dataset) = dataset_of(&[9, 10], cut_at_markers);
    let config = LoaderConfig {
        batch_size: 6,
        global_batch: 6,
        views: 3,
        ..config()
    };
    let whole = run(&dataset, config.clone(), None);
    let one_thread = LoaderConfig {
        threads: 1,
        fetch_threads: 1,
        // Less than one photograph: they go one at a time.
        fetch_ahead_bytes: 10,
        ..config.clone()
    };
    assert_eq!(run(&dataset, one_thread.clone(), None), whole);
    let resumed = run(&dataset, one_thread, Some(whole[6].state.clone()));
    assert_eq!(resumed, whole[7..]);
    let other_views = LoaderConfig {
        views: 2,
        ..config.clone()
    };
    let refusal = refused(&dataset, other_views, Some(whole[6].state.clone()));
    assert!(refusal.contains("views is 3 in the saved"), "{refusal}");
    let uneven = LoaderConfig { views: 4, ..config };
    let refusal = refused(&dataset, uneven, None);
    assert!(refusal.contains("multiple of 4"), "{refusal}");
}

#[test]
fn a_bad_sample_is_replaced_in_all_its_views() {
    let (_folder, dataset) = dataset_of(&[12], |number| {
        let mut jpeg = cut_at_markers(number);
        if number == 5 {
            jpeg.truncate(jpeg.len() - 40);
        }
        jpeg
    });
    let config = LoaderConfig {
        batch_size: 8,
        global_batch: 8,
        views: 2,
        on_error: OnError::Skip,
        epochs: 1,
        ..config()
    };
    let batches = run(&dataset, config, None);
    let bad: Vec<(usize, usize)> = (0..batches.len())
        .flat_map(|batch| (0..8).map(move |slot| (batch, slot)))
        .filter(|&(batch, slot)| batches[batch].samples[slot].kind == SlotKind::Replaced)
        .collect();
    assert_eq!(bad.len(), 2, "{bad:?}");
    for (batch, slot) in bad {
        let sample = &batches[batch].samples[slot];
        assert_eq!(
            (sample.view_index, sample.loss_weight),
            (slot as u32 % 2, 0.0)
        );
        if slot >= 2 {
            assert_eq!(
                batches[batch].pixels[slot * 90..][..90],
                expected_pixels(&dataset, sample)
            );
        }
    }
    assert_eq!(batches.last().unwrap().state.quarantine.len(), 1);
}

#[test]
fn floats_are_the_normalised_pixels_in_either_layout() {
    let (_folder, dataset) = dataset(&[9]);
    let bytes = run(&dataset, config(), None);
    for layout in [Layout::Interleaved, Layout::Planar] {
        let (mean, std) = (sbam_augment::IMAGENET_MEAN, [0.5, 0.25, 0.125]);
        let output = Output::F32 { mean, std, layout };
        let floats = LoaderConfig { output, ..config() };
        let mut loader = Loader::start(Arc::clone(&dataset), floats, None).unwrap();
        for expected in &bytes {
            let batch = loader.next_batch().unwrap().unwrap();
            assert_eq!(batch.samples(), expected.samples);
            let values = batch.normalised().unwrap();
            assert_eq!(values.len(), expected.pixels.len());
            for (at, &level) in expected.pixels.iter().enumerate() {
                let (image, pixel, channel) = (at / 90, at % 90 / 3, at % 3);
                let found = match layout {
                    Layout::Interleaved => values[at],
                    Layout::Planar => values[image * 90 + channel * 30 + pixel],
                };
                // Padding with nothing before it is 0 in whatever numbers.
                if expected.samples[image].kind == SlotKind::Sample {
                    let wanted = (f32::from(level) / 255.0 - mean[channel]) / std[channel];
                    assert!((found - wanted).abs() < 1e-6, "{found} {wanted}");
                }
            }
        }
    }
    let (folder, output) = (
        dataset,
        Output::F32 {
            mean: [0.5; 3],
            std: [0.0; 3],
            layout: Layout::Planar,
        },
    );
    assert!(
        refused(&folder, LoaderConfig { output, ..config() }, None)
            .contains("standard deviation 0")
    );
}

/// A manifest that promises markers which the shard no longer has: a shard made anew under it.
#[test]
fn markers_that_the_manifest_promises_and_the_jpeg_lacks_are_an_error() {
    let (_folder, dataset) = dataset_of(&[8], |_| cut_at_markers(1));
    let mut dataset = Arc::into_inner(dataset).unwrap();
    dataset.manifest.samples[3].restart_mcus = 4;
    let dataset = Arc::new(dataset);
    let mut loader = Loader::start(Arc::clone(&dataset), config(), None).unwrap();
    let message = first_error(&mut loader).to_string();
    assert!(
        message.contains("sample k3 at byte")
            && message.contains("4 MCUs between restart markers, but the JPEG has 2"),
        "{message}"
    );
}

#[test]
fn meters_count_what_was_done() {
    let (_folder, dataset) = dataset_of(&[8], cut_at_markers);
    let mut config = LoaderConfig {
        views: 2,
        epochs: 1,
        ..config()
    };
    config.view.crop.scale = [0.02, 0.1];
    let mut loader = Loader::start(Arc::clone(&dataset), config, None).unwrap();
    while loader.next_batch().unwrap().is_some() {}
    let stats = loader.stats();
    let bytes: u64 = (0..8)
        .map(|index| dataset.sample(index).length as u64)
        .sum();
    assert_eq!(
        (
            stats.samples,
            stats.images,
            stats.batches,
            stats.read_bytes,
            stats.crop_ready_samples
        ),
        (8, 16, 4, bytes, 6)
    );
    assert!(stats.partly_decoded_samples > 0 && stats.partly_decoded_samples <= 8);
    assert!(stats.decoded_pixels > 0 && stats.decoded_pixels < 16 * 64 * 48);
}
