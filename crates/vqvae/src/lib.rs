//! VQ-VAE and VQ-VAE-2 whose codebooks are Kohonen self-organizing maps, after *Self-Organising Neural Discrete
//! Representation Learning à la Kohonen* (Irie, Csordás, Schmidhuber, ICANN 2024,
//! [arXiv 2302.07950](https://arxiv.org/abs/2302.07950)): models, training, checkpoints and codes.
//!
//! A picture goes in, a small grid of whole numbers comes out, and from these numbers a picture like it. The numbers name
//! vectors that lie on a map, where neighbors mean similar things.
//!
//! ```
//! use ksom_vqvae::image::{Rgb, RgbImage};
//! use ksom_vqvae::ksom_quantizers::QuantizerConfig;
//! use ksom_vqvae::model::Architecture;
//! use ksom_vqvae::{CodesFile, Compute, Model, ModelConfig};
//!
//! // A new model. A trained one: `Model::builtin("photos-ksom", …)`, `Model::load("a/folder", …)` or
//! // `Model::from_pretrained("owner/name", …)`.
//! let architecture = Architecture { hidden: 16, residual_hidden: 8, ..Architecture::vqvae() };
//! let model = Model::init(&ModelConfig::new(architecture, QuantizerConfig::ksom(64, 16)), 0, &Compute::cpu())?;
//!
//! let picture = RgbImage::from_fn(40, 30, |x, y| Rgb([6 * x as u8, 8 * y as u8, 128]));
//! let codes = model.encode_images(&[picture])?;
//! assert_eq!((codes[0].levels[0].width, codes[0].levels[0].height), (10, 8));
//! assert_eq!(model.decode_images(&codes)?[0].dimensions(), (40, 30));
//! # Ok::<(), ksom_vqvae::Error>(())
//! ```
//!
//! # Where things are
//!
//! | | |
//! |---|---|
//! | [`Model`], [`model`] | the networks: pictures or tensors to codes and back, gradients, weights by name |
//! | [`Compute`], [`Backend`], [`system`] | device, number type, computing path |
//! | [`ImageCodes`], [`CodesFile`], [`codes`] | codes of pictures of any size, files of them, codes moved on their map |
//! | `tokens` | shards of pictures to shards of codes, by any number of processes |
//! | [`Recipe`], [`Trainer`], [`training`] | training, whole or step by step, with a loss and a schedule of one's own |
//! | [`Team`], [`team`] | several processes that train one model together |
//! | [`evaluation`], [`record`] | what a model loses, and what is written down of it |
//! | [`checkpoint`] | model directories, and checkpoints of the paper's own PyTorch program |
//! | [`Hub`], [`hub`] | models on the Hugging Face Hub; their cache |
//! | `onnx` | models as ONNX files, for other runtimes |
//! | [`figures`], [`experiment`] | maps, sheets and curves; many trainings compared |
//!
//! candle, `image`, the data sets and the quantizers are re-exported, so that one dependency is enough. The
//! [`Error`] tells apart what a program may want to answer differently, and converts into candle's.
//!
//! Calls block, and computing uses all threads of rayon's pool. From async code, make them inside
//! `tokio::task::spawn_blocking`; those of [`Hub`] say so if they find themselves inside a runtime.
//!
//! # Features
//!
//! None is on by default. `zoo`: the built-in models. `onnx`: models as ONNX files. `hub`: pulling from and pushing to the Hub. `pth`: PyTorch
//! checkpoints. `shards`: tokens of shards. `mpi`: teams of processes over MPI, whose library it needs. `charts`: curves, and
//! experiments, whose results are drawn. `avx512-gemm`: AVX-512 in candle's own matrix products. `cuda`, `metal`, `accelerate`,
//! `mkl`: as candle's.

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
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod record;
pub mod system;
pub mod team;
#[cfg(feature = "shards")]
pub mod tokens;
pub mod training;

pub use codes::file::CodesFile;
pub use codes::images::ImageCodes;
pub use error::{Error, HubProblem, Result};
pub use hub::Hub;
pub use ksom_kernels::Backend;
#[cfg(feature = "zoo")]
pub use ksom_models as zoo;
pub use model::Model;
pub use model::config::ModelConfig;
pub use system::compute::Compute;
pub use team::members::Team;
pub use training::events::{Event, Flow};
pub use training::recipe::Recipe;
pub use training::trainer::Trainer;

pub use {candle_core, candle_nn, image, ksom_datasets, ksom_quantizers};
