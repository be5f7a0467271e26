//! What the operations promise besides their values: refusals, gradients outside a graph, weights that are kept packed.

use crate::conv::operation::{ConvSpec, Rest, bias_grad, conv_transpose2d, conv2d, input_grad, weight_grad};
use crate::conv::weight::ConvWeight;
use crate::elementwise::relu_grad;
use crate::testing::{random, values};
use candle_core::{Result, Tensor, Var};

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
        expect("weight", &w, weight_grad(&x, &w, &upstream, spec, transposed)?);
        expect("bias", &bias, bias_grad(&upstream)?);
        let whole = by_input(Rest { others: Some(&others), rectified: true })?;
        let expected = relu_grad(&(by_input(Rest::default())? + &others)?, &x)?;
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
