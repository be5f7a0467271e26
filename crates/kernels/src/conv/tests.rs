//! The kernels against a float64 reference and candle's own operations, and the stability of their bits.

use super::forward::{Kernel, convolution, transposed};
use super::gather::Epilogue;
use super::geometry::Dims;
use super::weight_grad::{Window, weight_grad};
use super::{
    ConvSpec, ConvWeight, Rest, bias_grad, conv_transpose2d, conv2d, input_grad, weight_grad as weight_grad_of,
};
use crate::simd::Isa;
use crate::testing::{assert_close, random, values, with_threads};
use candle_core::{Result, Tensor, Var};
use proptest::prelude::*;

/// A convolution, or a transposed one, of some shape.
#[derive(Clone, Copy, Debug)]
struct Case {
    transposed: bool,
    x: [usize; 4],
    outputs: usize,
    kernel: [usize; 2],
    stride: usize,
    padding: usize,
    bias: bool,
    residual: bool,
    relu: bool,
    seed: u64,
}

impl Case {
    /// Output height and width, if there is an output.
    fn out(&self) -> Option<[usize; 2]> {
        let size = |x: usize, k: usize| {
            if self.transposed {
                ((x - 1) * self.stride + k).checked_sub(2 * self.padding).filter(|&size| size > 0)
            } else {
                (x + 2 * self.padding).checked_sub(k).map(|room| room / self.stride + 1)
            }
        };
        Some([size(self.x[1], self.kernel[0])?, size(self.x[2], self.kernel[1])?])
    }

    fn weight_shape(&self) -> (usize, usize, usize, usize) {
        let [kh, kw] = self.kernel;
        if self.transposed { (self.x[3], self.outputs, kh, kw) } else { (self.outputs, self.x[3], kh, kw) }
    }

    fn spec(&self) -> ConvSpec {
        ConvSpec { stride: self.stride, padding: self.padding, relu: self.relu, input_grad: true }
    }

    /// What rounding may do to a sum of so many terms: more where transforms may be used, by some instruction set.
    fn tolerance(&self, terms: usize) -> f64 {
        let taps = self.kernel[0] / self.stride;
        let window = self.kernel[0] == self.kernel[1] && self.kernel[0].is_multiple_of(self.stride);
        let transformed =
            window && (2..=3).contains(&taps) && self.x[3].is_multiple_of(4) && self.outputs.is_multiple_of(4);
        let one = if transformed { 8e-6 } else { 2e-6 };
        one * (1.0 + (terms as f64).sqrt())
    }

    /// Calls `f` with the places of input, weight and output of every product of the convolution, the weight being
    /// [I, O, kh, kw] if transposed, otherwise [O, I, kh, kw].
    fn for_each_product(&self, out: [usize; 2], mut f: impl FnMut(usize, usize, usize)) {
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

fn cases() -> impl Strategy<Value = Case> {
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
fn winograd_cases() -> impl Strategy<Value = Case> {
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

struct Arguments {
    x: Var,
    w: Var,
    bias: Option<Var>,
    residual: Option<Var>,
}

impl Arguments {
    fn new(case: &Case) -> Result<Self> {
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

    fn apply(&self, case: &Case) -> Result<Tensor> {
        let (bias, residual) = (self.bias.as_ref().map(Var::as_tensor), self.residual.as_ref().map(Var::as_tensor));
        if case.transposed {
            conv_transpose2d(&self.x, &self.w, bias, case.spec())
        } else {
            conv2d(&self.x, &self.w, bias, residual, case.spec())
        }
    }

    /// The same by candle's own operations.
    fn apply_portable(&self, case: &Case) -> Result<Tensor> {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn forward_and_gradients_agree_with_float64(case in cases()) {
        check_against_float64(&case).unwrap();
    }

    #[test]
    fn forward_agrees_with_candle(case in cases()) {
        let arguments = Arguments::new(&case).unwrap();
        let (fast, portable) = (arguments.apply(&case).unwrap(), arguments.apply_portable(&case).unwrap());
        assert_eq!(fast.dims(), portable.dims());
        let depth = case.x[3] * case.kernel[0] * case.kernel[1];
        let portable: Vec<f64> = values(&portable).iter().map(|&v| f64::from(v)).collect();
        assert_close("output", &values(&fast), &portable, 2.0 * case.tolerance(depth));
    }

    #[test]
    fn every_instruction_set_agrees_with_float64(case in cases()) {
        check_instruction_sets(&case).unwrap();
    }

    #[test]
    fn bits_depend_on_neither_batch_nor_threads(case in cases()) {
        check_bits(&case).unwrap();
    }

    #[test]
    fn transforms_agree_with_float64(case in winograd_cases()) {
        check_against_float64(&case).unwrap();
        check_instruction_sets(&case).unwrap();
    }

    #[test]
    fn bits_of_transforms_depend_on_neither_batch_nor_threads(case in winograd_cases()) {
        check_bits(&case).unwrap();
    }
}

fn check_against_float64(case: &Case) -> Result<()> {
    let arguments = Arguments::new(case)?;
    let y = arguments.apply(case)?;
    let out = case.out().unwrap_or([0; 2]);
    assert_eq!(y.dims(), [case.x[0], out[0], out[1], case.outputs]);
    let (x, w) = (values(&arguments.x), values(&arguments.w));
    let mut expected = match &arguments.residual {
        Some(residual) => values(residual).iter().map(|&v| f64::from(v)).collect(),
        None => vec![0f64; y.elem_count()],
    };
    if let Some(bias) = &arguments.bias {
        for (y, b) in expected.iter_mut().zip(values(bias).iter().cycle()) {
            *y += f64::from(*b);
        }
    }
    case.for_each_product(out, |xi, wi, yi| expected[yi] += f64::from(x[xi]) * f64::from(w[wi]));
    if case.relu {
        expected.iter_mut().for_each(|y| *y = y.max(0.0));
    }
    assert_close("output", &values(&y), &expected, case.tolerance(case.x[3] * case.kernel[0] * case.kernel[1]));

    let upstream = random(case.seed ^ 5, y.dims().to_vec())?;
    let grads = (&y * &upstream)?.sum_all()?.backward()?;
    let upstream: Vec<f64> = values(&upstream)
        .iter()
        .zip(values(&y))
        .map(|(&g, y)| if case.relu && y <= 0.0 { 0.0 } else { f64::from(g) })
        .collect();
    let (mut gx, mut gw) = (vec![0f64; x.len()], vec![0f64; w.len()]);
    case.for_each_product(out, |xi, wi, yi| {
        gx[xi] += upstream[yi] * f64::from(w[wi]);
        gw[wi] += upstream[yi] * f64::from(x[xi]);
    });
    let grad = |var: &Var| grads.get(var).map(values).unwrap_or_default();
    let pixels = case.x[0] * out[0].max(case.x[1]) * out[1].max(case.x[2]);
    assert_close(
        "input gradient",
        &grad(&arguments.x),
        &gx,
        case.tolerance(case.outputs * case.kernel[0] * case.kernel[1]),
    );
    assert_close("weight gradient", &grad(&arguments.w), &gw, case.tolerance(pixels));
    if let Some(bias) = &arguments.bias {
        let mut expected = vec![0f64; case.outputs];
        upstream.iter().enumerate().for_each(|(i, g)| expected[i % case.outputs] += g);
        assert_close("bias gradient", &grad(bias), &expected, case.tolerance(pixels));
    }
    if let Some(residual) = &arguments.residual {
        assert_close("residual gradient", &grad(residual), &upstream, 0.0);
    }
    Ok(())
}

/// The engines themselves, with each instruction set that this machine has.
fn check_instruction_sets(case: &Case) -> Result<()> {
    let arguments = Arguments::new(case)?;
    let (x, w) = (values(&arguments.x), values(&arguments.w));
    let [images, height, width, channels] = case.x;
    let size = case.out().unwrap_or([0; 2]);
    let dims = Dims { images, height, width, channels };
    let out = Dims { images, height: size[0], width: size[1], channels: case.outputs };
    let (first, second, kh, kw) = case.weight_shape();
    let kernel = Kernel { first, second, height: kh, width: kw, stride: case.stride, padding: case.padding };
    let window = Window { height: kh, width: kw, stride: case.stride, padding: case.padding };
    let upstream = values(&random(case.seed ^ 5, vec![out.len()])?);
    let mut expected = (vec![0f64; out.len()], vec![0f64; dims.len()], vec![0f64; kernel.len()]);
    case.for_each_product(size, |xi, wi, yi| {
        let (x, w, g) = (f64::from(x[xi]), f64::from(w[wi]), f64::from(upstream[yi]));
        expected.0[yi] += x * w;
        expected.1[xi] += g * w;
        expected.2[wi] += g * x;
    });
    let none = Epilogue::default();
    // An input gradient with the rest of it: other uses of the input added, then masked by the input.
    let others = values(&random(case.seed ^ 6, vec![dims.len()])?);
    let rest = Epilogue { residual: Some(&others), mask: Some(&x), ..none };
    let whole: Vec<f64> =
        (0..x.len()).map(|i| if x[i] > 0.0 { expected.1[i] + f64::from(others[i]) } else { 0.0 }).collect();
    for isa in Isa::available() {
        let (y, gx, gx_whole, gw) = if case.transposed {
            (
                transposed(isa, (&x, dims), (&w, kernel, None), out, none),
                convolution(isa, (&upstream, out), (&w, kernel, None), dims, none),
                convolution(isa, (&upstream, out), (&w, kernel, None), dims, rest),
                weight_grad(isa, (&x, dims), (&upstream, out), window),
            )
        } else {
            (
                convolution(isa, (&x, dims), (&w, kernel, None), out, none),
                transposed(isa, (&upstream, out), (&w, kernel, None), dims, none),
                transposed(isa, (&upstream, out), (&w, kernel, None), dims, rest),
                weight_grad(isa, (&upstream, out), (&x, dims), window),
            )
        };
        let name = isa.name;
        assert_close(&format!("{name}: output"), &y, &expected.0, case.tolerance(channels * kh * kw));
        assert_close(&format!("{name}: input gradient"), &gx, &expected.1, case.tolerance(case.outputs * kh * kw));
        assert_close(&format!("{name}: whole"), &gx_whole, &whole, case.tolerance(case.outputs * kh * kw));
        assert_close(&format!("{name}: weight gradient"), &gw, &expected.2, case.tolerance(out.len() + dims.len()));
    }
    Ok(())
}

fn check_bits(case: &Case) -> Result<()> {
    let case = Case { x: [7, case.x[1], case.x[2], case.x[3]], ..*case };
    let arguments = Arguments::new(&case)?;
    let upstream = random(case.seed ^ 5, arguments.apply(&case)?.dims().to_vec())?;
    let run = |arguments: &Arguments, upstream: &Tensor| -> Result<Vec<Vec<f32>>> {
        let y = arguments.apply(&case)?;
        let grads = (&y * upstream)?.sum_all()?.backward()?;
        let vars = [Some(&arguments.x), Some(&arguments.w), arguments.bias.as_ref(), arguments.residual.as_ref()];
        let grads = vars.into_iter().flatten().map(|var| grads.get(var).map(values).unwrap_or_default());
        Ok(std::iter::once(values(&y)).chain(grads).collect())
    };
    let whole = with_threads(1, || run(&arguments, &upstream))?;
    for threads in [2, 5] {
        assert_eq!(whole, with_threads(threads, || run(&arguments, &upstream))?, "{threads} threads");
    }
    for image in 0..7 {
        let alone = Arguments {
            x: Var::from_tensor(&arguments.x.narrow(0, image, 1)?)?,
            w: arguments.w.clone(),
            bias: arguments.bias.clone(),
            residual: match &arguments.residual {
                Some(residual) => Some(Var::from_tensor(&residual.narrow(0, image, 1)?)?),
                None => None,
            },
        };
        let alone = run(&alone, &upstream.narrow(0, image, 1)?.contiguous()?)?;
        for (what, whole, alone) in [("output", &whole[0], &alone[0]), ("input gradient", &whole[1], &alone[1])] {
            let len = alone.len();
            assert_eq!(&whole[image * len..][..len], &alone[..], "{what} of image {image} alone");
        }
    }
    Ok(())
}

#[test]
fn refuses_what_does_not_fit() -> Result<()> {
    let spec = ConvSpec { stride: 1, padding: 0, relu: false, input_grad: true };
    let message = |result: Result<Tensor>| result.map(|_| ()).unwrap_err().to_string();
    let x = random(0, vec![1, 4, 4, 3])?;
    let w = random(1, vec![5, 2, 3, 3])?;
    assert!(message(conv2d(&x, &w, None, None, spec)).contains("expected x of shape [N, H, W, 2]"));
    let w = random(1, vec![5, 3, 3, 3])?;
    let bias = random(2, vec![4])?;
    assert!(message(conv2d(&x, &w, Some(&bias), None, spec)).contains("expected bias of shape [5], found [4]"));
    assert!(message(conv2d(&x, &w, None, Some(&x), spec)).contains("expected residual of shape [1, 2, 2, 5]"));
    let none = ConvSpec { stride: 0, ..spec };
    assert!(message(conv2d(&x, &w, None, None, none)).contains("a stride of at least 1"));
    let w = random(1, vec![5, 3, 5, 5])?;
    assert!(message(conv2d(&x, &w, None, None, spec)).contains("room for a 5×5 kernel"));
    let double = x.to_dtype(candle_core::DType::F64)?;
    assert!(message(conv2d(&double, &w, None, None, spec)).contains("expected F32, found F64"));
    Ok(())
}

#[test]
fn gradients_outside_a_graph_are_those_of_the_graph() -> Result<()> {
    let spec = ConvSpec { stride: 2, padding: 1, relu: false, input_grad: true };
    let x = Var::from_tensor(&random(0, vec![2, 6, 8, 3])?)?;
    for transposed in [false, true] {
        let shape = if transposed { vec![3, 5, 4, 4] } else { vec![5, 3, 4, 4] };
        let (w, bias) = (Var::from_tensor(&random(1, shape)?)?, Var::from_tensor(&random(2, vec![5])?)?);
        let y = match transposed {
            true => conv_transpose2d(&x, &w, Some(&bias), spec)?,
            false => conv2d(&x, &w, Some(&bias), None, spec)?,
        };
        let (upstream, others) = (random(3, y.dims().to_vec())?, random(4, x.dims().to_vec())?);
        let grads = (y * &upstream)?.sum_all()?.backward()?;
        let expect = |name: &str, var: &Var, found: Tensor| {
            assert_eq!(values(&found), grads.get(var).map(values).unwrap_or_default(), "{name}");
        };
        let by_input = |rest| input_grad(&x, &w, &upstream, spec, transposed, rest);
        expect("input", &x, by_input(Rest::default())?);
        expect("weight", &w, weight_grad_of(&x, &w, &upstream, spec, transposed)?);
        expect("bias", &bias, bias_grad(&upstream)?);
        let whole = by_input(Rest { others: Some(&others), rectified: true })?;
        let expected = crate::relu_grad(&(by_input(Rest::default())? + &others)?, &x)?;
        assert_eq!(values(&whole), values(&expected));
        let misshapen = Rest { others: Some(&upstream), rectified: false };
        assert!(by_input(misshapen).unwrap_err().to_string().contains("expected others of shape [2, 6, 8, 3]"));
    }
    Ok(())
}

#[test]
fn a_fixed_weight_gives_the_same_bits() -> Result<()> {
    // Inputs and outputs as many, so that one weight serves both directions; Winograd's method, the dot kernel, neither.
    for (channels, kernel, stride) in [(64, 3, 1), (32, 4, 2), (64, 1, 1), (5, 3, 2), (64, 4, 2), (16, 5, 2)] {
        let w = random(1, vec![channels, channels, kernel, kernel])?;
        let fixed = ConvWeight::fixed(w.clone());
        let bias = random(2, vec![channels])?;
        let spec = ConvSpec { stride, padding: (kernel - 1) / 2, relu: false, input_grad: true };
        // A transposed convolution of 5×5 taps goes by Winograd's method where there is but one output.
        for (seed, side) in [(3, 8), (4, 6), (5, 8), (6, 4), (7, 1)] {
            if side + 2 * spec.padding < kernel {
                continue;
            }
            let x = random(seed, vec![2, side, side, channels])?;
            let once = conv2d(&x, &w, Some(&bias), None, spec)?;
            assert_eq!(values(&conv2d(&x, &fixed, Some(&bias), None, spec)?), values(&once));
            let residual = once.clone();
            let beside = conv2d(&x, &w, Some(&bias), Some(&residual), spec)?;
            assert_eq!(values(&conv2d(&x, &fixed, Some(&bias), Some(&residual), spec)?), values(&beside));
            let transposed = conv_transpose2d(&x, &w, Some(&bias), spec)?;
            assert_eq!(values(&conv_transpose2d(&x, &fixed, Some(&bias), spec)?), values(&transposed));
        }
    }
    Ok(())
}

#[test]
fn a_variable_is_never_fixed() -> Result<()> {
    let (x, w) = (random(1, vec![1, 4, 4, 16])?, Var::from_tensor(&random(2, vec![16, 16, 3, 3])?)?);
    let spec = ConvSpec { stride: 1, padding: 1, relu: false, input_grad: true };
    let weight = ConvWeight::fixed(w.as_tensor().clone());
    let before = values(&conv2d(&x, &weight, None, None, spec)?);
    w.set(&random(3, vec![16, 16, 3, 3])?)?;
    let after = values(&conv2d(&x, &weight, None, None, spec)?);
    assert_eq!(after, values(&conv2d(&x, &w, None, None, spec)?));
    assert_ne!(before, after);
    Ok(())
}

#[test]
fn first_layer_gets_no_input_gradient() -> Result<()> {
    let x = Var::from_tensor(&random(0, vec![1, 4, 4, 3])?)?;
    let w = Var::from_tensor(&random(1, vec![5, 3, 3, 3])?)?;
    let spec = ConvSpec { stride: 1, padding: 1, relu: true, input_grad: false };
    let grads = conv2d(&x, &w, None, None, spec)?.sum_all()?.backward()?;
    assert!(grads.get(&x).is_none());
    assert!(grads.get(&w).is_some());
    Ok(())
}
