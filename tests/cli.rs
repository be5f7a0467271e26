//! The `ksom` binary from end to end, as a user meets it.

#[path = "cli/checkpoints.rs"]
mod checkpoints;
#[path = "cli/codebooks.rs"]
mod codebooks;
#[path = "cli/codes.rs"]
mod codes;
#[path = "cli/environment.rs"]
mod environment;
#[path = "cli/experiment.rs"]
mod experiment;
#[cfg(feature = "explore")]
#[path = "cli/explore.rs"]
mod explore;
#[cfg(feature = "onnx")]
#[path = "cli/export.rs"]
mod export;
#[path = "cli/faults.rs"]
mod faults;
#[path = "cli/figures.rs"]
mod figures;
#[path = "cli/forms.rs"]
mod forms;
#[path = "cli/hostile.rs"]
mod hostile;
#[cfg(feature = "hub")]
#[path = "cli/hub.rs"]
mod hub;
#[cfg(feature = "hub")]
#[path = "cli/hub_cache.rs"]
mod hub_cache;
#[cfg(all(feature = "hub", feature = "shards"))]
#[path = "cli/hub_data.rs"]
mod hub_data;
#[cfg(feature = "hub")]
#[path = "cli/hub_faults.rs"]
mod hub_faults;
#[cfg(feature = "hub")]
#[path = "cli/hub_hostile.rs"]
mod hub_hostile;
#[cfg(feature = "hub")]
#[path = "cli/hub_names.rs"]
mod hub_names;
#[cfg(feature = "hub")]
#[path = "hub_server/mod.rs"]
mod hub_server;
#[cfg(feature = "hub")]
#[path = "cli/hub_uploads.rs"]
mod hub_uploads;
#[path = "cli/judgment.rs"]
mod judgment;
#[path = "cli/left_out.rs"]
mod left_out;
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
#[path = "cli/resume.rs"]
mod resume;
#[cfg(feature = "shards")]
#[path = "cli/shards.rs"]
mod shards;
#[cfg(feature = "shards")]
#[path = "cli/shards_hostile.rs"]
mod shards_hostile;
#[cfg(feature = "shards")]
#[path = "cli/shards_shared.rs"]
mod shards_shared;
#[cfg(all(feature = "hub", feature = "shards"))]
#[path = "cli/shards_web.rs"]
mod shards_web;
#[cfg(all(feature = "explore", feature = "hub"))]
#[path = "cli/spaces.rs"]
mod spaces;
#[path = "cli/support.rs"]
mod support;
#[path = "cli/training.rs"]
mod training;
#[path = "cli/usage.rs"]
mod usage;
#[path = "cli/zoo.rs"]
mod zoo;
