//! Convolution, channels last.

use candle_core::{Result, Tensor};

/// What a convolution does besides its weights.
#[derive(Clone, Copy, Debug)]
pub struct ConvSpec {
    /// Step between output positions (input positions for a transposed convolution), at least 1.
    pub stride: usize,
    /// Zeros on each side (removed from each side for a transposed convolution).
    pub padding: usize,
    /// Whether max(0, ·) is applied to the output, after bias and residual.
    pub relu: bool,
    /// Whether backward must produce the gradient of the input (false for the first layer).
    pub input_grad: bool,
}

/// Convolution of `x` [N, H, W, I] with `w` [O, I, kh, kw] (PyTorch's layout), plus `bias` [O], plus `residual`
/// [N, OH, OW, O], then max(0, ·) if `spec.relu` → [N, OH, OW, O].
///
/// # Errors
///
/// If shapes do not fit together.
pub fn conv2d(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    residual: Option<&Tensor>,
    spec: ConvSpec,
) -> Result<Tensor> {
    let x = x.permute((0, 3, 1, 2))?.contiguous()?;
    let y = x.conv2d(w, spec.padding, spec.stride, 1, 1)?;
    let y = y.permute((0, 2, 3, 1))?.contiguous()?;
    let y = match bias {
        Some(b) => y.broadcast_add(b)?,
        None => y,
    };
    let y = match residual {
        Some(r) => y.add(r)?,
        None => y,
    };
    if spec.relu { y.relu() } else { Ok(y) }
}

/// Transposed convolution of `x` [N, H, W, I] with `w` [I, O, kh, kw] (PyTorch's layout), plus `bias` [O], then
/// max(0, ·) if `spec.relu` → [N, (H−1)·stride − 2·padding + kh, (W−1)·stride − 2·padding + kw, O].
///
/// # Errors
///
/// If shapes do not fit together.
pub fn conv_transpose2d(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, spec: ConvSpec) -> Result<Tensor> {
    let x = x.permute((0, 3, 1, 2))?.contiguous()?;
    let y = x.conv_transpose2d(w, spec.padding, 0, spec.stride, 1)?;
    let y = y.permute((0, 2, 3, 1))?.contiguous()?;
    let y = match bias {
        Some(b) => y.broadcast_add(b)?,
        None => y,
    };
    if spec.relu { y.relu() } else { Ok(y) }
}

/// `x` [N, C, H, W] → [N, H, W, C].
///
/// # Errors
///
/// If `x` has not four axes.
pub fn nchw_to_nhwc(x: &Tensor) -> Result<Tensor> {
    x.permute((0, 2, 3, 1))?.contiguous()
}

/// `x` [N, H, W, C] → [N, C, H, W].
///
/// # Errors
///
/// If `x` has not four axes.
pub fn nhwc_to_nchw(x: &Tensor) -> Result<Tensor> {
    x.permute((0, 3, 1, 2))?.contiguous()
}

/// max(0, `x`), of any shape.
///
/// # Errors
///
/// If candle fails.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    x.relu()
}
