//! Being asked to stop: Ctrl-C or SIGTERM once ends cleanly, twice ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use crate::say;

/// Exit code of a run that was asked to stop, as shells have it for Ctrl-C.
pub(crate) const STOPPED_EXIT_CODE: u8 = 130;

/// What the signal handler and the run tell each other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    requested: Arc<AtomicBool>,
    at_once: Arc<AtomicBool>,
    training: Arc<AtomicBool>,
}

impl Stop {
    /// Listens for Ctrl-C and SIGTERM; the second ends the process.
    ///
    /// # Errors
    /// If the handler cannot be installed.
    pub(crate) fn listen() -> Result<Self> {
        let stop = Self::default();
        let in_handler = stop.clone();
        ctrlc::set_handler(move || {
            let again = in_handler.requested.swap(true, Ordering::SeqCst);
            if again || in_handler.at_once.load(Ordering::SeqCst) {
                std::process::exit(i32::from(STOPPED_EXIT_CODE));
            }
            say::note(if in_handler.training.load(Ordering::SeqCst) {
                "stopping: finishing this step and saving; once more to stop at once"
            } else {
                "stopping"
            });
        })
        .context("cannot listen for Ctrl-C")?;
        Ok(stop)
    }

    /// The flag that becomes true at the first signal.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.requested
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// Does `work` that a signal may end at any moment, since it leaves nothing half-done.
    pub(crate) fn interruptible<T>(&self, work: impl FnOnce() -> T) -> T {
        self.at_once.store(true, Ordering::SeqCst);
        let done = work();
        self.at_once.store(false, Ordering::SeqCst);
        done
    }

    /// From now on there is something to save.
    pub(crate) fn training_begins(&self) {
        self.training.store(true, Ordering::SeqCst);
    }
}
