//! The four ways through the two engines: forward and input gradient of both convolutions.

use super::epilogue::Epilogue;
use super::gather;
use super::geometry::{Axis, Dims};
use super::weight::{Panels, Weight};
use super::winograd::{self, Winograd};
use crate::simd::isa::Isa;

/// Shape of a weight [first, second, height, width] and how it is slid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel {
    pub(crate) first: usize,
    pub(crate) second: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

impl Kernel {
    /// Elements of the weight.
    pub(crate) fn len(&self) -> usize {
        self.first * self.second * self.taps()
    }

    fn taps(&self) -> usize {
        self.height * self.width
    }
}

/// A convolution of `x` with `w` of `kernel`'s shape [O, I, kh, kw] into `out`; with a transposed convolution's weight
/// [I, O, kh, kw], that one's input gradient.
pub(crate) fn convolution(
    isa: &Isa,
    (x, dims): (&[f32], Dims),
    (w, kernel, kept): (&[f32], Kernel, Option<&Panels>),
    out: Dims,
    epilogue: Epilogue,
) -> Vec<f32> {
    let weight = Weight {
        values: w,
        outputs: kernel.first,
        inputs: kernel.second,
        output_stride: kernel.second * kernel.taps(),
        input_stride: kernel.taps(),
        kernel_width: kernel.width,
        kept,
    };
    let y = Axis::convolution(kernel.height, kernel.stride, kernel.padding, out.height);
    let x_axis = Axis::convolution(kernel.width, kernel.stride, kernel.padding, out.width);
    sum_taps(isa, (x, dims), weight, (&y, &x_axis), out, epilogue)
}

/// A transposed convolution of `x` with `w` of `kernel`'s shape [I, O, kh, kw] into `out`; with a convolution's weight
/// [O, I, kh, kw], that one's input gradient.
pub(crate) fn transposed(
    isa: &Isa,
    (x, dims): (&[f32], Dims),
    (w, kernel, kept): (&[f32], Kernel, Option<&Panels>),
    out: Dims,
    epilogue: Epilogue,
) -> Vec<f32> {
    let weight = Weight {
        values: w,
        outputs: kernel.second,
        inputs: kernel.first,
        output_stride: kernel.taps(),
        input_stride: kernel.second * kernel.taps(),
        kernel_width: kernel.width,
        kept,
    };
    let y = Axis::transposed(kernel.height, kernel.stride, kernel.padding, out.height);
    let x_axis = Axis::transposed(kernel.width, kernel.stride, kernel.padding, out.width);
    sum_taps(isa, (x, dims), weight, (&y, &x_axis), out, epilogue)
}

/// Each output's sum over its taps: by Winograd's method where there are transforms, else by gathering. Slices have the
/// lengths that the shapes say: checked by the callers in this crate.
fn sum_taps(
    isa: &Isa,
    (x, dims): (&[f32], Dims),
    w: Weight,
    axes: (&[Axis], &[Axis]),
    out: Dims,
    epilogue: Epilogue,
) -> Vec<f32> {
    debug_assert_eq!(x.len(), dims.len());
    match Winograd::of_axes(isa, w, axes) {
        Some(method) => winograd::gather(isa, method, (x, dims), w, axes, out, epilogue),
        None => gather::gather(isa, (x, dims), w, axes, out, epilogue),
    }
}
