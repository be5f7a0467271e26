//! Convolutions forward, and back to their inputs.

use candle_core::{Result, Tensor};

use crate::model::network::conv_config::ConvConfig;

/// The convolution of `x` by `weight` (PyTorch's layout), plus `bias`, plus `residual`, then max(0, ·) if `relu`.
pub(crate) fn convolve(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    residual: Option<&Tensor>,
    config: ConvConfig,
    relu: bool,
) -> Result<Tensor> {
    let y = if config.transposed { double(x, weight)? } else { convolution(x, weight, config.padding, config.stride)? };
    finish(y, bias, residual, relu)
}

/// Bias, skip connection and ReLU, one operation each.
pub(crate) fn finish(y: Tensor, bias: Option<&Tensor>, residual: Option<&Tensor>, relu: bool) -> Result<Tensor> {
    let y = match bias {
        Some(bias) => y.broadcast_add(&bias.reshape((1, bias.dim(0)?, 1, 1))?)?,
        None => y,
    };
    let y = match residual {
        Some(residual) => (residual + y)?,
        None => y,
    };
    if relu { y.relu() } else { Ok(y) }
}

/// The gradient by the input of a convolution by `weight`, for the gradient `grad` of its output.
pub(crate) fn input_grad(weight: &Tensor, grad: &Tensor, config: ConvConfig) -> Result<Tensor> {
    match (config.transposed, config.stride) {
        (true, stride) => convolution(grad, weight, config.padding, stride),
        (false, 1) => convolution(grad, &turned(weight)?, config.kernel - 1 - config.padding, 1),
        (false, _) => double(grad, weight),
    }
}

/// candle's convolution, with operands that every device computes rightly with.
fn convolution(x: &Tensor, weight: &Tensor, padding: usize, stride: usize) -> Result<Tensor> {
    x.contiguous()?.conv2d(&weight.contiguous()?, padding, stride, 1, 1)
}

/// `weight` [O, I, k, k] turned by half and with its sides changed → [I, O, k, k].
fn turned(weight: &Tensor) -> Result<Tensor> {
    let (_, _, height, width) = weight.dims4()?;
    let weight = weight.transpose(0, 1)?;
    let back = |size: usize| (0..size).rev().collect::<Vec<_>>();
    reordered(&reordered(&weight, 2, &back(height))?, 3, &back(width))
}

/// The slices of `x` along `axis` in another order. No index is sent to the device for it.
fn reordered(x: &Tensor, axis: usize, order: &[usize]) -> Result<Tensor> {
    if order.len() == 1 {
        return Ok(x.clone());
    }
    let slices = order.iter().map(|&i| x.narrow(axis, i, 1)?.contiguous()).collect::<Result<Vec<_>>>()?;
    Tensor::cat(&slices, axis)
}

/// The transposed convolution of `x` [N, I, H, W] by `weight` [I, O, 4, 4] with stride 2 and padding 1 →
/// [N, O, 2H, 2W].
///
/// Each output row comes from two input rows: an even one, 2i, from rows i − 1 and i by the kernel's rows 3 and 1; an odd
/// one, 2i + 1, from rows i and i + 1 by its rows 2 and 0. Columns likewise. So one 2×2 convolution to four times the
/// channels gives all four phases, which are then interleaved.
///
/// # Source
/// Shi et al., *Is the deconvolution layer the same as a convolutional layer?*, arXiv 1609.07009.
fn double(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (n, inputs, height, width) = x.dims4()?;
    let (_, outputs, 4, 4) = weight.dims4()? else {
        candle_core::bail!(
            "a transposed convolution of stride 2 should have a kernel of 4×4, found {:?}",
            weight.dims()
        )
    };
    const ORDER: [usize; 4] = [3, 1, 2, 0];
    let phases = reordered(&reordered(weight, 2, &ORDER)?, 3, &ORDER)?
        .reshape((inputs, outputs, 2, 2, 2, 2))?
        // [phase of the row, phase of the column, output, input, row, column]
        .permute((2, 4, 1, 0, 3, 5))?
        .contiguous()?
        .reshape((4 * outputs, inputs, 2, 2))?;
    let y = convolution(x, &phases, 1, 1)?.reshape((n, 4, outputs, height + 1, width + 1))?;
    let phase = |row: usize, column: usize| {
        y.narrow(1, 2 * row + column, 1)?.squeeze(1)?.narrow(2, row, height)?.narrow(3, column, width)
    };
    // [phases, N, O, H, W], which are interleaved by one copy.
    let phases = Tensor::stack(&[phase(0, 0)?, phase(0, 1)?, phase(1, 0)?, phase(1, 1)?], 0)?;
    let phases = phases.reshape((2, 2, n, outputs, height, width))?.permute((2, 3, 4, 0, 5, 1))?;
    phases.contiguous()?.reshape((n, outputs, 2 * height, 2 * width))
}
