//! Models on the Hugging Face Hub. A model directory is a repository there; what is pulled lies in the cache that
//! Python's `huggingface_hub` uses, so that both find it.
//!
//! Names, the cache and the model card need no network; `Hub::pull` and `Hub::push` need the feature `hub`.

mod cache;
mod card;
mod card_onnx;
mod content_name;
#[cfg(feature = "shards")]
mod data_files;
#[cfg(feature = "shards")]
mod data_name;
mod listing;
mod name;
mod package;
mod settings;

#[cfg(feature = "hub")]
mod base64;
#[cfg(feature = "hub")]
pub(crate) mod client;
#[cfg(feature = "hub")]
mod commit;
#[cfg(feature = "hub")]
mod download;
#[cfg(feature = "hub")]
mod event;
#[cfg(feature = "hub")]
pub(crate) mod failure;
#[cfg(feature = "hub")]
mod filling;
#[cfg(feature = "hub")]
mod pull;
#[cfg(all(feature = "hub", feature = "shards"))]
mod pull_data;
#[cfg(feature = "hub")]
mod push;
#[cfg(feature = "hub")]
mod upload;
#[cfg(feature = "hub")]
pub(crate) mod waiting;
#[cfg(feature = "hub")]
mod xet;

pub use cache::{CachedModel, HubModel};
pub use card::CardOptions;
#[cfg(feature = "shards")]
pub use data_files::{DataSplit, HubData};
#[cfg(feature = "shards")]
pub use data_name::HubDataName;
pub use listing::{Listing, RemoteFile};
pub use name::HubName;
pub use package::{PackOptions, Package, PackedFile, PushOptions, Pushed, RepositoryKind};
pub use settings::{Hub, Token};

#[cfg(feature = "hub")]
pub use event::HubEvent;

/// The files of a repository that make a model, all at its top.
pub(crate) const MODEL_FILES: [&str; 2] = ["config.json", "model.safetensors"];
