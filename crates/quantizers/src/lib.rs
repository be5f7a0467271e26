//! Kohonen self-organizing-map vector quantizers for candle: the only crate to name besides candle, which it re-exports.
//!
//! A quantizer replaces vectors by the nearest of K codebook vectors, which lie on a grid. They share one trait,
//! [`Quantizer`]: **KSOM**, which learns by exponential moving averages over a neighborhood on the grid; **EMA-VQ**,
//! which is KSOM without a neighborhood; **GD-SOM**, which learns by gradient descent; and for comparison two that keep a
//! codebook from collapsing in another way, **SimVQ** and **FSQ**. A KSOM or EMA-VQ may besides begin with k-means, revive
//! codes without use and compare by the cosine; the gradient of any goes straight through or is rotated; and any may be a
//! stage of a [`Residual`].
//!
//! # In a model
//! A quantizer is made as candle-nn's layers are made, from a [`VarBuilder`](candle_nn::VarBuilder): new in a
//! [`VarMap`](candle_nn::VarMap), or with the tensors of a file. It takes rows [N, D] and maps [N, D, H, W].
//!
//! ```
//! use ksom_quantizers::candle_core::{DType, Device, Result, Tensor};
//! use ksom_quantizers::candle_nn::{AdamW, Conv2d, Module, Optimizer, VarBuilder, VarMap, conv2d, loss::mse};
//! use ksom_quantizers::{Ksom, Quantizer, QuantizerConfig};
//!
//! struct Autoencoder {
//!     encoder: Conv2d,
//!     quantizer: Ksom,
//!     decoder: Conv2d,
//! }
//!
//! fn main() -> Result<()> {
//!     let variables = VarMap::new();
//!     let vb = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
//!     let mut model = Autoencoder {
//!         encoder: conv2d(3, 4, 1, Default::default(), vb.pp("encoder"))?,
//!         quantizer: Ksom::new(&QuantizerConfig::ksom(16, 4), vb.pp("quantizer"))?,
//!         decoder: conv2d(4, 3, 1, Default::default(), vb.pp("decoder"))?,
//!     };
//!     // All variables: the codebook is among them, but no gradient leads to it.
//!     let mut optimizer = AdamW::new_lr(variables.all_vars(), 1e-2)?;
//!
//!     let pictures = Tensor::rand(0f32, 1.0, (8, 3, 6, 6), &Device::Cpu)?;
//!     for _ in 0..10 {
//!         let features = model.encoder.forward(&pictures)?;
//!         let quantized = model.quantizer.forward(&features)?;
//!         let error = mse(&model.decoder.forward(&quantized.output)?, &pictures)?;
//!         optimizer.backward_step(&(error + quantized.loss)?)?;
//!         // The codebook learns from what the quantizer saw.
//!         let observation = model.quantizer.observe(&features, &quantized.codes)?;
//!         model.quantizer.step(observation)?;
//!     }
//!     assert_eq!(model.quantizer.steps()?, 10);
//!
//!     let codes = model.quantizer.assign(&model.encoder.forward(&pictures)?)?;
//!     assert_eq!(codes.dims(), [8, 6, 6]);
//!     let vectors = model.quantizer.lookup(&codes)?.permute((0, 3, 1, 2))?;
//!     assert_eq!(model.decoder.forward(&vectors)?.dims(), [8, 3, 6, 6]);
//!     Ok(())
//! }
//! ```
//!
//! - [`build`] makes whichever quantizer a [`QuantizerConfig`] names; [`build_seeded`] makes a new one that depends on
//!   nothing but a seed, without a `VarBuilder` (candle's own generator cannot be seeded on the CPU).
//! - Where there is no `VarMap`, [`Quantizer::state`] gives the tensors to save, and [`Quantizer::vars`] what an
//!   optimizer must train: nothing for KSOM, the codebook for GD-SOM.
//! - To cut a batch into parts, add their [`Observation`]s with [`Observation::and`]: they are one update.
//! - The [`Backend`] is chosen by the device; [`Quantizer::set_backend`] sets another one.
//! - [`measures`] says how a codebook is used and how well its grid mirrors its space.
//!
//! # Source
//! K. Irie, R. Csordás, J. Schmidhuber, *Self-Organising Neural Discrete Representation Learning à la Kohonen*,
//! ICANN 2024, [arXiv 2302.07950](https://arxiv.org/abs/2302.07950).

#![cfg_attr(docsrs, feature(doc_cfg))]

mod build;
mod config;
mod cpu_ops;
mod error;
mod estimator;
mod form;
mod fsq;
mod gaussian;
mod gd_som;
mod grid;
mod k_means;
mod ksom;
pub mod measures;
mod neighborhood;
mod observation;
mod parts;
mod pass;
mod portable;
mod quantizer;
mod residual;
mod revival;
mod rows;
mod sim_vq;
mod space;
mod spectral;
mod state;

pub use build::{build, build_seeded};
pub use config::{Estimator, Initialization, MAX_DIM, NeighborhoodKind, QuantizerConfig, QuantizerKind, Similarity};
pub use error::{QuantizerError, Result};
pub use fsq::{Fsq, fsq_levels};
pub use gd_som::GdSom;
pub use grid::{Grid, MAX_AXES, MAX_CODES, NEIGHBOR_DISTANCE};
pub use k_means::k_means;
pub use ksom::Ksom;
pub use neighborhood::Neighborhood;
pub use observation::Observation;
pub use quantizer::{Quantized, Quantizer};
pub use residual::{MAX_STAGES, Residual, ResidualQuantized, StageOutput};
pub use revival::Sample;
pub use sim_vq::SimVq;
pub use space::{MIN_LENGTH, fsq_bound};
pub use state::MAX_STEPS;

pub use ksom_kernels::Backend;
pub use {candle_core, candle_nn};
