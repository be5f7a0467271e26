//! One training step: forward, backward, clipping, AdamW, codebook update.

use std::collections::BTreeMap;

use candle_core::Tensor;
use ksom_quantizers::measures::{code_counts, perplexity};
use ksom_quantizers::{Observation, Quantizer};

use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::network::LevelOutput;
use crate::model::network::operations::Scalar;
use crate::training::backward::{LedBack, Loss};
use crate::training::optimizer::{Optimizer, finite};
use crate::training::together::Sums;

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

/// The batch that a process's pictures are part of.
#[derive(Clone, Copy)]
pub(crate) struct Whole {
    /// Pictures of the batch.
    pub(crate) batch: usize,
    /// Whether this process asks to stop.
    pub(crate) asks: bool,
}

impl Whole {
    /// Of pictures that are a batch, or this process's part of one.
    fn of(model: &Model, pixels: &Tensor) -> Result<Self> {
        let parts = model.compute().team.gather(&pixels.dim(0)?)?;
        Ok(Self { batch: parts.into_iter().sum(), asks: false })
    }
}

/// One training step on a batch [B, 3, H, W] in normalized units: forward, backward, clipping, AdamW, codebook update.
/// The batch is cut into `accumulate` parts whose gradients add up to that of the whole batch. Codebooks that are to be made
/// of the first batch are made before.
///
/// In a [`Team`](crate::Team) of several processes these are the pictures of this process's part of the batch, and the
/// step is that of the whole batch on all of them; `accumulate` counts the parts of the whole batch.
///
/// # Errors
/// `accumulate` is 0 or more than there are pictures; a loss or the gradient's norm is not finite
/// ([`Error::NotFinite`]); another process has gone; nothing has moved then but codebooks that were made of this batch.
pub fn train_step(
    model: &mut Model,
    optimizer: &mut Optimizer,
    pixels: &Tensor,
    accumulate: usize,
) -> Result<StepOutcome> {
    let whole = Whole::of(model, pixels)?;
    Ok(train_step_within(model, optimizer, pixels, accumulate, whole)?.0)
}

/// As [`train_step`], on a part of a batch that is known; tells how many processes ask to stop.
pub(crate) fn train_step_within(
    model: &mut Model,
    optimizer: &mut Optimizer,
    pixels: &Tensor,
    accumulate: usize,
    whole: Whole,
) -> Result<(StepOutcome, usize)> {
    let compute = model.compute().clone();
    compute
        .run(|| {
            let lead_back: LeadBack = &mut |model, part, share| model.lead_back(part, None, share);
            step(model, optimizer, pixels, accumulate, whole, lead_back)
        })
        .map_err(|error| with_batch(error, pixels, accumulate, compute.team.size()))
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
    let whole = Whole::of(model, pixels)?;
    compute
        .run_here(|| {
            let lead_back: LeadBack = &mut |model, part, share| model.lead_back_with(part, share, loss);
            step(model, optimizer, pixels, accumulate, whole, lead_back)
        })
        .map(|(outcome, _)| outcome)
        .map_err(|error| with_batch(error, pixels, accumulate, compute.team.size()))
}

/// Says of a device that ran out of memory how large the parts of the batch were, and which would take half as much.
fn with_batch(error: Error, pixels: &Tensor, accumulate: usize, processes: usize) -> Error {
    error.while_computing(|| {
        let [batch, _, height, width] = pixels.dims()[..] else { return ("a training step".into(), None) };
        let at_once = batch.div_ceil(accumulate.max(1).div_ceil(processes));
        let what = format!(
            "training on {at_once} pictures of {width}×{height} at once (a batch of {batch}, accumulate = {accumulate})"
        );
        let batch = batch * processes;
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
    whole: Whole,
    lead_back: LeadBack,
) -> Result<(StepOutcome, usize)> {
    if !model.is_trainable() {
        return Err(Error::NotTrainable);
    }
    let team = model.compute().team.clone();
    let (count, _, height, width) = pixels.dims4()?;
    if accumulate == 0 || accumulate > whole.batch || count == 0 {
        return Err(Error::Invalid(format!(
            "a batch of {} pictures can be cut into 1 to {} parts, not into {accumulate}",
            whole.batch, whole.batch
        )));
    }
    // As many pictures at once as one process alone would take.
    let cut_into = accumulate.div_ceil(team.size()).min(count);
    // The perplexity of a batch is not the mean of those of its parts.
    let counted = cut_into > 1 || !team.is_alone();
    let mut gradients: BTreeMap<String, Tensor> = BTreeMap::new();
    let mut observations: Option<Vec<Observation>> = None;
    let mut counts: Vec<Tensor> = Vec::new();
    let mut perplexities: Vec<Scalar> = Vec::new();
    let mut codes_per_picture: Vec<usize> = Vec::new();
    let mut parts = Vec::with_capacity(cut_into);
    // Sent to the device once.
    let pixels = pixels.to_device(&model.compute().device)?;
    model.initialize_codebooks(&pixels, cut_into)?;
    for part in &pixels.chunk(cut_into, 0)? {
        // Parts need not be of one size.
        let share = part.dim(0)? as f64 / whole.batch as f64;
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
        if counted {
            let seen: Vec<Tensor> =
                found.levels.iter().zip(model.quantizers()).map(count_codes).collect::<Result<_>>()?;
            counts = match counts.is_empty() {
                true => seen,
                false => counts.iter().zip(&seen).map(|(a, b)| a + b).collect::<candle_core::Result<_>>()?,
            };
        }
        codes_per_picture = found.levels.iter().map(|level| level.codes.elem_count()).collect();
        codes_per_picture.iter_mut().for_each(|codes| *codes /= part.dims()[0]);
        perplexities = found.levels.into_iter().map(|level| Scalar::OnDevice(level.perplexity)).collect();
        let mut numbers = vec![found.reconstruction, found.quantizer_loss];
        numbers.extend(found.own);
        parts.push((share, numbers));
    }
    let mut observations = observations.unwrap_or_default();
    let mut scalars: Vec<Scalar> = parts.iter().flat_map(|(_, numbers)| numbers.iter().cloned()).collect();
    let mut asks = usize::from(whole.asks);
    if !team.is_alone() {
        let losses = weigh(&parts, &Scalar::read(&scalars)?);
        let own = Sums { gradients, observations, counts, losses, sides: [height, width], asks };
        let all = own.of_all(&team)?;
        (gradients, observations, counts, asks) = (all.gradients, all.observations, all.counts, all.asks);
        scalars = all.losses.iter().copied().map(Scalar::Known).collect();
        parts = vec![(1.0, scalars.clone())];
    }
    if counted {
        let of_level = |(counts, codes): (&Tensor, usize)| perplexity(counts, codes * whole.batch);
        perplexities = counts
            .iter()
            .zip(codes_per_picture)
            .map(of_level)
            .map(|p| Ok(Scalar::OnDevice(p?)))
            .collect::<Result<_>>()?;
    }
    let gradients = optimizer.collect(gradients)?;
    // All numbers of the step, read at once.
    let (numbers, levels) = (scalars.len(), perplexities.len());
    scalars.extend(perplexities);
    scalars.push(optimizer.squared_norm(&gradients)?);
    scalars.extend(model.step_counters());
    let read = Scalar::read(&scalars)?;
    let (losses, read) = read.split_at(numbers);
    let (perplexity, read) = read.split_at(levels);
    let (squared_norm, counters) = (read[0], &read[1..]);

    let losses = weigh(&parts, losses);
    let reconstruction = finite("reconstruction loss", losses[0])?;
    let quantizer_loss = finite("quantizer loss", losses[1])?;
    if let Some(own) = losses.get(2) {
        finite("loss", *own)?;
    }
    let grad_norm = finite("gradient's norm", squared_norm.sqrt())?;
    optimizer.apply(&gradients, optimizer.clip_coefficient(grad_norm))?;
    model.update_quantizers_from(counters, observations)?;
    Ok((StepOutcome { reconstruction, quantizer_loss, perplexity: perplexity.to_vec(), grad_norm }, asks))
}

/// The numbers of parts of a batch, each weighed by the part's share, from what was `read` of them one after another.
fn weigh(parts: &[(f64, Vec<Scalar>)], read: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; parts.first().map_or(0, |(_, numbers)| numbers.len())];
    for ((share, _), numbers) in parts.iter().zip(read.chunks(sums.len().max(1))) {
        sums.iter_mut().zip(numbers).for_each(|(sum, value)| *sum += share * value);
    }
    sums
}

fn count_codes((level, quantizer): (&LevelOutput, &dyn Quantizer)) -> Result<Tensor> {
    Ok(code_counts(&level.codes, quantizer.grid().len())?)
}
