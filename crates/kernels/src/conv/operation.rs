//! The custom operations and their gradients.

use super::bias::channel_sums;
use super::epilogue::Epilogue;
use super::forward::{Kernel, convolution, transposed};
use super::geometry::{Dims, Window};
use super::weight::{ConvWeight, Panels};
use super::weight_grad::weight_gradient;
use crate::access::{check, check_shape, contiguous, tensor, with_optional_slice, with_slice};
use crate::elementwise::masked;
use crate::error::Error;
use crate::simd::detect;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use std::sync::Arc;

/// What a convolution does besides multiplying its weight.
#[derive(Clone, Copy, Debug)]
pub struct ConvSpec {
    /// Step between output positions (between input positions for a transposed convolution), at least 1.
    pub stride: usize,
    /// Zeros on each side of the input (removed from each side of the output for a transposed convolution).
    pub padding: usize,
    /// Whether max(0, ·) is applied to the output, after bias and residual.
    pub relu: bool,
    /// Whether backward must produce the gradient of the input (false for the first layer).
    pub input_grad: bool,
}

/// Convolution of `x` [N, H, W, I] with `w` [O, I, kh, kw] (PyTorch's layout), plus `bias` `[O]`, plus `residual`
/// [N, OH, OW, O], then max(0, ·) if `spec.relu` → [N, OH, OW, O], where OH = ⌊(H + 2 · padding − kh) / stride⌋ + 1.
///
/// An output's bits depend on its own inputs only: not on the rest of the batch, nor on the number of threads.
///
/// # Errors
///
/// If a tensor is not f32 on the CPU, or shapes do not fit together.
pub fn conv2d(
    x: &Tensor,
    w: impl Into<ConvWeight>,
    bias: Option<&Tensor>,
    residual: Option<&Tensor>,
    spec: ConvSpec,
) -> Result<Tensor> {
    let w = w.into();
    Convolution::new(x, &w.tensor, spec, false)?.apply(x, w, bias, residual)
}

/// Transposed convolution of `x` [N, H, W, I] with `w` [I, O, kh, kw] (PyTorch's layout), plus `bias` `[O]`, then
/// max(0, ·) if `spec.relu` → [N, OH, OW, O], where OH = (H − 1) · stride − 2 · padding + kh.
///
/// An output's bits depend on its own inputs only: not on the rest of the batch, nor on the number of threads.
///
/// # Errors
///
/// If a tensor is not f32 on the CPU, or shapes do not fit together.
pub fn conv_transpose2d(x: &Tensor, w: impl Into<ConvWeight>, bias: Option<&Tensor>, spec: ConvSpec) -> Result<Tensor> {
    let w = w.into();
    Convolution::new(x, &w.tensor, spec, true)?.apply(x, w, bias, None)
}

/// The rest of the gradient of a convolution's input, see [`input_grad`].
#[derive(Clone, Copy, Default)]
pub struct Rest<'a> {
    /// What comes from other uses of the input, of its shape: added.
    pub others: Option<&'a Tensor>,
    /// Whether the input came out of a ReLU, and what lies before that is asked for: zero where the input is zero.
    pub rectified: bool,
}

/// The gradient of [`conv2d`] (or, if `transposed`, of [`conv_transpose2d`]) by its input `x`, outside any graph, for
/// the gradient `grad` [N, OH, OW, O] of its output before the ReLU → of `x`'s shape.
///
/// # Errors
///
/// As [`conv2d`].
pub fn input_grad(
    x: &Tensor,
    w: &Tensor,
    grad: &Tensor,
    spec: ConvSpec,
    transposed: bool,
    rest: Rest,
) -> Result<Tensor> {
    let convolution = Convolution::new(x, w, spec, transposed)?;
    let operation = CustomOp2::name(&convolution);
    check_shape(operation, "grad", grad, convolution.out.shape())?;
    let (w, grad) = (w.contiguous()?, grad.contiguous()?);
    let others = rest.others.map(Tensor::contiguous).transpose()?;
    if let Some(others) = &others {
        check_shape(operation, "others", others, x.shape())?;
    }
    let mask = if rest.rectified { Some(x.contiguous()?) } else { None };
    with_slice(operation, &w, |w| {
        with_slice(operation, &grad, |grad| {
            with_optional_slice(operation, others.as_ref(), |residual| {
                with_optional_slice(operation, mask.as_ref(), |mask| {
                    let epilogue = Epilogue { residual, mask, ..Epilogue::default() };
                    tensor(convolution.input_gradient(w, grad, epilogue), x.shape())
                })
            })
        })
    })
}

/// As [`input_grad`] by the weight `w`, → of `w`'s shape.
///
/// # Errors
///
/// As [`conv2d`].
pub fn weight_grad(x: &Tensor, w: &Tensor, grad: &Tensor, spec: ConvSpec, transposed: bool) -> Result<Tensor> {
    let convolution = Convolution::new(x, w, spec, transposed)?;
    let operation = CustomOp2::name(&convolution);
    check_shape(operation, "grad", grad, convolution.out.shape())?;
    let (x, grad) = (x.contiguous()?, grad.contiguous()?);
    with_slice(operation, &x, |x| {
        with_slice(operation, &grad, |grad| tensor(convolution.weight_gradient(x, grad), w.shape()))
    })
}

/// As [`input_grad`] by the bias, for the gradient `grad` [.., O] → `[O]`.
///
/// # Errors
///
/// If `grad` has no axis, or is not f32 on the CPU.
pub fn bias_grad(grad: &Tensor) -> Result<Tensor> {
    let grad = grad.contiguous()?;
    let channels = grad.dim(candle_core::D::Minus1)?;
    with_slice("bias_grad", &grad, |grad| tensor(channel_sums(grad, channels), channels))
}

/// A convolution or transposed convolution of known shapes.
struct Convolution {
    transposed: bool,
    x: Dims,
    out: Dims,
    kernel: Kernel,
    relu: bool,
    input_grad: bool,
    third: Third,
    /// Where the weight's panels are kept, if they are.
    kept: Option<Arc<Panels>>,
}

/// What the operation's third argument is.
#[derive(Clone, Copy, PartialEq)]
enum Third {
    None,
    Bias,
    Residual,
    /// The residual, and the second argument is weight and bias side by side: candle has no operation of four
    /// arguments.
    ResidualBesideBias,
}

/// Gradients of input, weight, bias and residual, as far as they were asked for.
#[derive(Default)]
struct Gradients {
    x: Option<Tensor>,
    w: Option<Tensor>,
    bias: Option<Tensor>,
    residual: Option<Tensor>,
}

impl Convolution {
    fn new(x: &Tensor, w: &Tensor, spec: ConvSpec, transposed: bool) -> Result<Self> {
        let operation = if transposed { "conv_transpose2d" } else { "conv2d" };
        check(operation, x)?;
        check(operation, w)?;
        let (&[images, height, width, channels], &[first, second, kh, kw]) = (x.dims(), w.dims()) else {
            let (name, expected, found) =
                if x.rank() == 4 { ("w", "[O, I, kh, kw]", w) } else { ("x", "[N, H, W, I]", x) };
            return Err(
                Error::Shape { operation, name, expected: expected.into(), found: found.shape().clone() }.into()
            );
        };
        let (inputs, outputs) = if transposed { (first, second) } else { (second, first) };
        if channels != inputs || [height, width, channels, outputs, kh, kw].contains(&0) {
            return Err(Error::Shape {
                operation,
                name: "x",
                expected: format!("[N, H, W, {inputs}] for a weight of shape {:?}, nothing empty", w.dims()),
                found: x.shape().clone(),
            }
            .into());
        }
        if spec.stride == 0 {
            return Err(Error::Value { operation, expected: "a stride of at least 1".into(), found: "0".into() }.into());
        }
        let size = |input: usize, kernel: usize| {
            let (stride, padding) = (spec.stride, spec.padding);
            if transposed {
                ((input - 1) * stride + kernel).checked_sub(2 * padding).filter(|&size| size > 0)
            } else {
                (input + 2 * padding).checked_sub(kernel).map(|room| room / stride + 1)
            }
        };
        let (Some(out_height), Some(out_width)) = (size(height, kh), size(width, kw)) else {
            return Err(Error::Shape {
                operation,
                name: "x",
                expected: format!("a picture with room for a {kh}×{kw} kernel at padding {}", spec.padding),
                found: x.shape().clone(),
            }
            .into());
        };
        Ok(Self {
            transposed,
            x: Dims { images, height, width, channels },
            out: Dims { images, height: out_height, width: out_width, channels: outputs },
            kernel: Kernel { first, second, height: kh, width: kw, stride: spec.stride, padding: spec.padding },
            relu: spec.relu,
            input_grad: spec.input_grad,
            third: Third::None,
            kept: None,
        })
    }

    fn apply(mut self, x: &Tensor, w: ConvWeight, bias: Option<&Tensor>, residual: Option<&Tensor>) -> Result<Tensor> {
        let operation = CustomOp2::name(&self);
        if let Some(bias) = bias {
            check(operation, bias)?;
            check_shape(operation, "bias", bias, self.out.channels)?;
        }
        if let Some(residual) = residual {
            check(operation, residual)?;
            check_shape(operation, "residual", residual, self.out.shape())?;
        }
        let (x, w, kept) = (x.contiguous()?, w.tensor.contiguous()?, w.panels);
        self.kept = kept;
        match (bias, residual) {
            (None, None) => x.apply_op2(&w, self),
            (Some(bias), None) => {
                self.third = Third::Bias;
                x.apply_op3(&w, &bias.contiguous()?, self)
            }
            (None, Some(residual)) => {
                self.third = Third::Residual;
                x.apply_op3(&w, &residual.contiguous()?, self)
            }
            (Some(bias), Some(residual)) => {
                self.third = Third::ResidualBesideBias;
                let both = Tensor::cat(&[&w.flatten_all()?, &bias.flatten_all()?], 0)?;
                x.apply_op3(&both, &residual.contiguous()?, self)
            }
        }
    }

    fn forward(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>, residual: Option<&[f32]>) -> (CpuStorage, Shape) {
        let epilogue = Epilogue { bias, residual, relu: self.relu, mask: None };
        let forward = if self.transposed { transposed } else { convolution };
        let out = forward(detect::best(), (x, self.x), (w, self.kernel, self.kept.as_deref()), self.out, epilogue);
        (CpuStorage::F32(out), self.out.shape().into())
    }

    /// The weight's part, and the bias's if it lies beside.
    fn split<'a>(&self, w: &'a [f32]) -> (&'a [f32], Option<&'a [f32]>) {
        let (w, bias) = w.split_at(self.kernel.len());
        (w, (!bias.is_empty()).then_some(bias))
    }

    fn backward(
        &self,
        x: &Tensor,
        w: &Tensor,
        third: Option<&Tensor>,
        res: &Tensor,
        grad: &Tensor,
    ) -> Result<Gradients> {
        let operation = CustomOp2::name(self);
        let grad = if self.relu {
            let grad = grad.contiguous()?;
            let grad = with_slice(operation, &grad, |grad| with_slice(operation, res, |res| Ok(masked(grad, res))))?;
            tensor(grad, self.out.shape())?
        } else {
            grad.contiguous()?
        };
        let mut gradients = Gradients::default();
        let wants_third = third.is_some_and(Tensor::track_op);
        with_slice(operation, &grad, |g| {
            if self.third == Third::Bias && wants_third {
                gradients.bias = Some(tensor(channel_sums(g, self.out.channels), self.out.channels)?);
            }
            if x.track_op() && self.input_grad {
                gradients.x = Some(tensor(
                    with_slice(operation, w, |w| Ok(self.input_gradient(w, g, Epilogue::default())))?,
                    self.x.shape(),
                )?);
            }
            if w.track_op() {
                let mut w_grad = with_slice(operation, x, |x| Ok(self.weight_gradient(x, g)))?;
                if self.third == Third::ResidualBesideBias {
                    w_grad.extend(channel_sums(g, self.out.channels));
                }
                gradients.w = Some(tensor(w_grad, w.shape())?);
            }
            Ok(())
        })?;
        if matches!(self.third, Third::Residual | Third::ResidualBesideBias) && wants_third {
            gradients.residual = Some(grad);
        }
        Ok(gradients)
    }

    fn input_gradient(&self, w: &[f32], grad: &[f32], epilogue: Epilogue) -> Vec<f32> {
        let (w, _) = self.split(w);
        let backward = if self.transposed { convolution } else { transposed };
        backward(detect::best(), (grad, self.out), (w, self.kernel, None), self.x, epilogue)
    }

    fn weight_gradient(&self, x: &[f32], grad: &[f32]) -> Vec<f32> {
        let Kernel { height, width, stride, padding, .. } = self.kernel;
        let window = Window { height, width, stride, padding };
        let (pixels, patches) =
            if self.transposed { ((x, self.x), (grad, self.out)) } else { ((grad, self.out), (x, self.x)) };
        weight_gradient(detect::best(), pixels, patches, window)
    }
}

impl CustomOp2 for Convolution {
    fn name(&self) -> &'static str {
        if self.transposed { "conv_transpose2d" } else { "conv2d" }
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let operation = CustomOp2::name(self);
        Ok(self.forward(contiguous(operation, s1, l1)?, contiguous(operation, s2, l2)?, None, None))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, res: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradients = self.backward(x, w, None, res, grad)?;
        Ok((gradients.x, gradients.w))
    }
}

impl CustomOp3 for Convolution {
    fn name(&self) -> &'static str {
        CustomOp2::name(self)
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let operation = CustomOp2::name(self);
        let (w, beside) = self.split(contiguous(operation, s2, l2)?);
        let third = Some(contiguous(operation, s3, l3)?);
        let (bias, residual) = if self.third == Third::Bias { (third, None) } else { (beside, third) };
        Ok(self.forward(contiguous(operation, s1, l1)?, w, bias, residual))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        third: &Tensor,
        res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradients = self.backward(x, w, Some(third), res, grad)?;
        Ok((gradients.x, gradients.w, gradients.bias.or(gradients.residual)))
    }
}
