use std::fmt;

use crate::meters::LoaderStats;

/// Shares of time below this are not worth a remark.
const LITTLE: f64 = 0.05;
/// Decode threads that are without work for more than this share of their time are not what holds the loader up.
const IDLE: f64 = 0.2;

/// Fetch threads that read for more than this share of the time are what decode threads wait for.
const BUSY: f64 = 0.5;

/// What a loader's speed is bound by, and what would help; its `Display` is one line.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// The caller hardly waits: batches are ready before they are asked for.
    Caller {
        /// The share of the time that the caller waits, from 0 to 1.
        waits: f64,
    },
    /// Decode threads wait for bytes, and fetch threads are busy.
    Reading {
        /// Bytes read a second.
        bytes_per_s: f64,
    },
    /// Neither is busy: the caller takes batches unevenly, or too few are prepared ahead.
    PreparedAhead,
    /// Decode threads are busy.
    Decoding {
        /// Decode threads.
        threads: u64,
        /// Cores of the machine.
        cores: u64,
        /// The share of samples that are crop-ready, from 0 to 1.
        crop_ready: f64,
        /// The share of the busy time that goes into decoding; the rest goes into resizing and what follows.
        decode: f64,
    },
}

impl Verdict {
    /// Judges what a loader did in `seconds` on a machine of `cores` cores.
    pub fn new(stats: &LoaderStats, seconds: f64, cores: u64) -> Self {
        let seconds = seconds.max(f64::MIN_POSITIVE);
        let waits = stats.caller_waits.as_secs_f64() / seconds;
        let busy = stats.decode.as_secs_f64() + stats.render.as_secs_f64();
        let idle = stats.idle.as_secs_f64();
        if waits < LITTLE {
            Self::Caller { waits }
        } else if idle > IDLE * (idle + busy) {
            let fetching =
                stats.fetch.as_secs_f64() / (seconds * stats.fetch_threads.max(1) as f64);
            if fetching > BUSY {
                Self::Reading {
                    bytes_per_s: stats.read_bytes as f64 / seconds,
                }
            } else {
                Self::PreparedAhead
            }
        } else {
            Self::Decoding {
                threads: stats.threads,
                cores,
                crop_ready: stats.crop_ready_samples as f64 / stats.samples.max(1) as f64,
                decode: stats.decode.as_secs_f64() / busy.max(f64::MIN_POSITIVE),
            }
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Caller { waits } => write!(
                f,
                "bound by whoever takes the batches: it waits {:.0} % of the time; the loader could do more",
                100.0 * waits
            ),
            Self::Reading { bytes_per_s } => write!(
                f,
                "bound by reading ({:.0} MB/s): decode threads wait for bytes; put the shards on a faster disk, or raise \
                 the number of fetch threads",
                bytes_per_s / 1e6
            ),
            Self::PreparedAhead => write!(
                f,
                "bound by how little is prepared ahead, or by batches that are asked for in bursts: raise prefetch_batches"
            ),
            Self::Decoding {
                threads,
                cores,
                crop_ready,
                decode,
            } => {
                write!(
                    f,
                    "bound by {} on {threads} {}: ",
                    if decode < 0.5 { "resizing" } else { "decoding" },
                    if threads == 1 { "thread" } else { "threads" }
                )?;
                if threads < cores {
                    write!(f, "raise the number of threads to {cores}")?;
                    if crop_ready < 0.5 {
                        write!(f, ", and ")?;
                    }
                }
                if crop_ready < 0.5 {
                    write!(
                        f,
                        "make crop-ready shards with shard_imagenet ({:.0} % of the samples are now)",
                        100.0 * crop_ready
                    )
                } else if threads >= cores {
                    write!(
                        f,
                        "every core is busy and the shards are crop-ready; more cores, or smaller photographs, help"
                    )
                } else {
                    Ok(())
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn stats(decode: u64, idle: u64, waits: u64, cut: u64, fetch: u64) -> LoaderStats {
        LoaderStats {
            samples: 100,
            read_bytes: 500_000_000,
            crop_ready_samples: cut,
            decode: Duration::from_secs(decode),
            render: Duration::from_secs(1),
            idle: Duration::from_secs(idle),
            caller_waits: Duration::from_secs(waits),
            threads: 2,
            fetch: Duration::from_secs(fetch),
            fetch_threads: 4,
            ..LoaderStats::default()
        }
    }

    #[test]
    fn says_what_would_help() {
        let say = |decode, idle, waits, cut, cores| {
            Verdict::new(&stats(decode, idle, waits, cut, 30), 10.0, cores).to_string()
        };
        let bursts = Verdict::new(&stats(4, 15, 9, 0, 1), 10.0, 2);
        assert_eq!(bursts, Verdict::PreparedAhead);
        assert!(say(19, 0, 0, 0, 2).starts_with("bound by whoever takes the batches"));
        let reading = say(4, 15, 9, 0, 2);
        assert!(reading.contains("reading (50 MB/s)"), "{reading}");
        let ordinary = say(19, 0, 9, 0, 8);
        assert!(
            ordinary.contains(
                "decoding on 2 threads: raise the number of threads to 8, and make crop-ready"
            ),
            "{ordinary}"
        );
        let ready = say(19, 0, 9, 100, 8);
        assert!(
            ready.ends_with("raise the number of threads to 8"),
            "{ready}"
        );
        assert!(say(19, 0, 9, 100, 2).contains("every core is busy"));
        assert!(say(0, 0, 9, 100, 2).contains("bound by resizing"));
    }
}
