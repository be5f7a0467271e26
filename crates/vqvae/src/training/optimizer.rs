//! AdamW with a state that can be saved, and gradient clipping.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, Var};
use ksom_kernels::{AdamW, Backend};

use crate::error::{Error, Result};

struct Moments {
    m: Var,
    v: Var,
}

/// AdamW (Loshchilov and Hutter, arXiv 1711.05101) with the semantics of PyTorch's, over named variables.
pub struct Optimizer {
    hyperparameters: AdamW,
    clip_norm: f64,
    backend: Backend,
    vars: BTreeMap<String, Var>,
    moments: BTreeMap<String, Moments>,
    step: u64,
}

impl Optimizer {
    /// An optimizer of `vars` with moments of zero; gradients are clipped to the norm `clip_norm`.
    ///
    /// # Errors
    /// The moments cannot be allocated.
    pub fn new(vars: BTreeMap<String, Var>, hyperparameters: AdamW, clip_norm: f64, backend: Backend) -> Result<Self> {
        let moments = vars
            .iter()
            .map(|(name, var)| {
                let zeros = || Var::zeros(var.shape(), DType::F32, var.device());
                Ok((name.clone(), Moments { m: zeros()?, v: zeros()? }))
            })
            .collect::<Result<_>>()?;
        Ok(Self { hyperparameters, clip_norm, backend, vars, moments, step: 0 })
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

    /// The Euclidean norm over all gradients, in f64 on the CPU.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn norm(&self, gradients: &BTreeMap<String, Tensor>) -> Result<f64> {
        let mut sum = 0.0;
        for gradient in gradients.values() {
            sum += match self.backend {
                Backend::Fast => ksom_kernels::squared_norm(gradient)?,
                Backend::Portable => f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?),
            };
        }
        Ok(sum.sqrt())
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
        for (name, gradient) in gradients {
            match self.vars.get(name) {
                Some(var) if var.shape() == gradient.shape() => {}
                Some(var) => {
                    let (expected, found) = (var.dims(), gradient.dims());
                    return Err(Error::Invalid(format!(
                        "the gradient of {name} should be {expected:?}, found {found:?}"
                    )));
                }
                None => return Err(Error::Invalid(format!("there is no variable {name} for this gradient"))),
            }
        }
        self.step += 1;
        for (name, gradient) in gradients {
            let (var, Moments { m, v }) = (&self.vars[name], &self.moments[name]);
            match self.backend {
                Backend::Fast => ksom_kernels::adamw_step(
                    var.as_tensor(),
                    gradient,
                    m.as_tensor(),
                    v.as_tensor(),
                    &self.hyperparameters,
                    self.step,
                    scale,
                )?,
                Backend::Portable => portable_step(var, gradient, m, v, &self.hyperparameters, self.step, scale)?,
            }
        }
        Ok(())
    }

    /// The moments by name: `m.<variable>` and `v.<variable>`.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let mut state = BTreeMap::new();
        for (name, Moments { m, v }) in &self.moments {
            state.insert(format!("m.{name}"), m.as_detached_tensor());
            state.insert(format!("v.{name}"), v.as_detached_tensor());
        }
        state
    }

    /// Continues from a state that [`Optimizer::state`] gave.
    ///
    /// # Errors
    /// A moment is missing or has another shape.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>, step: u64) -> Result<()> {
        for (name, Moments { m, v }) in &self.moments {
            for (prefix, var) in [("m", m), ("v", v)] {
                let key = format!("{prefix}.{name}");
                let saved = state
                    .get(&key)
                    .ok_or_else(|| Error::Invalid(format!("the optimizer's state lacks {key}")))?
                    .to_device(var.device())?;
                var.set(&saved)?;
            }
        }
        self.step = step;
        Ok(())
    }
}

fn portable_step(
    var: &Var,
    gradient: &Tensor,
    m: &Var,
    v: &Var,
    hyperparameters: &AdamW,
    step: u64,
    scale: f64,
) -> Result<()> {
    let AdamW { lr, beta1, beta2, eps, weight_decay } = *hyperparameters;
    let gradient = (gradient * scale)?;
    m.set(&((m.as_tensor() * beta1)? + (&gradient * (1.0 - beta1))?)?)?;
    v.set(&((v.as_tensor() * beta2)? + (gradient.sqr()? * (1.0 - beta2))?)?)?;
    let correction1 = 1.0 - beta1.powf(step as f64);
    let correction2 = 1.0 - beta2.powf(step as f64);
    let denominator = ((v.as_tensor().sqrt()? / correction2.sqrt())? + eps)?;
    let update = ((m.as_tensor() / denominator)? * (lr / correction1))?;
    var.set(&((var.as_tensor() * (1.0 - lr * weight_decay))? - update)?)?;
    Ok(())
}
