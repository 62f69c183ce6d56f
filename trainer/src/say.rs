//! Words for a person, which never decide how a run ends: a reader that has gone away is not an error.

use std::io::Write;

/// A line on standard error.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A line on standard output.
pub(crate) fn result(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
