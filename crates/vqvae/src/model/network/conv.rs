//! The layer that both networks are made of. It hides on which of the two computing paths a model runs.
//!
//! A training step's features are followed by a [`Tape`](crate::model::network::tape::Tape); all others by candle's graph,
//! if by any.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use ksom_kernels::{Backend, ConvWeight};

use crate::model::network::conv_config::ConvConfig;
use crate::model::network::operations::Operations;
use crate::model::network::portable;
use crate::model::network::tape::Maps;
use crate::system::compute::Compute;

/// A convolution, transposed or not.
#[derive(Clone)]
pub(crate) struct Conv2d {
    weight: Tensor,
    /// The weight for the kernels: packed once where it does not learn.
    kernel_weight: ConvWeight,
    bias: Option<Tensor>,
    config: ConvConfig,
    backend: Backend,
}

impl Conv2d {
    pub(crate) fn new(
        inputs: usize,
        outputs: usize,
        config: ConvConfig,
        compute: &Compute,
        vb: VarBuilder,
    ) -> Result<Self> {
        let (first, second) = if config.transposed { (inputs, outputs) } else { (outputs, inputs) };
        let (weight, bias) = config.tensors([first, second, config.kernel, config.kernel], outputs, &vb)?;
        let kernel_weight = ConvWeight::fixed(weight.clone());
        let config = ConvConfig { products: compute.products, ..config };
        Ok(Self { weight, kernel_weight, bias, config, backend: compute.backend })
    }

    /// The convolution alone.
    pub(crate) fn forward(&self, x: &Maps) -> Result<Maps> {
        self.forward_with(x, None, false)
    }

    /// The convolution and a ReLU.
    pub(crate) fn forward_relu(&self, x: &Maps) -> Result<Maps> {
        self.forward_with(x, None, true)
    }

    /// `residual` + the convolution, then a ReLU if asked for.
    pub(crate) fn forward_with(&self, x: &Maps, residual: Option<&Maps>, relu: bool) -> Result<Maps> {
        let residual_values = residual.map(|residual| &residual.values);
        let Some(tape) = x.tape() else {
            return Ok(Maps::untaped(self.in_graph(&x.values, residual_values, relu)?));
        };
        let weight = self.weight.detach();
        let detached = Self {
            kernel_weight: (&weight).into(),
            weight,
            bias: self.bias.as_ref().map(Tensor::detach),
            ..self.clone()
        };
        let values = detached.apply(&x.values, residual_values, relu)?;
        // Each position of the smaller side meets the whole weight.
        let smaller = if self.config.transposed { &x.values } else { &values };
        let work = smaller.elem_count() / self.weight.dim(0)? * self.weight.elem_count();
        tape.count(work, if self.config.input_grad { 2 * work } else { work });
        let inputs: Vec<&Maps> = std::iter::once(x).chain(residual).collect();
        let (conv, x, residual) = (self.clone(), x.clone(), residual.cloned());
        Ok(tape.record(&inputs, values, relu, move |grad, gradients| {
            let (weight, backend, config) = (&detached.weight, conv.backend, conv.config);
            let (by_weight, by_bias) = backend.parameter_grads(&x.values, weight, &grad, config)?;
            if let (Some(bias), Some(by_bias)) = (&conv.bias, by_bias) {
                gradients.set_parameter(bias, by_bias);
            }
            gradients.set_parameter(&conv.weight, by_weight);
            if config.input_grad {
                x.add_grad_with(gradients, |rest| backend.input_grad(&x.values, weight, &grad, config, rest))?;
            }
            residual.map_or(Ok(()), |residual| residual.add_grad(gradients, grad))
        }))
    }

    /// What `forward_with` makes of the values.
    fn apply(&self, x: &Tensor, residual: Option<&Tensor>, relu: bool) -> Result<Tensor> {
        self.backend.convolve(x, &self.kernel_weight, self.bias.as_ref(), residual, self.config, relu)
    }

    /// The same where candle's graph may follow.
    fn in_graph(&self, x: &Tensor, residual: Option<&Tensor>, relu: bool) -> Result<Tensor> {
        match self.backend {
            Backend::Portable if x.track_op() || self.weight.track_op() => {
                let y = portable::convolve_in_graph(x, &self.weight, self.config)?;
                portable::finish(y, self.bias.as_ref(), residual, relu)
            }
            _ => self.apply(x, residual, relu),
        }
    }
}
