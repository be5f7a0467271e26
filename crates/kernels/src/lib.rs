//! CPU kernels as candle custom operations, f32 and channels last: convolution and transposed convolution with all
//! gradients, nearest codebook vectors, the AdamW step.

mod access;
mod adamw;
mod backend;
mod conv;
mod nearest;
mod norm;

pub use adamw::{AdamW, adamw_step};
pub use backend::Backend;
pub use conv::{ConvSpec, conv_transpose2d, conv2d, nchw_to_nhwc, nhwc_to_nchw, relu};
pub use nearest::{code_sums, nearest, nearest_two};
pub use norm::squared_norm;
