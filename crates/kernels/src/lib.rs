//! CPU kernels as candle custom operations, f32 and channels last: convolution and transposed convolution with all
//! gradients, nearest codebook vectors, the AdamW step.
//!
//! Results are the same bits whatever the number of threads, and an image's result does not depend on what else is in
//! its batch. The instruction set is chosen at run time: AVX-512, AVX2 with FMA, NEON, or plain Rust.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod adamw;
mod backend;
mod code_sums;
mod conv;
mod elementwise;
mod error;
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
pub use layout::{nchw_to_nhwc, nhwc_to_nchw};
pub use nearest::{nearest, nearest_two};
pub use norm::squared_norm;
pub use relu::relu;

/// The instruction set that the kernels use on this machine: `avx512`, `avx2`, `neon` or `scalar`; the best there is, or
/// the one that the environment variable `KSOM_INSTRUCTION_SET` names.
pub fn instruction_set() -> &'static str {
    simd::Isa::detect().name
}
