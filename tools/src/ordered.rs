//! Work done by several threads and handed back in its order, with bounded memory.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use anyhow::{Result, anyhow};
use crossbeam::channel::{Receiver, Sender, bounded};

/// Jobs under way for each thread: enough that a slow job does not leave the others without work.
const JOBS_PER_THREAD: usize = 8;

/// How much may be under way at once.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Threads that work; the caller's own takes the results.
    pub(crate) threads: usize,
    /// Sum of the weights of the jobs under way. A heavier job waits until it is alone.
    pub(crate) bytes: u64,
}

/// As many threads as the machine has cores for this process.
pub(crate) fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Does `work` on every job in several threads and gives the results to `take` in the order of the jobs.
///
/// Each job comes with its weight in bytes. Each thread has a scratch of its own, made by `scratch`. The first error of
/// `take` ends everything and is returned.
pub(crate) fn map_in_order<Job: Send, Done: Send, Scratch>(
    limits: Limits,
    jobs: impl Iterator<Item = (Job, u64)>,
    scratch: impl Fn() -> Scratch + Sync,
    work: impl Fn(&mut Scratch, Job) -> Done + Sync,
    take: impl FnMut(Done) -> Result<()>,
) -> Result<()> {
    let threads = limits.threads.max(1);
    let most_jobs = threads * JOBS_PER_THREAD;
    let (job_sender, job_receiver) = bounded::<(Job, Sender<Done>)>(most_jobs);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let jobs = job_receiver.clone();
                let (scratch, work) = (&scratch, &work);
                scope.spawn(move || {
                    let mut scratch = scratch();
                    for (job, reply) in jobs {
                        // Nobody waits for it any more when `take` has failed.
                        let _ = reply.send(work(&mut scratch, job));
                    }
                })
            })
            .collect();
        drop(job_receiver);
        let taken = feed(most_jobs, limits.bytes, jobs, &job_sender, take);
        // Workers end when there is nobody to send jobs.
        drop(job_sender);
        let panicked = workers
            .into_iter()
            .filter_map(|worker| worker.join().err())
            .count();
        if panicked > 0 {
            return Err(anyhow!(
                "{panicked} worker threads panicked; the reason is above"
            ));
        }
        taken
    })
}

/// Keeps the workers busy within the limits and takes the results in order.
fn feed<Job, Done>(
    most_jobs: usize,
    most_bytes: u64,
    jobs: impl Iterator<Item = (Job, u64)>,
    workers: &Sender<(Job, Sender<Done>)>,
    mut take: impl FnMut(Done) -> Result<()>,
) -> Result<()> {
    let gone = || anyhow!("a worker thread ended early");
    let mut jobs = jobs.peekable();
    let mut pending: VecDeque<(Receiver<Done>, u64)> = VecDeque::with_capacity(most_jobs);
    let mut pending_bytes = 0_u64;
    loop {
        while pending.len() < most_jobs {
            let room = |bytes: u64| {
                pending.is_empty() || pending_bytes.saturating_add(bytes) <= most_bytes
            };
            let Some((job, bytes)) = jobs.next_if(|(_, bytes)| room(*bytes)) else {
                break;
            };
            let (reply, result) = bounded(1);
            workers.send((job, reply)).map_err(|_| gone())?;
            pending_bytes += bytes;
            pending.push_back((result, bytes));
        }
        let Some((result, bytes)) = pending.pop_front() else {
            return Ok(());
        };
        take(result.recv().map_err(|_| gone())?)?;
        pending_bytes -= bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn results_come_in_order_and_weights_stay_within_the_limit(
            weights in prop::collection::vec(0_u64..100, 0..200),
            threads in 1_usize..5,
            bytes in 1_u64..300,
        ) {
            let under_way = AtomicU64::new(0);
            let most = AtomicU64::new(0);
            let mut seen = Vec::new();
            let jobs = weights.iter().map(|&weight| {
                let now = under_way.fetch_add(weight, Ordering::SeqCst) + weight;
                most.fetch_max(now, Ordering::SeqCst);
                (weight, weight)
            });
            map_in_order(Limits { threads, bytes }, jobs, || (), |(), weight| weight, |weight| {
                under_way.fetch_sub(weight, Ordering::SeqCst);
                seen.push(weight);
                Ok(())
            }).unwrap();
            prop_assert_eq!(&seen, &weights);
            // The next job is looked at before there is room for it: one more than the limit.
            prop_assert!(most.into_inner() <= bytes.max(100) + 100);
        }
    }

    #[test]
    fn the_first_error_ends_the_work() {
        let mut taken = 0;
        let limits = Limits {
            threads: 3,
            bytes: 1000,
        };
        let error = map_in_order(
            limits,
            (0_u64..).map(|i| (i, 1)),
            || (),
            |(), i| i,
            |i| {
                taken += 1;
                if i == 10 { Err(anyhow!("ten")) } else { Ok(()) }
            },
        )
        .unwrap_err();
        assert_eq!((error.to_string().as_str(), taken), ("ten", 11));
    }

    #[test]
    fn a_panic_in_a_worker_is_an_error() {
        let limits = Limits {
            threads: 2,
            bytes: 1000,
        };
        let work = |(): &mut (), i: u64| assert!(i != 20, "this panic is part of a test");
        let error =
            map_in_order(limits, (0..50).map(|i| (i, 1)), || (), work, |()| Ok(())).unwrap_err();
        assert!(error.to_string().contains("panicked"), "{error}");
    }
}
