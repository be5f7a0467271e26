//! The layers both networks are made of. They hide on which of the two computing paths a model runs.
//!
//! On [`Backend::Portable`] features are [N, C, H, W] and every operation is candle's own; on [`Backend::Fast`] they are
//! [N, H, W, C] and convolutions are the kernels of [`ksom_kernels`], with bias, skip connection and ReLU fused.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use ksom_kernels::{Backend, ConvSpec};

/// Feature maps as the backend keeps them: entering, leaving, and what depends on the order of axes.
pub(crate) trait Layout {
    /// [N, C, H, W] → the backend's layout.
    fn enter(self, x: &Tensor) -> Result<Tensor>;
    /// The backend's layout → [N, C, H, W].
    fn leave(self, x: &Tensor) -> Result<Tensor>;
    /// Feature maps → one row per position [N·H·W, C], and (N, H, W).
    fn to_rows(self, x: &Tensor) -> Result<(Tensor, (usize, usize, usize))>;
    /// One row per position [N·H·W, C] → feature maps.
    fn to_maps(self, rows: &Tensor, positions: (usize, usize, usize)) -> Result<Tensor>;
    /// Joins feature maps along their channels.
    fn cat(self, maps: &[&Tensor]) -> Result<Tensor>;
    /// max(0, x).
    fn relu(self, x: &Tensor) -> Result<Tensor>;
}

impl Layout for Backend {
    fn enter(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Backend::Portable => Ok(x.clone()),
            Backend::Fast => ksom_kernels::nchw_to_nhwc(x),
        }
    }

    fn leave(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Backend::Portable => Ok(x.clone()),
            Backend::Fast => ksom_kernels::nhwc_to_nchw(x),
        }
    }

    fn to_rows(self, x: &Tensor) -> Result<(Tensor, (usize, usize, usize))> {
        let x = match self {
            Backend::Portable => x.permute((0, 2, 3, 1))?.contiguous()?,
            Backend::Fast => x.clone(),
        };
        let (n, h, w, c) = x.dims4()?;
        Ok((x.reshape((n * h * w, c))?, (n, h, w)))
    }

    fn to_maps(self, rows: &Tensor, (n, h, w): (usize, usize, usize)) -> Result<Tensor> {
        let x = rows.reshape((n, h, w, rows.dim(1)?))?;
        match self {
            Backend::Portable => x.permute((0, 3, 1, 2))?.contiguous(),
            Backend::Fast => Ok(x),
        }
    }

    fn cat(self, maps: &[&Tensor]) -> Result<Tensor> {
        match self {
            Backend::Portable => Tensor::cat(maps, 1),
            Backend::Fast => Tensor::cat(maps, 3),
        }
    }

    fn relu(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Backend::Portable => x.relu(),
            Backend::Fast => ksom_kernels::relu(x),
        }
    }
}

/// Shape and behaviour of a convolution.
#[derive(Clone, Copy)]
pub(crate) struct ConvConfig {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    pub(crate) bias: bool,
    /// False for the layer that sees the picture: nothing needs the picture's gradient.
    pub(crate) input_grad: bool,
}

impl ConvConfig {
    /// Keeps the size: 3×3 with padding 1, or 1×1.
    pub(crate) fn same(kernel: usize) -> Self {
        Self { kernel, stride: 1, padding: kernel / 2, bias: true, input_grad: true }
    }

    /// 4×4 with stride 2 and padding 1: halves the size, or doubles it when transposed.
    pub(crate) fn halving() -> Self {
        Self { kernel: 4, stride: 2, padding: 1, bias: true, input_grad: true }
    }

    pub(crate) fn without_bias(self) -> Self {
        Self { bias: false, ..self }
    }

    pub(crate) fn first(self) -> Self {
        Self { input_grad: false, ..self }
    }

    /// Weight and bias with PyTorch's default initialisation: both uniform in ±1/√fan_in (Kaiming-uniform with a = √5
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

/// A convolution.
pub(crate) struct Conv2d {
    weight: Tensor,
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
        let (weight, bias) = config.tensors([outputs, inputs, config.kernel, config.kernel], outputs, &vb)?;
        Ok(Self { weight, bias, config, backend })
    }

    /// The convolution alone.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_with(x, None, false)
    }

    /// The convolution and a ReLU.
    pub(crate) fn forward_relu(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_with(x, None, true)
    }

    /// `residual` + the convolution, then a ReLU if asked for.
    pub(crate) fn forward_with(&self, x: &Tensor, residual: Option<&Tensor>, relu: bool) -> Result<Tensor> {
        let bias = self.bias.as_ref();
        match self.backend {
            Backend::Portable => {
                let y = x.conv2d(&self.weight, self.config.padding, self.config.stride, 1, 1)?;
                finish(y, bias, residual, relu)
            }
            Backend::Fast => ksom_kernels::conv2d(x, &self.weight, bias, residual, self.config.spec(relu)),
        }
    }
}

/// A transposed convolution.
pub(crate) struct ConvTranspose2d {
    weight: Tensor,
    bias: Option<Tensor>,
    config: ConvConfig,
    backend: Backend,
}

impl ConvTranspose2d {
    pub(crate) fn new(
        inputs: usize,
        outputs: usize,
        config: ConvConfig,
        backend: Backend,
        vb: VarBuilder,
    ) -> Result<Self> {
        let (weight, bias) = config.tensors([inputs, outputs, config.kernel, config.kernel], outputs, &vb)?;
        Ok(Self { weight, bias, config, backend })
    }

    /// The transposed convolution alone.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_with(x, false)
    }

    /// The transposed convolution and a ReLU.
    pub(crate) fn forward_relu(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_with(x, true)
    }

    fn forward_with(&self, x: &Tensor, relu: bool) -> Result<Tensor> {
        let bias = self.bias.as_ref();
        match self.backend {
            Backend::Portable => {
                let y = x.conv_transpose2d(&self.weight, self.config.padding, 0, self.config.stride, 1)?;
                finish(y, bias, None, relu)
            }
            Backend::Fast => ksom_kernels::conv_transpose2d(x, &self.weight, bias, self.config.spec(relu)),
        }
    }
}
