//! Convolution and transposed convolution, channels last, as candle custom operations.

mod bias;
mod cache;
mod epilogue;
mod forward;
mod gather;
mod gather_grad;
mod gather_grad_packing;
mod gather_packing;
mod geometry;
mod operation;
#[cfg(test)]
mod tests;
mod weight;
mod weight_grad;
mod winograd;
mod winograd_grad;

pub use operation::{ConvSpec, Rest, bias_grad, conv_transpose2d, conv2d, input_grad, weight_grad};
pub use weight::ConvWeight;
