//! The program `ksom`.

mod allocator;

use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::keep_freed_memory();
    ExitCode::from(ksom_cli::run(std::env::args_os()))
}
