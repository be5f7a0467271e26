//! The operations of a training step on either computing path: forward, and each gradient by itself.
//!
//! On [`Backend::Fast`] they are the kernels of [`ksom_kernels`], with bias, skip connection and ReLU fused; on
//! [`Backend::Portable`] those of [`portable`](super::portable), made of candle's own.

use candle_core::{Result, Tensor};
use ksom_kernels::{Backend, ConvSpec, ConvWeight, Rest};

use crate::model::network::conv_config::ConvConfig;
use crate::model::network::portable;

/// A number that a step computes: known already, or still on the device.
#[derive(Clone)]
pub(crate) enum Scalar {
    Known(f64),
    OnDevice(Tensor),
}

impl Scalar {
    /// All values, with one transfer for those that are on the device.
    pub(crate) fn read(scalars: &[Self]) -> Result<Vec<f64>> {
        let on_device: Vec<Tensor> = scalars
            .iter()
            .filter_map(|scalar| match scalar {
                Self::Known(_) => None,
                Self::OnDevice(tensor) => Some(tensor.flatten_all()),
            })
            .collect::<Result<_>>()?;
        let mut read = match on_device.is_empty() {
            true => Vec::new(),
            false => Tensor::cat(&on_device, 0)?.to_vec1::<f32>()?,
        }
        .into_iter();
        let value = |scalar: &Self| match scalar {
            Self::Known(value) => *value,
            Self::OnDevice(_) => read.next().map_or(f64::NAN, f64::from),
        };
        Ok(scalars.iter().map(value).collect())
    }
}

/// What each path has of its own.
pub(crate) trait Operations {
    /// The convolution of `x`, plus `bias`, plus `residual`, then max(0, ·) if `relu`.
    fn convolve(
        self,
        x: &Tensor,
        weight: &ConvWeight,
        bias: Option<&Tensor>,
        residual: Option<&Tensor>,
        config: ConvConfig,
        relu: bool,
    ) -> Result<Tensor>;
    /// The convolution's gradient by its input `x`, with the rest of it.
    fn input_grad(self, x: &Tensor, weight: &Tensor, grad: &Tensor, config: ConvConfig, rest: Rest) -> Result<Tensor>;
    /// By its weight, and by its bias if it has one.
    fn parameter_grads(
        self,
        x: &Tensor,
        weight: &Tensor,
        grad: &Tensor,
        config: ConvConfig,
    ) -> Result<(Tensor, Option<Tensor>)>;
    /// a + b.
    fn sum(self, a: &Tensor, b: &Tensor) -> Result<Tensor>;
    /// The gradient `grad` of a ReLU's output `rectified`, by its input.
    fn relu_grad(self, grad: &Tensor, rectified: &Tensor) -> Result<Tensor>;
    /// `grad`, and the gradient by `x` of `scale` · mean((x − chosen)²).
    fn straight_through_grad(self, grad: &Tensor, x: &Tensor, chosen: &Tensor, scale: f64) -> Result<Tensor>;
    /// mean((x − target)²), and the gradient by `x` of `scale` times it.
    fn mean_squared_error(self, x: &Tensor, target: &Tensor, scale: f64) -> Result<(Scalar, Tensor)>;
}

impl Operations for Backend {
    fn convolve(
        self,
        x: &Tensor,
        weight: &ConvWeight,
        bias: Option<&Tensor>,
        residual: Option<&Tensor>,
        config: ConvConfig,
        relu: bool,
    ) -> Result<Tensor> {
        match (self, config.transposed) {
            (Backend::Fast, false) => ksom_kernels::conv2d(x, weight, bias, residual, spec(config, relu)),
            (Backend::Fast, true) => ksom_kernels::conv_transpose2d(x, weight, bias, spec(config, relu)),
            (Backend::Portable, _) => portable::convolve(x, weight.tensor(), bias, residual, config, relu),
        }
    }

    fn input_grad(self, x: &Tensor, weight: &Tensor, grad: &Tensor, config: ConvConfig, rest: Rest) -> Result<Tensor> {
        match self {
            Backend::Fast => ksom_kernels::input_grad(x, weight, grad, spec(config, false), config.transposed, rest),
            Backend::Portable => {
                let mut sum = portable::input_grad(weight, grad, config)?;
                if let Some(others) = rest.others {
                    sum = self.sum(others, &sum)?;
                }
                if rest.rectified { self.relu_grad(&sum, x) } else { Ok(sum) }
            }
        }
    }

    fn parameter_grads(
        self,
        x: &Tensor,
        weight: &Tensor,
        grad: &Tensor,
        config: ConvConfig,
    ) -> Result<(Tensor, Option<Tensor>)> {
        match self {
            Backend::Fast => {
                let by_bias = if config.bias { Some(ksom_kernels::bias_grad(grad)?) } else { None };
                let spec = spec(config, false);
                Ok((ksom_kernels::weight_grad(x, weight, grad, spec, config.transposed)?, by_bias))
            }
            Backend::Portable => portable::parameter_grads(x, grad, config),
        }
    }

    fn sum(self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        match self {
            Backend::Fast => ksom_kernels::sum(a, b),
            Backend::Portable => a + b,
        }
    }

    fn relu_grad(self, grad: &Tensor, rectified: &Tensor) -> Result<Tensor> {
        match self {
            Backend::Fast => ksom_kernels::relu_grad(grad, rectified),
            Backend::Portable => portable::relu_grad(grad, rectified),
        }
    }

    fn straight_through_grad(self, grad: &Tensor, x: &Tensor, chosen: &Tensor, scale: f64) -> Result<Tensor> {
        match self {
            Backend::Fast => ksom_kernels::straight_through_grad(grad, x, chosen, scale),
            Backend::Portable => grad + portable::mean_squared_error_grad(x, chosen, scale)?,
        }
    }

    fn mean_squared_error(self, x: &Tensor, target: &Tensor, scale: f64) -> Result<(Scalar, Tensor)> {
        match self {
            Backend::Fast => {
                let (error, grad) = ksom_kernels::mean_squared_error(x, target, scale)?;
                Ok((Scalar::Known(error), grad))
            }
            Backend::Portable => {
                let error = (x - target)?.sqr()?.mean_all()?.to_dtype(candle_core::DType::F32)?;
                Ok((Scalar::OnDevice(error), portable::mean_squared_error_grad(x, target, scale)?))
            }
        }
    }
}

fn spec(config: ConvConfig, relu: bool) -> ConvSpec {
    ConvSpec { stride: config.stride, padding: config.padding, relu, input_grad: config.input_grad }
}
