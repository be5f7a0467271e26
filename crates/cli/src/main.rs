//! The `ksom` command.
fn main() {}
