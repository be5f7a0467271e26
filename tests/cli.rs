//! The `ksom` binary from end to end, as a user meets it.

#[path = "cli/codes.rs"]
mod codes;
#[path = "cli/faults.rs"]
mod faults;
#[path = "cli/hostile.rs"]
mod hostile;
#[path = "cli/models.rs"]
mod models;
#[path = "cli/numerical.rs"]
mod numerical;
#[path = "cli/pictures.rs"]
mod pictures;
#[path = "cli/support.rs"]
mod support;
#[path = "cli/training.rs"]
mod training;
#[path = "cli/usage.rs"]
mod usage;
