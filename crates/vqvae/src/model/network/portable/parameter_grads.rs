//! Gradients by weights and biases, as matrix products over windows of the input.

use candle_core::{Device, Result, Tensor};

use crate::model::network::conv_config::ConvConfig;

/// How many numbers the windows of a tile may hold: 16 MiB on a CPU, 256 MiB on an accelerator.
fn tile_elements(device: &Device) -> usize {
    if device.is_cpu() { 1 << 22 } else { 1 << 26 }
}

/// The gradients by the weight (PyTorch's layout) and by the bias, if it has one, of a convolution of `x`, for the gradient `grad` of its
/// output.
pub(crate) fn parameter_grads(x: &Tensor, grad: &Tensor, config: ConvConfig) -> Result<(Tensor, Option<Tensor>)> {
    // The weight [O, I, k, k] of a convolution pairs outputs with windows of the input; that of a transposed one,
    // [I, O, k, k], pairs inputs with windows of the output.
    let (points, image) = if config.transposed { (x, grad) } else { (grad, x) };
    let (n, rows, height, width) = points.dims4()?;
    let (_, channels, _, _) = image.dims4()?;
    let window = channels * config.kernel * config.kernel;
    let images = (tile_elements(x.device()) / (window * height * width)).clamp(1, n);
    let mut by_weight: Option<Tensor> = None;
    for start in (0..n).step_by(images) {
        let count = images.min(n - start);
        let points = by_channel(&points.narrow(0, start, count)?)?;
        let windows = windows(&image.narrow(0, start, count)?, config)?;
        let product = points.matmul(&windows.t()?)?;
        by_weight = Some(match by_weight {
            Some(sum) => (sum + product)?,
            None => product,
        });
    }
    let by_weight =
        by_weight.ok_or_else(|| candle_core::Error::Msg("there are no pictures to learn from".into()).bt())?;
    let by_weight = by_weight.reshape((rows, channels, config.kernel, config.kernel))?;
    let by_bias = if config.bias { Some(by_channel(grad)?.sum(1)?) } else { None };
    Ok((by_weight, by_bias))
}

/// [N, C, H, W] → [C, N·H·W].
fn by_channel(x: &Tensor) -> Result<Tensor> {
    x.transpose(0, 1)?.contiguous()?.flatten_from(1)
}

/// The windows of `image` [N, C, H, W] that a kernel sees, one a column → [C·k·k, N·OH·OW].
///
/// Steps of more than one pixel are taken out of the rows first, so that what is copied then lies in runs.
fn windows(image: &Tensor, config: ConvConfig) -> Result<Tensor> {
    let ConvConfig { kernel, stride, padding, .. } = config;
    let (n, channels, height, width) = image.dims4()?;
    // As many steps as the kernel has, at each place.
    let reach = kernel.div_ceil(stride);
    let padded = |size: usize| (size + 2 * padding).next_multiple_of(stride) - size - padding;
    let padded = image.pad_with_zeros(2, padding, padded(height))?.pad_with_zeros(3, padding, padded(width))?;
    let (rows, columns) = (padded.dim(2)? / stride, padded.dim(3)? / stride);
    // [C, row within the step, column within the step, N, rows, columns]
    let steps =
        padded.reshape((n, channels, rows, stride, columns, stride))?.permute((1, 3, 5, 0, 2, 4))?.contiguous()?;
    // [C, row within, column within, N, OH, OW, row of the kernel in steps, column], a view.
    let seen = steps.unfold(4, reach, 1)?.unfold(5, reach, 1)?;
    let seen = seen.permute([0, 6, 1, 7, 2, 3, 4, 5].as_slice())?.contiguous()?;
    seen.flatten_from(5)?.reshape((channels * kernel * kernel, ()))
}
