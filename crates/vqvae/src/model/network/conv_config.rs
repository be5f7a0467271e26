//! What a convolution is, apart from its weights.

use candle_core::{DType, Result, Tensor};
use candle_nn::{Init, VarBuilder};

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
    /// The type of matrix products on the portable path, where it is not that of the maps.
    pub(crate) products: Option<DType>,
}

impl ConvConfig {
    /// Keeps the size: 3×3 with padding 1, or 1×1.
    pub(crate) fn same(kernel: usize) -> Self {
        Self { kernel, stride: 1, padding: kernel / 2, bias: true, transposed: false, input_grad: true, products: None }
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

    /// `x` as a factor of the products.
    pub(crate) fn factor(self, x: &Tensor) -> Result<Tensor> {
        x.to_dtype(self.products.unwrap_or(x.dtype()))
    }

    /// Weight and bias with PyTorch's default initialization: both uniform in ±1/√fan_in (Kaiming-uniform with a = √5
    /// comes to that), where fan_in counts the weight's second axis.
    pub(crate) fn tensors(
        self,
        shape: [usize; 4],
        outputs: usize,
        vb: &VarBuilder,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let fan_in = shape[1] * self.kernel * self.kernel;
        let bound = 1.0 / (fan_in as f64).sqrt();
        let init = Init::Uniform { lo: -bound, up: bound };
        let weight = vb.get_with_hints(&shape, "weight", init)?;
        let bias = if self.bias { Some(vb.get_with_hints(outputs, "bias", init)?) } else { None };
        Ok((weight, bias))
    }
}
