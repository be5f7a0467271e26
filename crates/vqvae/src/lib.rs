//! VQ-VAE and VQ-VAE-2 whose codebooks are Kohonen self-organizing maps, after *Self-Organising Neural Discrete
//! Representation Learning à la Kohonen* (Irie, Csordás, Schmidhuber, ICANN 2024,
//! [arXiv 2302.07950](https://arxiv.org/abs/2302.07950)): models, training, checkpoints and codes.
//!
//! ```no_run
//! use ksom_vqvae::{Compute, Model};
//!
//! let model = Model::builtin("cifar10-ksom", &Compute::cpu())?;
//! let picture = ksom_datasets::decode_image("photo.jpg", &ksom_datasets::DecodeOptions::default())?;
//! let codes = model.encode_images(&[picture])?;
//! let reconstruction = model.decode_images(&codes)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod checkpoint;
pub mod codes;
mod error;
pub mod evaluation;
#[cfg(feature = "charts")]
pub mod experiment;
pub mod figures;
pub mod hub;
pub mod model;
pub mod record;
pub mod system;
pub mod training;

pub use codes::file::CodesFile;
pub use codes::images::ImageCodes;
pub use error::{Error, Result};
pub use hub::Hub;
pub use ksom_kernels::Backend;
#[cfg(feature = "zoo")]
pub use ksom_models as zoo;
pub use model::Model;
pub use model::config::ModelConfig;
pub use system::compute::Compute;
pub use training::events::{Event, Flow};
pub use training::recipe::Recipe;
pub use training::trainer::Trainer;

pub use {candle_core, candle_nn, image, ksom_datasets, ksom_quantizers};
