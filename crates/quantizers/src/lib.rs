//! Kohonen self-organizing-map vector quantizers for candle.
//!
//! A quantizer replaces vectors by the nearest of K codebook vectors, which lie on a grid. Three ones share one trait,
//! [`Quantizer`]: **KSOM**, which learns by exponential moving averages over a neighborhood on the grid; **EMA-VQ**,
//! which is KSOM without a neighborhood; and **GD-SOM**, which learns by gradient descent.
//!
//! # Source
//! K. Irie, R. Csordás, J. Schmidhuber, *Self-Organising Neural Discrete Representation Learning à la Kohonen*,
//! ICANN 2024, [arXiv 2302.07950](https://arxiv.org/abs/2302.07950).
//!
//! # Example
//! ```
//! use candle_core::{Device, Tensor};
//! use ksom_kernels::Backend;
//! use ksom_quantizers::{QuantizerConfig, build, initial_state};
//! use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
//!
//! let config = QuantizerConfig::ksom(16, 4);
//! let initial = initial_state(&config, &mut ChaCha8Rng::seed_from_u64(0))?;
//! let mut state = |name: &str, _shape: &[usize]| {
//!     let found = initial.iter().find(|(found, _)| *found == name);
//!     Ok(found.expect("initial_state names every tensor that build asks for").1.clone())
//! };
//! let mut quantizer = build(&config, &mut state, &Device::Cpu, Backend::Fast)?;
//!
//! let x = Tensor::randn(0f32, 1.0, (100, 4), &Device::Cpu)?;
//! let quantized = quantizer.forward(&x)?;
//! quantizer.observe(&x, &quantized.codes)?;
//! quantizer.step()?;
//! assert_eq!(quantizer.lookup(&quantized.codes)?.dims(), [100, 4]);
//! # Ok::<(), ksom_quantizers::QuantizerError>(())
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod config;
mod cpu_ops;
mod error;
mod gd_som;
mod grid;
mod ksom;
pub mod measures;
mod neighborhood;
mod portable;
mod quantizer;
mod rows;
mod state;

pub use config::{MAX_DIM, NeighborhoodKind, QuantizerConfig, QuantizerKind};
pub use error::{QuantizerError, Result};
pub use gd_som::GdSom;
pub use grid::{Grid, MAX_AXES, MAX_CODES, NEIGHBOR_DISTANCE};
pub use ksom::Ksom;
pub use neighborhood::Neighborhood;
pub use quantizer::{Quantized, Quantizer, build, initial_state};
