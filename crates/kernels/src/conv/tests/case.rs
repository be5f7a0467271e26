//! Convolutions of random shapes with their arguments.

use crate::conv::operation::{ConvSpec, conv_transpose2d, conv2d};
use crate::testing::random;
use candle_core::{Result, Tensor, Var};
use proptest::prelude::*;

/// A convolution, or a transposed one, of some shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) transposed: bool,
    pub(super) x: [usize; 4],
    pub(super) outputs: usize,
    pub(super) kernel: [usize; 2],
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) bias: bool,
    pub(super) residual: bool,
    pub(super) relu: bool,
    pub(super) seed: u64,
}

impl Case {
    /// Output height and width, if there is an output.
    pub(super) fn out(&self) -> Option<[usize; 2]> {
        let size = |x: usize, k: usize| {
            if self.transposed {
                ((x - 1) * self.stride + k).checked_sub(2 * self.padding).filter(|&size| size > 0)
            } else {
                (x + 2 * self.padding).checked_sub(k).map(|room| room / self.stride + 1)
            }
        };
        Some([size(self.x[1], self.kernel[0])?, size(self.x[2], self.kernel[1])?])
    }

    pub(super) fn weight_shape(&self) -> (usize, usize, usize, usize) {
        let [kh, kw] = self.kernel;
        if self.transposed { (self.x[3], self.outputs, kh, kw) } else { (self.outputs, self.x[3], kh, kw) }
    }

    pub(super) fn spec(&self) -> ConvSpec {
        ConvSpec { stride: self.stride, padding: self.padding, relu: self.relu, input_grad: true }
    }

    /// What rounding may do to a sum of so many terms: more where transforms may be used, by some instruction set.
    pub(super) fn tolerance(&self, terms: usize) -> f64 {
        let taps = self.kernel[0] / self.stride;
        let window = self.kernel[0] == self.kernel[1] && self.kernel[0].is_multiple_of(self.stride);
        let transformed =
            window && (2..=3).contains(&taps) && self.x[3].is_multiple_of(4) && self.outputs.is_multiple_of(4);
        let one = if transformed { 8e-6 } else { 2e-6 };
        one * (1.0 + (terms as f64).sqrt())
    }

    /// Calls `f` with the places of input, weight and output of every product of the convolution, the weight being
    /// [I, O, kh, kw] if transposed, otherwise [O, I, kh, kw].
    pub(super) fn for_each_product(&self, out: [usize; 2], mut f: impl FnMut(usize, usize, usize)) {
        let [n, h, w, c] = self.x;
        let ([kh, kw], o) = (self.kernel, self.outputs);
        // (large, small) are the (input, output) of the convolution, or the (output, input) of the transposed one.
        let (large, small) = if self.transposed { (out, [h, w]) } else { ([h, w], out) };
        let at = |small: usize, tap: usize, size: usize| {
            (small * self.stride + tap).checked_sub(self.padding).filter(|&large| large < size)
        };
        for (image, sy, sx, ky, kx) in positions(n, small[0], small[1], kh, kw) {
            let (Some(ly), Some(lx)) = (at(sy, ky, large[0]), at(sx, kx, large[1])) else { continue };
            let small_at = (image * small[0] + sy) * small[1] + sx;
            let large_at = (image * large[0] + ly) * large[1] + lx;
            let (x_at, y_at) = if self.transposed { (small_at, large_at) } else { (large_at, small_at) };
            for input in 0..c {
                for output in 0..o {
                    let (first, second, seconds) =
                        if self.transposed { (input, output, o) } else { (output, input, c) };
                    let weight = ((first * seconds + second) * kh + ky) * kw + kx;
                    f(x_at * c + input, weight, y_at * o + output);
                }
            }
        }
    }
}

fn positions(
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
) -> impl Iterator<Item = (usize, usize, usize, usize, usize)> {
    (0..a * b * c * d * e).map(move |i| (i / (b * c * d * e), i / (c * d * e) % b, i / (d * e) % c, i / e % d, i % e))
}

pub(super) fn cases() -> impl Strategy<Value = Case> {
    let channels = || prop_oneof![2 => 1..41usize, 1 => (1..4usize).prop_map(|registers| 16 * registers)];
    let shape = (1..6usize, 1..18usize, 1..18usize, channels(), channels());
    let window = (1..6usize, 1..6usize, 1..4usize, 0..3usize);
    let extras = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<u64>());
    (shape, window, extras)
        .prop_map(|((n, h, w, c, outputs), (kh, kw, stride, padding), (transposed, bias, residual, relu, seed))| Case {
            transposed,
            x: [n, h, w, c],
            outputs,
            kernel: [kh, kw],
            stride,
            padding,
            bias,
            residual: residual && !transposed,
            relu,
            seed,
        })
        .prop_filter("no output", |case| case.out().is_some())
}

/// Cases for which there are transforms: windows of two or three taps for each residue, channels in whole registers.
pub(super) fn winograd_cases() -> impl Strategy<Value = Case> {
    (cases(), 2..4usize, 1..3usize, 1..4usize, 1..4usize)
        .prop_map(|(case, taps, stride, inputs, outputs)| Case {
            x: [case.x[0], case.x[1], case.x[2], 16 * inputs],
            outputs: 16 * outputs,
            kernel: [taps * stride; 2],
            stride,
            ..case
        })
        .prop_filter("no output", |case| case.out().is_some())
}

pub(super) struct Arguments {
    pub(super) x: Var,
    pub(super) w: Var,
    pub(super) bias: Option<Var>,
    pub(super) residual: Option<Var>,
}

impl Arguments {
    pub(super) fn new(case: &Case) -> Result<Self> {
        let [n, h, w, c] = case.x;
        let [oh, ow] = case.out().unwrap_or([0; 2]);
        let var = |stream: u64, shape: Vec<usize>| Var::from_tensor(&random(case.seed ^ stream, shape)?);
        let (w0, w1, w2, w3) = case.weight_shape();
        Ok(Self {
            x: var(1, vec![n, h, w, c])?,
            w: var(2, vec![w0, w1, w2, w3])?,
            bias: case.bias.then(|| var(3, vec![case.outputs])).transpose()?,
            residual: case.residual.then(|| var(4, vec![n, oh, ow, case.outputs])).transpose()?,
        })
    }

    pub(super) fn apply(&self, case: &Case) -> Result<Tensor> {
        let (bias, residual) = (self.bias.as_ref().map(Var::as_tensor), self.residual.as_ref().map(Var::as_tensor));
        if case.transposed {
            conv_transpose2d(&self.x, &self.w, bias, case.spec())
        } else {
            conv2d(&self.x, &self.w, bias, residual, case.spec())
        }
    }

    /// The same by candle's own operations.
    pub(super) fn apply_portable(&self, case: &Case) -> Result<Tensor> {
        let x = self.x.permute((0, 3, 1, 2))?.contiguous()?;
        let y = if case.transposed {
            x.conv_transpose2d(&self.w, case.padding, 0, case.stride, 1)?
        } else {
            x.conv2d(&self.w, case.padding, case.stride, 1, 1)?
        };
        let mut y = y.permute((0, 2, 3, 1))?.contiguous()?;
        if let Some(bias) = &self.bias {
            y = y.broadcast_add(bias)?;
        }
        if let Some(residual) = &self.residual {
            y = (y + residual.as_tensor())?;
        }
        if case.relu { y.relu() } else { Ok(y) }
    }
}
