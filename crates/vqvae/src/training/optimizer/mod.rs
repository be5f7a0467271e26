//! AdamW with a state that can be saved, and gradient clipping.

mod at;
mod each;
mod flat;

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use ksom_kernels::{AdamW, Backend};

use crate::error::{Error, Result};
use crate::model::network::operations::Scalar;
use crate::training::optimizer::at::At;
use crate::training::optimizer::each::Each;
use crate::training::optimizer::flat::Flat;

/// AdamW (Loshchilov and Hutter, arXiv 1711.05101) with the semantics of PyTorch's, over named variables.
pub struct Optimizer {
    hyperparameters: AdamW,
    clip_norm: f64,
    vars: BTreeMap<String, Var>,
    moments: Moments,
    step: u64,
}

/// The moments as each path moves them: variable by variable, or all in one buffer.
enum Moments {
    Each(Each),
    Flat(Flat),
}

/// Gradients on their way to the variables.
pub(crate) enum Collected {
    Each(BTreeMap<String, Tensor>),
    /// Of the variables named, one after another.
    Flat(Vec<String>, Tensor),
}

impl Optimizer {
    /// An optimizer of `vars` with moments of zero; gradients are clipped to the norm `clip_norm`.
    ///
    /// # Errors
    /// The moments cannot be allocated.
    pub fn new(vars: BTreeMap<String, Var>, hyperparameters: AdamW, clip_norm: f64, backend: Backend) -> Result<Self> {
        let moments = match backend {
            Backend::Fast => Moments::Each(Each::new(&vars)?),
            Backend::Portable => Moments::Flat(Flat::new(&vars)?),
        };
        Ok(Self { hyperparameters, clip_norm, vars, moments, step: 0 })
    }

    /// Steps taken so far.
    pub fn step_count(&self) -> u64 {
        self.step
    }

    /// The learning rate of the next step.
    pub fn learning_rate(&self) -> f64 {
        self.hyperparameters.lr
    }

    /// Sets the learning rate from the next step on: for a schedule.
    pub fn set_learning_rate(&mut self, lr: f64) {
        self.hyperparameters.lr = lr;
    }

    /// The gradients of the variables by name; a variable that the loss does not depend on has none.
    pub fn gradients(&self, store: &GradStore) -> BTreeMap<String, Tensor> {
        self.vars.iter().filter_map(|(name, var)| Some((name.clone(), store.get(var.as_tensor())?.clone()))).collect()
    }

    /// The Euclidean norm over all gradients.
    ///
    /// # Errors
    /// As [`Optimizer::step`].
    pub fn norm(&self, gradients: &BTreeMap<String, Tensor>) -> Result<f64> {
        let squared = self.squared_norm(&self.collect(gradients.clone())?)?;
        Ok(Scalar::read(&[squared])?[0].sqrt())
    }

    /// What gradients of norm `norm` are multiplied by, as PyTorch's `clip_grad_norm_`.
    pub fn clip_coefficient(&self, norm: f64) -> f64 {
        (self.clip_norm / (norm + 1e-6)).min(1.0)
    }

    /// One step with gradients multiplied by `scale`.
    ///
    /// # Errors
    /// A gradient's shape is not its variable's, or there is no variable of its name: nothing has moved then.
    pub fn step(&mut self, gradients: &BTreeMap<String, Tensor>, scale: f64) -> Result<()> {
        let collected = self.collect(gradients.clone())?;
        self.apply(&collected, scale)
    }

    /// The gradients, checked, in the form that this optimizer takes them in.
    pub(crate) fn collect(&self, gradients: BTreeMap<String, Tensor>) -> Result<Collected> {
        for (name, gradient) in &gradients {
            match self.vars.get(name) {
                Some(var) if var.shape() == gradient.shape() => {}
                Some(var) => {
                    let (expected, found) = (var.dims(), gradient.dims());
                    let message = format!("the gradient of {name} should have shape {expected:?}, found {found:?}");
                    return Err(Error::Invalid(message));
                }
                None => return Err(Error::Invalid(format!("there is no variable {name} for this gradient"))),
            }
        }
        Ok(match &self.moments {
            Moments::Each(_) => Collected::Each(gradients),
            Moments::Flat(_) => {
                let joined = flat::join(gradients.values())?;
                Collected::Flat(gradients.into_keys().collect(), joined)
            }
        })
    }

    /// The square of the norm over all gradients.
    pub(crate) fn squared_norm(&self, gradients: &Collected) -> Result<Scalar> {
        Ok(match gradients {
            Collected::Each(gradients) => Scalar::Known(each::squared_norm(gradients)?),
            Collected::Flat(_, joined) => Scalar::OnDevice(flat::squared_norm(joined)?),
        })
    }

    /// One step with gradients multiplied by `scale`.
    pub(crate) fn apply(&mut self, gradients: &Collected, scale: f64) -> Result<()> {
        self.step += 1;
        let at = At { hyperparameters: self.hyperparameters, step: self.step, scale };
        match (&mut self.moments, gradients) {
            (Moments::Each(each), Collected::Each(gradients)) => each.step(&self.vars, gradients, at),
            (Moments::Flat(flat), Collected::Flat(names, joined)) => flat.step(&self.vars, names, joined, at),
            _ => unreachable!("gradients are collected by the optimizer that they are for"),
        }
    }

    /// The moments by name: `m.<variable>` and `v.<variable>`.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        match &self.moments {
            Moments::Each(each) => each.state(),
            Moments::Flat(flat) => flat.state(&self.vars),
        }
    }

    /// Continues from a state that [`Optimizer::state`] gave.
    ///
    /// # Errors
    /// A moment is missing or has another shape.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>, step: u64) -> Result<()> {
        let mut restored = BTreeMap::new();
        for (name, var) in &self.vars {
            for prefix in ["m", "v"] {
                let key = format!("{prefix}.{name}");
                let saved =
                    state.get(&key).ok_or_else(|| Error::Invalid(format!("the optimizer's state lacks {key}")))?;
                if saved.shape() != var.shape() {
                    let (expected, found) = (var.dims(), saved.dims());
                    return Err(Error::Invalid(format!("{key} should have shape {expected:?}, found {found:?}")));
                }
                restored.insert(key, saved.to_device(var.device())?);
            }
        }
        match &mut self.moments {
            Moments::Each(each) => each.restore(&restored)?,
            Moments::Flat(flat) => flat.restore(&self.vars, &restored)?,
        }
        self.step = step;
        Ok(())
    }
}

/// The step and what to go back to are the trainer's to fill in.
pub(crate) fn finite(what: &'static str, value: f64) -> Result<f64> {
    if value.is_finite() { Ok(value) } else { Err(Error::NotFinite { step: 0, what, value, last_good: String::new() }) }
}
