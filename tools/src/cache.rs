//! Where things are kept that can be made again.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// Names the cache folder, for those who do not want the usual one.
const VARIABLE: &str = "SBAM_CACHE";

/// The folder for generated data sets and indexes: `$SBAM_CACHE` if set and not empty, else `sbam` in the user's cache
/// folder (on Linux `$XDG_CACHE_HOME` or `~/.cache`). It need not exist yet.
///
/// # Errors
/// When neither is known, as in a container without a home.
pub fn default_cache_dir() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        return std::path::absolute(folder)
            .with_context(|| format!("{VARIABLE} does not name a folder"));
    }
    dirs::cache_dir()
        .map(|folder| folder.join("sbam"))
        .with_context(|| {
            format!("this user has no cache folder; set {VARIABLE} to a folder for generated data")
        })
}
