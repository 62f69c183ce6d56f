//! The process's allocator: mimalloc that keeps the pages it has.
//!
//! A training step allocates and frees the same large buffers over and over. Giving their pages
//! back to the system costs a fifth of the step in zeroing fresh ones, so purging is off.

use std::ffi::c_long;

/// The number of mimalloc's option `purge_delay`; -1 is "never".
const PURGE_DELAY: i32 = 15;

/// Tells mimalloc never to give pages back; call it first thing in `main`.
#[allow(
    unsafe_code,
    reason = "mimalloc's options are set through its C interface, before any thread starts"
)]
pub fn keep_pages() {
    const NEVER: c_long = -1;
    // SAFETY: sets one integer option of the allocator; `PURGE_DELAY` is an option of the linked version.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, NEVER) }
}
