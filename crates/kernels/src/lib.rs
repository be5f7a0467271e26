//! CPU kernels as candle custom operations, f32 and channels last: convolution and transposed convolution with all
//! gradients, nearest codebook vectors, the AdamW step.
//!
//! Results are the same bits whatever the number of threads, and an image's result does not depend on what else is in
//! its batch. The instruction set is chosen at run time: AVX-512, AVX2 with FMA, NEON, or plain Rust
//! ([`instruction_set`] says which); in WebAssembly when the module is built.
//!
//! # Operations in candle's graph
//! [`conv2d`] and [`conv_transpose2d`] take [N, H, W, C] and weights in PyTorch's layout, with bias, skip connection and
//! ReLU fused; [`nchw_to_nhwc`] and [`nhwc_to_nchw`] lead in and out. All have gradients.
//!
//! ```
//! use candle_core::{Device, Result, Tensor, Var};
//! use ksom_kernels::{AdamW, ConvSpec, adamw_step, conv2d, mean_squared_error, nchw_to_nhwc};
//!
//! fn main() -> Result<()> {
//!     let pictures = Tensor::randn(0f32, 1.0, (2, 3, 8, 8), &Device::Cpu)?;
//!     let target = Tensor::zeros((2, 4, 4, 16), candle_core::DType::F32, &Device::Cpu)?;
//!     let weight = Var::from_tensor(&Tensor::randn(0f32, 0.1, (16, 3, 4, 4), &Device::Cpu)?)?;
//!     let (m, v) = (weight.zeros_like()?, weight.zeros_like()?);
//!     let spec = ConvSpec { stride: 2, padding: 1, relu: true, input_grad: false };
//!     let error = || mean_squared_error(&conv2d(&nchw_to_nhwc(&pictures)?, &weight, None, None, spec)?, &target, 1.0);
//!
//!     let (before, _) = error()?;
//!     for step in 1..=20 {
//!         let output = conv2d(&nchw_to_nhwc(&pictures)?, &weight, None, None, spec)?;
//!         let gradients = (output - &target)?.sqr()?.mean_all()?.backward()?;
//!         let gradient = gradients.get(&weight).expect("the loss depends on the weight");
//!         adamw_step(&weight, gradient, &m, &v, &AdamW::default(), step, 1.0)?;
//!     }
//!     assert!(error()?.0 < before);
//!     Ok(())
//! }
//! ```
//!
//! # Outside a graph
//! A training step that keeps its own tape asks for gradients one by one: [`input_grad`], [`weight_grad`],
//! [`bias_grad`], [`relu_grad`], [`straight_through_grad`]. [`nearest`], [`nearest_two`],
//! [`code_sums`] and [`spread_on_grid`] serve vector quantizers.
//!
//! # Features
//! `avx512-gemm` lets candle's own matrix products use AVX-512 too.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod adamw;
mod backend;
mod code_sums;
mod conv;
mod elementwise;
mod error;
mod grid;
mod layout;
mod memory;
mod nearest;
mod norm;
mod relu;
mod simd;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use adamw::{AdamW, adamw_step};
pub use backend::Backend;
pub use code_sums::code_sums;
pub use conv::{ConvSpec, ConvWeight, Rest, bias_grad, conv_transpose2d, conv2d, input_grad, weight_grad};
pub use elementwise::{mean_squared_error, relu_grad, straight_through_grad, sum};
pub use error::Error;
pub use grid::spread_on_grid;
pub use layout::{nchw_to_nhwc, nhwc_to_nchw};
pub use nearest::{nearest, nearest_two};
pub use norm::squared_norm;
pub use relu::relu;

/// The instruction set that the kernels use on this machine: `avx512`, `avx2`, `neon`, `simd128` or `scalar`; the best there is, or
/// the one that the environment variable `KSOM_INSTRUCTION_SET` names.
pub fn instruction_set() -> &'static str {
    simd::detect::best().name
}
