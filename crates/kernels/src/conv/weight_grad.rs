//! The way through the two engines for the gradient of a weight.

use super::gather_grad;
use super::geometry::{Dims, Window};
use super::winograd::Winograd;
use super::winograd_grad;
use crate::simd::isa::Isa;

/// `grad[p][c][ky][kx] = Σ pixels[n, y, x, p] · patches[n, y · stride + ky − padding, x · stride + kx − padding, c]`:
/// the weight's gradient of a convolution with its output's gradient for `pixels` and its input for `patches`, and of
/// a transposed one with its input for `pixels` and its output's gradient for `patches`.
pub(crate) fn weight_gradient(
    isa: &Isa,
    (pixels, pixel_dims): (&[f32], Dims),
    (patches, patch_dims): (&[f32], Dims),
    window: Window,
) -> Vec<f32> {
    debug_assert_eq!(pixels.len(), pixel_dims.len());
    debug_assert_eq!(patches.len(), patch_dims.len());
    let channels = [pixel_dims.channels, patch_dims.channels];
    match Winograd::new(isa, [window.height, window.width], window.stride, channels) {
        Some(method) => winograd_grad::weight_grad(isa, method, (pixels, pixel_dims), (patches, patch_dims), window),
        None => gather_grad::weight_grad(isa, (pixels, pixel_dims), (patches, patch_dims), window),
    }
}
