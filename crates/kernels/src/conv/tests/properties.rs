//! Convolutions of random shapes against a float64 reference and candle's own operations, and the stability of their
//! bits.

use super::case::{Arguments, Case, cases, winograd_cases};
use crate::conv::epilogue::Epilogue;
use crate::conv::forward::{Kernel, convolution, transposed};
use crate::conv::geometry::{Dims, Window};
use crate::conv::weight_grad::weight_gradient;
use crate::simd::detect;
use crate::testing::{assert_close, random, values, with_threads};
use candle_core::{Result, Tensor, Var};
use proptest::prelude::*;

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
    for isa in detect::available() {
        let (y, gx, gx_whole, gw) = if case.transposed {
            (
                transposed(isa, (&x, dims), (&w, kernel, None), out, none),
                convolution(isa, (&upstream, out), (&w, kernel, None), dims, none),
                convolution(isa, (&upstream, out), (&w, kernel, None), dims, rest),
                weight_gradient(isa, (&x, dims), (&upstream, out), window),
            )
        } else {
            (
                convolution(isa, (&x, dims), (&w, kernel, None), out, none),
                transposed(isa, (&upstream, out), (&w, kernel, None), dims, none),
                transposed(isa, (&upstream, out), (&w, kernel, None), dims, rest),
                weight_gradient(isa, (&upstream, out), (&x, dims), window),
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
