//! One training step: forward, backward, clipping, AdamW, codebook update.

use std::collections::BTreeMap;

use candle_core::Tensor;
use ksom_quantizers::Observation;

use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::network::operations::Scalar;
use crate::training::backward::{LedBack, Loss};
use crate::training::optimizer::{Optimizer, finite};

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

/// One training step on a batch [B, 3, H, W] in normalized units: forward, backward, clipping, AdamW, codebook update.
/// The batch is cut into `accumulate` parts whose gradients add up to that of the whole batch.
///
/// # Errors
/// `accumulate` is 0 or more than there are pictures; a loss or the gradient's norm is not finite
/// ([`Error::NotFinite`]); nothing has moved then.
pub fn train_step(
    model: &mut Model,
    optimizer: &mut Optimizer,
    pixels: &Tensor,
    accumulate: usize,
) -> Result<StepOutcome> {
    let compute = model.compute().clone();
    compute
        .run(|| {
            step(model, optimizer, pixels, accumulate, &mut |model, part, share| model.lead_back(part, None, share))
        })
        .map_err(|error| with_batch(error, pixels, accumulate))
}

/// The same by a loss of the caller's.
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
    let compute = model.compute().clone();
    compute
        .run_here(|| {
            step(model, optimizer, pixels, accumulate, &mut |model, part, share| {
                model.lead_back_with(part, share, loss)
            })
        })
        .map_err(|error| with_batch(error, pixels, accumulate))
}

/// Says of a device that ran out of memory how large the parts of the batch were, and which would take half as much.
fn with_batch(error: Error, pixels: &Tensor, accumulate: usize) -> Error {
    error.while_computing(|| {
        let [batch, _, height, width] = pixels.dims()[..] else { return ("a training step".into(), None) };
        let at_once = batch.div_ceil(accumulate.max(1));
        let what = format!(
            "training on {at_once} pictures of {width}×{height} at once (a batch of {batch}, accumulate = {accumulate})"
        );
        (what, (accumulate < batch).then(|| (2 * accumulate).min(batch)))
    })
}

/// How a part of a batch is led back, of which share of the batch it is.
type LeadBack<'a> = &'a mut dyn FnMut(&Model, &Tensor, f64) -> Result<LedBack>;

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
    let mut observations: Option<Vec<Observation>> = None;
    let mut parts = Vec::with_capacity(accumulate);
    // Sent to the device once.
    for part in &pixels.to_device(&model.compute().device)?.chunk(accumulate, 0)? {
        // Parts need not be of one size.
        let share = part.dim(0)? as f64 / count as f64;
        let found = lead_back(model, part, share)?;
        for (name, gradient) in found.gradients {
            let sum = match gradients.remove(&name) {
                Some(before) => (before + gradient)?,
                None => gradient,
            };
            gradients.insert(name, sum);
        }
        let seen = model.observe(&found.levels)?;
        observations = Some(match observations {
            Some(before) => before.into_iter().zip(seen).map(|(a, b)| a.and(b)).collect::<Result<_, _>>()?,
            None => seen,
        });
        let mut numbers = vec![found.reconstruction, found.quantizer_loss];
        numbers.extend(found.levels.into_iter().map(|level| Scalar::OnDevice(level.perplexity)));
        numbers.extend(found.own);
        parts.push((share, numbers));
    }
    let gradients = optimizer.collect(gradients)?;
    // All numbers of the step, read at once.
    let mut scalars: Vec<Scalar> = parts.iter().flat_map(|(_, numbers)| numbers.iter().cloned()).collect();
    scalars.push(optimizer.squared_norm(&gradients)?);
    scalars.extend(model.step_counters());
    let mut read = Scalar::read(&scalars)?.into_iter();

    let levels = model.config().architecture.levels().len();
    let (mut reconstruction, mut quantizer_loss, mut perplexity) = (0.0, 0.0, vec![0.0; levels]);
    for (share, numbers) in parts {
        let numbers: Vec<f64> = read.by_ref().take(numbers.len()).collect();
        reconstruction += share * finite("reconstruction loss", numbers[0])?;
        quantizer_loss += share * finite("quantizer loss", numbers[1])?;
        for (sum, value) in perplexity.iter_mut().zip(&numbers[2..]) {
            *sum += share * value;
        }
        if let Some(own) = numbers.get(2 + levels) {
            finite("loss", *own)?;
        }
    }
    let grad_norm = finite("gradient's norm", read.next().unwrap_or(f64::NAN).sqrt())?;
    optimizer.apply(&gradients, optimizer.clip_coefficient(grad_norm))?;
    model.update_quantizers_from(&read.collect::<Vec<_>>(), observations.unwrap_or_default())?;
    Ok(StepOutcome { reconstruction, quantizer_loss, perplexity, grad_norm })
}
