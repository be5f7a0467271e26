//! The `ksom` binary from end to end, as a user meets it.

#[path = "cli/codes.rs"]
mod codes;
#[path = "cli/experiment.rs"]
mod experiment;
#[path = "cli/faults.rs"]
mod faults;
#[path = "cli/figures.rs"]
mod figures;
#[path = "cli/hostile.rs"]
mod hostile;
#[cfg(feature = "hub")]
#[path = "cli/hub.rs"]
mod hub;
#[cfg(feature = "hub")]
#[path = "cli/hub_faults.rs"]
mod hub_faults;
#[cfg(feature = "hub")]
#[path = "hub_server/mod.rs"]
mod hub_server;
#[path = "cli/judgment.rs"]
mod judgment;
#[path = "cli/models.rs"]
mod models;
#[path = "cli/numerical.rs"]
mod numerical;
#[path = "cli/odd.rs"]
mod odd;
#[path = "cli/pictures.rs"]
mod pictures;
#[cfg(feature = "hub")]
#[path = "../examples/pretrained.rs"]
mod pretrained;
#[path = "cli/support.rs"]
mod support;
#[path = "cli/training.rs"]
mod training;
#[path = "cli/usage.rs"]
mod usage;
#[path = "cli/zoo.rs"]
mod zoo;
