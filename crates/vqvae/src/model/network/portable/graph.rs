//! Convolutions in candle's graph, for whoever leads a loss back through it.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp3, Layout, MetalStorage, Result, Shape, Tensor};

use crate::model::network::conv_config::ConvConfig;
use crate::model::network::portable::conv::{convolve, input_grad};
use crate::model::network::portable::parameter_grads::parameter_grads;

/// The convolution of `x` by `weight` alone, whose gradients are ours and not those of candle's `conv2d`.
pub(crate) fn convolve_in_graph(x: &Tensor, weight: &Tensor, config: ConvConfig) -> Result<Tensor> {
    let y = convolve(&x.detach(), &weight.detach(), None, None, config, false)?;
    x.apply_op3(weight, &y, InGraph(config))
}

/// The third argument, as what a convolution made of the first two.
struct InGraph(ConvConfig);

impl CustomOp3 for InGraph {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        y: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok((y.try_clone(layout)?, layout.shape().clone()))
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        y: &CudaStorage,
        layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        Ok((y.try_clone(layout)?, layout.shape().clone()))
    }

    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
        y: &MetalStorage,
        layout: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        Ok((y.try_clone(layout)?, layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let by_x = match x.track_op() && self.0.input_grad {
            true => Some(input_grad(weight, grad, self.0)?),
            false => None,
        };
        let by_weight = match weight.track_op() {
            true => Some(parameter_grads(x, grad, self.0.without_bias())?.0),
            false => None,
        };
        Ok((by_x, by_weight, None))
    }
}
