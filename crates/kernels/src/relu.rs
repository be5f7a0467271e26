//! The rectifier.

use crate::access::{check, contiguous};
use crate::elementwise::{map, relu_grad};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

const NAME: &str = "relu";

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
        Ok((CpuStorage::F32(map([x], |[x]| if x < 0.0 { 0.0 } else { x })), layout.shape().clone()))
    }

    fn bwd(&self, _x: &Tensor, res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        relu_grad(grad, res).map(Some)
    }
}
