//! The rectifier.

use crate::access::{check, contiguous, tensor, with_slice};
use crate::conv::masked;
use crate::memory::{Shared, filled};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

const NAME: &str = "relu";

/// Elements per task.
const CHUNK: usize = 64 * 1024;

/// max(0, `x`), of any shape; a NaN stays one.
///
/// # Errors
///
/// If `x` is not f32 on the CPU.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    check(NAME, x)?;
    x.contiguous()?.apply_op1(Relu)
}

struct Relu;

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = contiguous::<f32>(NAME, storage, layout)?;
        let write = |to: Shared<f32>| {
            x.par_chunks(CHUNK).enumerate().for_each(|(i, x)| {
                for (j, &x) in x.iter().enumerate() {
                    // SAFETY: each element of the result is written by the one task that holds its source.
                    unsafe { to.pointer(i * CHUNK).add(j).write(if x < 0.0 { 0.0 } else { x }) };
                }
            });
        };
        // SAFETY: each element of `x`, of the result's length, is visited.
        Ok((CpuStorage::F32(unsafe { filled(x.len(), write) }), layout.shape().clone()))
    }

    fn bwd(&self, _x: &Tensor, res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let masked = with_slice(NAME, &grad, |grad| with_slice(NAME, res, |res| Ok(masked(grad, res))))?;
        tensor(masked, res.shape()).map(Some)
    }
}
