//! Convolutions and their gradients from candle's own operations, on [H, N, W, C]: what CUDA and Metal run.
//!
//! candle 0.11.1 has no fast transposed convolution (one scalar loop an output on CUDA, no cuDNN), and the gradients of its
//! `conv2d` hand Metal a kernel that is not contiguous, with which Metal computes something else (candle issues 3836 and
//! 3839). So nothing here is transposed or led back by candle: transposed convolutions are sub-pixel convolutions, gradients
//! by inputs are convolutions again, and gradients by weights are matrix products. Every operand is contiguous.

mod conv;
mod graph;
mod parameter_grads;
mod pointwise;
mod strips;
#[cfg(test)]
mod tests;

pub(crate) use conv::{convolve, finish, input_grad};
pub(crate) use graph::convolve_in_graph;
pub(crate) use parameter_grads::parameter_grads;
pub(crate) use pointwise::{mean_squared_error_grad, relu_grad};
