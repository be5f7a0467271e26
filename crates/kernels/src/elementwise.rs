//! Passes over whole tensors that pair their elements.

use crate::access::{check, check_shape, tensor, with_slice};
use crate::error::Error;
use crate::memory::{Shared, filled};
use candle_core::{Result, Tensor};
use rayon::prelude::*;

/// Elements per task; fixed, so that sums do not depend on the number of threads.
const CHUNK: usize = 16 * 1024;

/// `f` of the elements at each place of inputs of one length.
pub(crate) fn map<const N: usize>(inputs: [&[f32]; N], f: impl Fn([f32; N]) -> f32 + Sync) -> Vec<f32> {
    let len = inputs.iter().map(|input| input.len()).min().unwrap_or(0);
    let write = |to: Shared<f32>| {
        (0..len.div_ceil(CHUNK)).into_par_iter().for_each(|chunk| {
            let first = chunk * CHUNK;
            let inputs = inputs.map(|input| input[first..].as_ptr());
            let to = to.pointer(first);
            for i in 0..CHUNK.min(len - first) {
                // SAFETY: `first + i < len`, and no input is shorter; each place of the result is written by one task.
                unsafe { to.add(i).write(f(inputs.map(|input| *input.add(i)))) };
            }
        });
    };
    // SAFETY: the chunks are all of the result.
    unsafe { filled(len, write) }
}

/// `a` + `b`, f32 of one shape on the CPU, outside any graph.
///
/// # Errors
///
/// If shapes differ, or a tensor is not f32 on the CPU.
pub fn sum(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    with_pair("sum", a, b, |a, b| map([a, b], |[a, b]| a + b))
}

/// The gradient `grad` of a ReLU's output `rectified`, by the ReLU's input.
///
/// # Errors
///
/// As [`sum`].
pub fn relu_grad(grad: &Tensor, rectified: &Tensor) -> Result<Tensor> {
    with_pair("relu_grad", grad, rectified, masked)
}

/// `grad` where `output > 0`, otherwise zero.
pub(crate) fn masked(grad: &[f32], output: &[f32]) -> Vec<f32> {
    map([grad, output], |[grad, output]| if output > 0.0 { grad } else { 0.0 })
}

/// The gradient by `x` of a quantizer's two ends: `grad` of the vectors `chosen` for it passes straight through, and
/// `scale` · mean((x − chosen)²) adds its own. All of one shape.
///
/// # Errors
///
/// As [`sum`], or the tensors are empty.
pub fn straight_through_grad(grad: &Tensor, x: &Tensor, chosen: &Tensor, scale: f64) -> Result<Tensor> {
    const NAME: &str = "straight_through_grad";
    check_shape(NAME, "grad", grad, x.shape())?;
    let scale = mean_scale(NAME, x, scale)?;
    let grad = grad.contiguous()?;
    with_slice(NAME, &grad, |grad| {
        with_pair(NAME, x, chosen, |x, chosen| map([grad, x, chosen], |[grad, x, chosen]| grad + (x - chosen) * scale))
    })
}

/// mean((x − target)²), and the gradient of `scale` times it by `x`. All of one shape.
///
/// # Errors
///
/// As [`sum`], or the tensors are empty.
pub fn mean_squared_error(x: &Tensor, target: &Tensor, scale: f64) -> Result<(f64, Tensor)> {
    const NAME: &str = "mean_squared_error";
    let factor = mean_scale(NAME, x, scale)?;
    let mut mean = 0.0;
    let grad = with_pair(NAME, x, target, |x, target| {
        let square = |(x, target): (&f32, &f32)| (f64::from(*x) - f64::from(*target)).powi(2);
        let chunks = x.par_chunks(CHUNK).zip(target.par_chunks(CHUNK));
        let sums: Vec<f64> = chunks.map(|(x, target)| x.iter().zip(target).map(square).sum()).collect();
        mean = sums.iter().sum::<f64>() / x.len() as f64;
        map([x, target], |[x, target]| (x - target) * factor)
    })?;
    Ok((mean, grad))
}

/// What a difference is multiplied by in the gradient of `scale` times a mean of squares.
fn mean_scale(operation: &'static str, x: &Tensor, scale: f64) -> Result<f32> {
    if x.elem_count() == 0 {
        let expected = "at least one element".into();
        return Err(Error::Shape { operation, name: "x", expected, found: x.shape().clone() }.into());
    }
    Ok((2.0 * scale / x.elem_count() as f64) as f32)
}

fn with_pair(
    operation: &'static str,
    a: &Tensor,
    b: &Tensor,
    f: impl FnOnce(&[f32], &[f32]) -> Vec<f32>,
) -> Result<Tensor> {
    check(operation, a)?;
    check(operation, b)?;
    check_shape(operation, "the second", b, a.shape())?;
    let shape = a.shape();
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    with_slice(operation, &a, |a| with_slice(operation, &b, |b| tensor(f(a, b), shape)))
}
