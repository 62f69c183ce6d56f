//! The `trainer` binary, as `trainer/src/main.rs` builds it.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sbam_trainer::allocator::keep_pages();
    sbam_trainer::main()
}
