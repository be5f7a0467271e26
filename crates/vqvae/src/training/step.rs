//! One training step: forward, backward, clipping, AdamW, codebook update.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use ksom_kernels::Backend;

use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::network::tape::Tape;
use crate::model::network::{ForwardOutput, LevelOutput, Reconstruction};
use crate::training::optimizer::Optimizer;

/// Finds a parameter's gradient.
type GradientOf = Box<dyn Fn(&Tensor) -> Option<Tensor>>;

/// What one optimizer step gave.
#[derive(Clone, Debug)]
pub struct StepOutcome {
    /// Mean squared error of the reconstruction, in normalized units.
    pub reconstruction: f64,
    /// The quantizers' loss.
    pub quantizer_loss: f64,
    /// Perplexity of each level's codes.
    pub perplexity: Vec<f64>,
    /// Euclidean norm of the gradient before clipping.
    pub grad_norm: f64,
}

/// Losses of a (micro-)batch, and their gradients.
pub struct Backpropagation {
    /// Mean squared error of the reconstruction, in normalized units.
    pub reconstruction: f64,
    /// The quantizers' loss.
    pub quantizer_loss: f64,
    /// What each level's quantizer saw: for [`Model::observe`].
    pub levels: Vec<LevelOutput>,
    /// The gradient of the sum of both losses by each parameter's name, of the parameter's shape.
    pub gradients: BTreeMap<String, Tensor>,
}

impl Model {
    /// Losses and gradients for pictures [N, 3, H, W] in normalized units, without candle's graph on the fast path.
    /// Changes nothing. With `codes`, u32 [N, h, w] per level, these stand in place of the nearest ones. Gradients are
    /// those of `share` times the losses: for a part of a batch, the part it is of it.
    ///
    /// # Errors
    /// As [`Model::forward_with_codes`]; a loss is not finite ([`Error::NotFinite`]).
    pub fn backpropagate(&self, pixels: &Tensor, codes: Option<&[Tensor]>, share: f64) -> Result<Backpropagation> {
        let tape = match self.compute().backend {
            Backend::Fast => Some(Tape::default()),
            Backend::Portable => None,
        };
        let input = self.input(pixels, tape.as_ref())?;
        let Reconstruction { pixels: output, quantizer_loss, levels } = self.reconstruction(&input, codes)?;
        let quantizer_value = finite("quantizer loss", scalar(&quantizer_loss)?)?;
        let (reconstruction, gradient_of): (f64, GradientOf) = match tape {
            Some(tape) => {
                let (error, grad) = ksom_kernels::mean_squared_error(&output.values, &input.values, share)?;
                finite("reconstruction loss", error)?;
                let found = tape.backward(&output, grad, share)?;
                (error, Box::new(move |tensor| found.get(&tensor.id()).cloned()))
            }
            None => {
                let error = (&output.values - &input.values)?.sqr()?.mean_all()?;
                let value = finite("reconstruction loss", scalar(&error)?)?;
                let store = ((error + quantizer_loss)? * share)?.backward()?;
                (value, Box::new(move |tensor| store.get(tensor).cloned()))
            }
        };
        let vars = self.vars().into_iter();
        let gradients = vars.filter_map(|(name, var)| Some((name, gradient_of(var.as_tensor())?))).collect();
        Ok(Backpropagation { reconstruction, quantizer_loss: quantizer_value, levels, gradients })
    }

    /// As [`Model::backpropagate`], by a loss of the caller's.
    fn backpropagate_with(&self, pixels: &Tensor, share: f64, loss: Loss) -> Result<Backpropagation> {
        let pixels = pixels.to_device(&self.compute().device)?.to_dtype(self.compute().dtype)?;
        let output = self.forward(&pixels)?;
        let total = loss(&output, &pixels)?;
        finite("loss", scalar(&total)?)?;
        let store = (total * share)?.backward()?;
        let vars = self.vars().into_iter();
        let gradients = vars.filter_map(|(name, var)| Some((name, store.get(var.as_tensor())?.clone()))).collect();
        Ok(Backpropagation {
            reconstruction: scalar(&(&output.reconstruction - &pixels)?.sqr()?.mean_all()?)?,
            quantizer_loss: scalar(&output.quantizer_loss)?,
            levels: output.levels,
            gradients,
        })
    }
}

/// What a training learns by, in place of the mean squared error: from the forward pass and the pictures [N, 3, H, W] in
/// normalized units, a scalar. The quantizers' loss is to be part of it.
pub type Loss<'a> = &'a mut dyn FnMut(&ForwardOutput, &Tensor) -> Result<Tensor>;

/// One training step on a batch [B, 3, H, W] in normalized units: forward, backward, clipping, AdamW, codebook update.
/// The batch is cut into `accumulate` parts whose gradients add up to that of the whole batch.
///
/// # Errors
/// `accumulate` is 0; a loss or the gradient's norm is not finite ([`Error::NotFinite`]); nothing has moved then.
pub fn train_step(
    model: &mut Model,
    optimizer: &mut Optimizer,
    pixels: &Tensor,
    accumulate: usize,
) -> Result<StepOutcome> {
    let compute = model.compute().clone();
    compute.run(|| {
        step(model, optimizer, pixels, accumulate, &mut |model, part, share| model.backpropagate(part, None, share))
    })
}

/// The same by a loss of the caller's, whose gradients candle's graph finds.
///
/// # Errors
/// As [`train_step`]; whatever `loss` returns.
pub fn train_step_with(
    model: &mut Model,
    optimizer: &mut Optimizer,
    pixels: &Tensor,
    accumulate: usize,
    loss: Loss,
) -> Result<StepOutcome> {
    step(model, optimizer, pixels, accumulate, &mut |model, part, share| model.backpropagate_with(part, share, loss))
}

/// How a part of a batch is led back, of which share of the batch it is.
type LeadBack<'a> = &'a mut dyn FnMut(&Model, &Tensor, f64) -> Result<Backpropagation>;

fn step(
    model: &mut Model,
    optimizer: &mut Optimizer,
    pixels: &Tensor,
    accumulate: usize,
    lead_back: LeadBack,
) -> Result<StepOutcome> {
    if !model.is_trainable() {
        return Err(Error::NotTrainable);
    }
    let count = pixels.dim(0)?;
    if accumulate == 0 || accumulate > count {
        return Err(Error::Invalid(format!(
            "a batch of {count} pictures can be cut into 1 to {count} parts, not into {accumulate}"
        )));
    }
    let mut gradients: BTreeMap<String, Tensor> = BTreeMap::new();
    let (mut reconstruction, mut quantizer_loss) = (0.0, 0.0);
    let mut perplexity = vec![0.0; model.config().architecture.levels().len()];
    for part in &pixels.chunk(accumulate, 0)? {
        // Parts need not be of one size.
        let share = part.dim(0)? as f64 / count as f64;
        let found = lead_back(model, part, share)?;
        reconstruction += share * found.reconstruction;
        quantizer_loss += share * found.quantizer_loss;
        for (sum, level) in perplexity.iter_mut().zip(&found.levels) {
            *sum += share * scalar(&level.perplexity)?;
        }
        for (name, gradient) in found.gradients {
            let sum = match gradients.remove(&name) {
                Some(before) => (before + gradient)?,
                None => gradient,
            };
            gradients.insert(name, sum);
        }
        model.observe(&found.levels)?;
    }
    let grad_norm = finite("gradient's norm", optimizer.norm(&gradients)?)?;
    optimizer.step(&gradients, optimizer.clip_coefficient(grad_norm))?;
    model.update_quantizers()?;
    Ok(StepOutcome { reconstruction, quantizer_loss, perplexity, grad_norm })
}

fn scalar(tensor: &Tensor) -> Result<f64> {
    Ok(f64::from(tensor.to_dtype(DType::F32)?.to_scalar::<f32>()?))
}

/// The step and what to go back to are the trainer's to fill in.
fn finite(what: &'static str, value: f64) -> Result<f64> {
    if value.is_finite() { Ok(value) } else { Err(Error::NotFinite { step: 0, what, value, last_good: String::new() }) }
}
