//! The layers both networks are made of. They hide on which of the two computing paths a model runs.
//!
//! On [`Backend::Portable`] features are [N, C, H, W] and every operation is candle's own; on [`Backend::Fast`] they are
//! [N, H, W, C] and convolutions are the kernels of [`ksom_kernels`], with bias, skip connection and ReLU fused. There a
//! training step's features are followed by a [`Tape`]; all others by candle's graph, if by any.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use ksom_kernels::{Backend, ConvSpec, ConvWeight};

use crate::model::network::tape::{Maps, Tape};

/// Feature maps as the backend keeps them: entering, leaving, and what depends on the order of axes.
pub(crate) trait Layout {
    /// [N, C, H, W] → the backend's layout, followed by `tape`.
    fn enter(self, x: &Tensor, tape: Option<&Tape>) -> Result<Maps>;
    /// The backend's layout → [N, C, H, W].
    fn leave(self, x: &Maps) -> Result<Tensor>;
    /// Feature maps → one row per position [N·H·W, C], and (N, H, W).
    fn to_rows(self, maps: &Tensor) -> Result<(Tensor, (usize, usize, usize))>;
    /// One row per position [N·H·W, C] → feature maps.
    fn to_maps(self, rows: &Tensor, positions: (usize, usize, usize)) -> Result<Tensor>;
    /// Joins two feature maps along their channels.
    fn cat(self, maps: [&Maps; 2]) -> Result<Maps>;
    /// max(0, x).
    fn relu(self, x: &Maps) -> Result<Maps>;
}

impl Layout for Backend {
    fn enter(self, x: &Tensor, tape: Option<&Tape>) -> Result<Maps> {
        let values = match self {
            Backend::Portable => x.clone(),
            Backend::Fast => ksom_kernels::nchw_to_nhwc(x)?,
        };
        Ok(tape.map_or_else(|| Maps::untaped(values.clone()), |tape| tape.enter(values.clone())))
    }

    fn leave(self, x: &Maps) -> Result<Tensor> {
        match self {
            Backend::Portable => Ok(x.values.clone()),
            Backend::Fast => ksom_kernels::nhwc_to_nchw(&x.values),
        }
    }

    fn to_rows(self, maps: &Tensor) -> Result<(Tensor, (usize, usize, usize))> {
        let maps = match self {
            Backend::Portable => maps.permute((0, 2, 3, 1))?.contiguous()?,
            Backend::Fast => maps.clone(),
        };
        let (n, h, w, c) = maps.dims4()?;
        Ok((maps.reshape((n * h * w, c))?, (n, h, w)))
    }

    fn to_maps(self, rows: &Tensor, (n, h, w): (usize, usize, usize)) -> Result<Tensor> {
        let maps = rows.reshape((n, h, w, rows.dim(1)?))?;
        match self {
            Backend::Portable => maps.permute((0, 3, 1, 2))?.contiguous(),
            Backend::Fast => Ok(maps),
        }
    }

    fn cat(self, maps: [&Maps; 2]) -> Result<Maps> {
        let channels = match self {
            Backend::Portable => 1,
            Backend::Fast => 3,
        };
        let values = Tensor::cat(&maps.map(|maps| &maps.values), channels)?;
        let Some(tape) = maps[0].tape() else { return Ok(Maps::untaped(values)) };
        let parts = maps.map(Maps::clone);
        Ok(tape.record(&maps, values, false, move |grad, gradients| {
            let mut first = 0;
            for part in &parts {
                let len = part.values.dim(channels)?;
                part.add_grad(gradients, grad.narrow(channels, first, len)?.contiguous()?)?;
                first += len;
            }
            Ok(())
        }))
    }

    fn relu(self, x: &Maps) -> Result<Maps> {
        let values = match self {
            Backend::Portable => x.values.relu()?,
            Backend::Fast => ksom_kernels::relu(&x.values)?,
        };
        let Some(tape) = x.tape() else { return Ok(Maps::untaped(values)) };
        let input = x.clone();
        // What arrives is the gradient by what lies before the ReLU already.
        Ok(tape.record(&[x], values, true, move |grad, gradients| input.add_grad(gradients, grad)))
    }
}

/// Shape and behavior of a convolution.
#[derive(Clone, Copy)]
pub(crate) struct ConvConfig {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    pub(crate) bias: bool,
    /// Whether it is a transposed convolution.
    pub(crate) transposed: bool,
    /// False for the layer that sees the picture: nothing needs the picture's gradient.
    pub(crate) input_grad: bool,
}

impl ConvConfig {
    /// Keeps the size: 3×3 with padding 1, or 1×1.
    pub(crate) fn same(kernel: usize) -> Self {
        Self { kernel, stride: 1, padding: kernel / 2, bias: true, transposed: false, input_grad: true }
    }

    /// 4×4 with stride 2 and padding 1: halves the size.
    pub(crate) fn halving() -> Self {
        Self { kernel: 4, stride: 2, ..Self::same(3) }
    }

    /// The transposed one: doubles the size.
    pub(crate) fn doubling() -> Self {
        Self { transposed: true, ..Self::halving() }
    }

    pub(crate) fn without_bias(self) -> Self {
        Self { bias: false, ..self }
    }

    pub(crate) fn first(self) -> Self {
        Self { input_grad: false, ..self }
    }

    /// Weight and bias with PyTorch's default initialization: both uniform in ±1/√fan_in (Kaiming-uniform with a = √5
    /// comes to that), where fan_in counts the weight's second axis.
    fn tensors(self, shape: [usize; 4], outputs: usize, vb: &VarBuilder) -> Result<(Tensor, Option<Tensor>)> {
        let fan_in = shape[1] * self.kernel * self.kernel;
        let bound = 1.0 / (fan_in as f64).sqrt();
        let init = Init::Uniform { lo: -bound, up: bound };
        let weight = vb.get_with_hints(&shape, "weight", init)?;
        let bias = if self.bias { Some(vb.get_with_hints(outputs, "bias", init)?) } else { None };
        Ok((weight, bias))
    }

    fn spec(self, relu: bool) -> ConvSpec {
        ConvSpec { stride: self.stride, padding: self.padding, relu, input_grad: self.input_grad }
    }
}

/// Bias, skip connection and ReLU, one operation each.
fn finish(y: Tensor, bias: Option<&Tensor>, residual: Option<&Tensor>, relu: bool) -> Result<Tensor> {
    let y = match bias {
        Some(bias) => y.broadcast_add(&bias.reshape((1, bias.dim(0)?, 1, 1))?)?,
        None => y,
    };
    let y = match residual {
        Some(residual) => (residual + y)?,
        None => y,
    };
    if relu { y.relu() } else { Ok(y) }
}

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
        backend: Backend,
        vb: VarBuilder,
    ) -> Result<Self> {
        let (first, second) = if config.transposed { (inputs, outputs) } else { (outputs, inputs) };
        let (weight, bias) = config.tensors([first, second, config.kernel, config.kernel], outputs, &vb)?;
        let kernel_weight = ConvWeight::fixed(weight.clone());
        Ok(Self { weight, kernel_weight, bias, config, backend })
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
            return Ok(Maps::untaped(self.apply(&x.values, residual_values, relu)?));
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
        let (positions, _) = self.backend.to_rows(if self.config.transposed { &x.values } else { &values })?;
        let work = positions.dim(0)? * self.weight.elem_count();
        tape.count(work, if self.config.input_grad { 2 * work } else { work });
        let inputs: Vec<&Maps> = std::iter::once(x).chain(residual).collect();
        let (conv, x, residual) = (self.clone(), x.clone(), residual.cloned());
        Ok(tape.record(&inputs, values, relu, move |grad, gradients| {
            let (weight, spec, transposed) = (&detached.weight, conv.config.spec(false), conv.config.transposed);
            if let Some(bias) = &conv.bias {
                gradients.set_parameter(bias, ksom_kernels::bias_grad(&grad)?);
            }
            let weight_grad = ksom_kernels::weight_grad(&x.values, weight, &grad, spec, transposed)?;
            gradients.set_parameter(&conv.weight, weight_grad);
            if conv.config.input_grad {
                x.add_grad_with(gradients, |rest| {
                    ksom_kernels::input_grad(&x.values, weight, &grad, spec, transposed, rest)
                })?;
            }
            residual.map_or(Ok(()), |residual| residual.add_grad(gradients, grad))
        }))
    }

    /// What `forward_with` makes of the values.
    fn apply(&self, x: &Tensor, residual: Option<&Tensor>, relu: bool) -> Result<Tensor> {
        let Self { weight, kernel_weight, bias, config, backend } = self;
        let bias = bias.as_ref();
        match (backend, config.transposed) {
            (Backend::Fast, false) => ksom_kernels::conv2d(x, kernel_weight, bias, residual, config.spec(relu)),
            (Backend::Fast, true) => ksom_kernels::conv_transpose2d(x, kernel_weight, bias, config.spec(relu)),
            (Backend::Portable, false) => {
                finish(x.conv2d(weight, config.padding, config.stride, 1, 1)?, bias, residual, relu)
            }
            (Backend::Portable, true) => {
                finish(x.conv_transpose2d(weight, config.padding, 0, config.stride, 1)?, bias, residual, relu)
            }
        }
    }
}
