//! What the tests across crates share: small photographs, the trainer as a process, and readers of
//! what a run leaves behind.

mod photographs;
mod run_folder;
mod trainer;

pub use photographs::write_photographs;
pub use run_folder::{MaskRow, RunFolder};
pub use trainer::{Running, Trainer};
