//! Gradients by weights and biases, as matrix products.

use candle_core::{Result, Tensor};

use crate::model::network::conv_config::ConvConfig;
use crate::model::network::portable::strips::{Strips, from_taps};

/// The gradients by the weight (PyTorch's layout) and by the bias, if it has one, of a convolution of `x`, for the gradient
/// `grad` of its output.
pub(crate) fn parameter_grads(x: &Tensor, grad: &Tensor, config: ConvConfig) -> Result<(Tensor, Option<Tensor>)> {
    // The weight [O, C, k, k] of a convolution pairs outputs with what the kernel sees of the input; that of a transposed
    // one, [C, O, k, k], pairs inputs with what it sees of the output.
    let (points, seen) = if config.transposed { (x, grad) } else { (grad, x) };
    let points = config.factor(&points.contiguous()?)?;
    let strips = Strips::new(&config.factor(seen)?, config)?;
    let mut by_tap: Vec<Option<Tensor>> = vec![None; strips.taps()];
    for tile in strips.tiles() {
        let tile = tile?;
        let points = points.narrow(0, tile.first, tile.rows)?.flatten(0, 2)?;
        for (tap, sum) in by_tap.iter_mut().enumerate() {
            let product = tile.tap(tap)?.t()?.matmul(&points)?.to_dtype(x.dtype())?;
            *sum = Some(match sum.take() {
                Some(sum) => (sum + product)?,
                None => product,
            });
        }
    }
    let by_tap = Tensor::stack(&by_tap.into_iter().flatten().collect::<Vec<_>>(), 0)?;
    let by_weight = from_taps(&by_tap, config.kernel, config.stride)?.permute((3, 2, 0, 1))?.contiguous()?;
    let by_bias = if config.bias { Some(sum_of_rows(&grad.flatten(0, 2)?)?) } else { None };
    Ok((by_weight, by_bias))
}

/// [N, C] → `[C]`, as a product: candle sums fast along the last axis only.
fn sum_of_rows(rows: &Tensor) -> Result<Tensor> {
    Tensor::ones((1, rows.dim(0)?), rows.dtype(), rows.device())?.matmul(rows)?.squeeze(0)
}
