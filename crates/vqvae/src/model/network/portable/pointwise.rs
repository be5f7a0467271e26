//! Gradients of what pairs elements.

use candle_core::{Result, Tensor};

/// The gradient `grad` of a ReLU's output `rectified`, by its input.
pub(crate) fn relu_grad(grad: &Tensor, rectified: &Tensor) -> Result<Tensor> {
    grad * rectified.sign()?
}

/// The gradient by `x` of `scale` · mean((x − target)²).
pub(crate) fn mean_squared_error_grad(x: &Tensor, target: &Tensor, scale: f64) -> Result<Tensor> {
    (x - target)?.affine(2.0 * scale / x.elem_count() as f64, 0.0)
}
