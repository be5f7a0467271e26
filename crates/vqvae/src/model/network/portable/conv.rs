//! Convolutions forward, and back to their inputs.

use candle_core::{Result, Tensor};

use crate::model::network::conv_config::ConvConfig;
use crate::model::network::portable::strips::{Strips, by_tap};

/// The convolution of `x` by `weight` (PyTorch's layout), plus `bias`, plus `residual`, then max(0, ·) if `relu`.
pub(crate) fn convolve(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    residual: Option<&Tensor>,
    config: ConvConfig,
    relu: bool,
) -> Result<Tensor> {
    let y = if config.transposed { double(x, weight, config)? } else { convolution(x, weight, config)? };
    finish(y, bias, residual, relu)
}

/// Bias, skip connection and ReLU, one operation each.
pub(crate) fn finish(y: Tensor, bias: Option<&Tensor>, residual: Option<&Tensor>, relu: bool) -> Result<Tensor> {
    let y = match bias {
        Some(bias) => y.broadcast_add(bias)?,
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
        (true, _) => convolution(grad, weight, config),
        // By the kernel turned by half, with its sides changed.
        (false, 1) => {
            let order: Vec<usize> = (0..config.kernel).rev().collect();
            let turned = reordered(&reordered(&weight.permute((2, 3, 0, 1))?, 0, &order)?, 1, &order)?;
            products(grad, &turned, ConvConfig { padding: config.kernel - 1 - config.padding, ..config })
        }
        (false, _) => double(grad, weight, config),
    }
}

/// The convolution of `x` by `weight` [O, C, k, k].
fn convolution(x: &Tensor, weight: &Tensor, config: ConvConfig) -> Result<Tensor> {
    products(x, &weight.permute((2, 3, 1, 0))?, config)
}

/// The convolution of `x` by `kernel` [k, k, C, O].
fn products(x: &Tensor, kernel: &Tensor, config: ConvConfig) -> Result<Tensor> {
    let by_tap = config.factor(&by_tap(kernel, config.stride)?)?;
    let strips = Strips::new(&config.factor(x)?, config)?;
    let (height, n, width) = strips.output;
    let mut rows = Vec::new();
    for tile in strips.tiles() {
        let tile = tile?;
        let product = |tap: usize| tile.tap(tap)?.matmul(&by_tap.get(tap)?)?.to_dtype(x.dtype());
        let mut sum = product(0)?;
        for tap in 1..strips.taps() {
            sum = (sum + product(tap)?)?;
        }
        rows.push(sum);
    }
    Tensor::cat(&rows, 0)?.reshape((height, n, width, ()))
}

/// The slices of `x` along `axis` in another order. No index is sent to the device for it.
fn reordered(x: &Tensor, axis: usize, order: &[usize]) -> Result<Tensor> {
    if order.len() == 1 {
        return Ok(x.clone());
    }
    let slices = order.iter().map(|&i| x.narrow(axis, i, 1)?.contiguous()).collect::<Result<Vec<_>>>()?;
    Tensor::cat(&slices, axis)
}

/// The transposed convolution of `x` [H, N, W, I] by `weight` [I, O, 4, 4] with stride 2 and padding 1 →
/// [2H, N, 2W, O].
///
/// Each output row comes from two input rows: an even one, 2i, from rows i − 1 and i by the kernel's rows 3 and 1; an odd
/// one, 2i + 1, from rows i and i + 1 by its rows 2 and 0. Columns likewise. So one 2×2 convolution to four times the
/// channels gives all four phases, which are then interleaved.
///
/// # Source
/// Shi et al., *Is the deconvolution layer the same as a convolutional layer?*, arXiv 1609.07009.
fn double(x: &Tensor, weight: &Tensor, config: ConvConfig) -> Result<Tensor> {
    let (inputs, outputs, 4, 4) = weight.dims4()? else {
        candle_core::bail!(
            "a transposed convolution of stride 2 should have a kernel of 4×4, found {:?}",
            weight.dims()
        )
    };
    const ORDER: [usize; 4] = [3, 1, 2, 0];
    // [row of the 2×2 kernel, its column, input, phase of the row, phase of the column, output]
    let phases = reordered(&reordered(&weight.contiguous()?, 2, &ORDER)?, 3, &ORDER)?
        .reshape((inputs, outputs, 2, 2, 2, 2))?
        .permute((3, 5, 0, 2, 4, 1))?
        .contiguous()?
        .reshape((2, 2, inputs, 4 * outputs))?;
    let config = ConvConfig { kernel: 2, stride: 1, padding: 1, ..config };
    interleaved(&products(x, &phases, config)?, outputs)
}

/// Four phases side by side, [H + 1, N, W + 1, 2 · 2 · C], each one row or column further on → [2H, N, 2W, C].
fn interleaved(phases: &Tensor, channels: usize) -> Result<Tensor> {
    let (rows, n, columns, _) = phases.dims4()?;
    let (height, width) = (rows - 1, columns - 1);
    let point = 4 * channels;
    let (row, picture) = (n * columns * point, columns * point);
    // Unfolding cuts an axis into `count` windows that begin `step` apart, a view. The odd phase of a row lies as much
    // further on as a row and two phases take; that of a column, a point and one phase.
    let axes = [(height, row), (2, row + 2 * channels), (n, picture), (width, point), (2, point + channels)];
    let mut view = phases.flatten_all()?;
    for (axis, (count, step)) in axes.into_iter().enumerate() {
        let window = view.dim(axis)? - (count - 1) * step;
        view = view.unfold(axis, window, step)?.narrow(axis, 0, count)?;
    }
    view.narrow(axes.len(), 0, channels)?.contiguous()?.reshape((2 * height, n, 2 * width, channels))
}
