//! Being asked to stop: Ctrl-C or SIGTERM once ends cleanly, twice ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

/// Exit code of a run that was asked to stop, as shells have it for Ctrl-C.
pub(crate) const STOPPED_EXIT_CODE: u8 = 130;

/// A flag that becomes true at the first Ctrl-C or SIGTERM; the second ends the process.
///
/// # Errors
/// If the handler cannot be installed.
pub(crate) fn stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let in_handler = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if in_handler.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(STOPPED_EXIT_CODE));
        }
        eprintln!("stopping: finishing this step and saving; once more to stop at once");
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(stop)
}
