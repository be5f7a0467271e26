//! AdamW over one buffer that holds all variables, by candle's own operations: as many of them for a hundred variables as
//! for one, but for the copies in and out.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};

use crate::error::Result;
use crate::training::optimizer::at::At;

/// Elements whose sum is taken at a time, so that sums over large buffers stay exact enough in f32.
const RUN: usize = 1024;

/// The moments of all variables, one after another in the order of their names.
pub(crate) struct Flat {
    m: Tensor,
    v: Tensor,
}

impl Flat {
    pub(crate) fn new(vars: &BTreeMap<String, Var>) -> Result<Self> {
        let len: usize = vars.values().map(|var| var.elem_count()).sum();
        let device = vars.values().next().map_or(Device::Cpu, |var| var.device().clone());
        let zeros = Tensor::zeros(len, DType::F32, &device)?;
        Ok(Self { m: zeros.clone(), v: zeros })
    }

    /// A step for the variables `names`, whose gradients lie one after another in `gradient`.
    pub(crate) fn step(
        &mut self,
        vars: &BTreeMap<String, Var>,
        names: &[String],
        gradient: &Tensor,
        At { hyperparameters, step, scale }: At,
    ) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let (beta1, beta2) = (hyperparameters.beta1, hyperparameters.beta2);
        let (lr, decay) = (hyperparameters.lr, hyperparameters.weight_decay);
        let all = names.len() == vars.len();
        let pick = |moments: &Tensor| match all {
            true => Ok(moments.clone()),
            false => join(&names.iter().map(|name| part(vars, moments, name)).collect::<Result<Vec<_>>>()?),
        };
        let gradient = gradient.affine(scale, 0.0)?;
        let m = (pick(&self.m)?.affine(beta1, 0.0)? + gradient.affine(1.0 - beta1, 0.0)?)?;
        let v = (pick(&self.v)?.affine(beta2, 0.0)? + gradient.sqr()?.affine(1.0 - beta2, 0.0)?)?;
        let correction1 = 1.0 - beta1.powf(step as f64);
        let correction2 = 1.0 - beta2.powf(step as f64);
        let denominator = v.sqrt()?.affine(1.0 / correction2.sqrt(), hyperparameters.eps)?;
        let update = (&m / denominator)?.affine(lr / correction1, 0.0)?;
        let before = join(names.iter().map(|name| vars[name].as_tensor()))?;
        let after = (before.affine(1.0 - lr * decay, 0.0)? - update)?;

        let mut start = 0;
        let mut moved = BTreeMap::new();
        for name in names {
            let var = &vars[name];
            let len = var.elem_count();
            var.set(&after.narrow(0, start, len)?.reshape(var.shape())?)?;
            moved.insert(name, (start, len));
            start += len;
        }
        // Moments of variables without a gradient stay.
        let put = |moments: &Tensor, new: Tensor| match all {
            true => Ok(new),
            false => {
                let of = |name: &String| match moved.get(name) {
                    Some(&(start, len)) => Ok(new.narrow(0, start, len)?),
                    None => part(vars, moments, name),
                };
                join(&vars.keys().map(of).collect::<Result<Vec<_>>>()?)
            }
        };
        (self.m, self.v) = (put(&self.m, m)?, put(&self.v, v)?);
        Ok(())
    }

    pub(crate) fn state(&self, vars: &BTreeMap<String, Var>) -> BTreeMap<String, Tensor> {
        let mut state = BTreeMap::new();
        let mut start = 0;
        for (name, var) in vars {
            let len = var.elem_count();
            for (prefix, moments) in [("m", &self.m), ("v", &self.v)] {
                // A view of what is there: this cannot fail.
                let of_var = moments.narrow(0, start, len).and_then(|part| part.reshape(var.shape()));
                state.insert(format!("{prefix}.{name}"), of_var.expect("the buffer holds every variable"));
            }
            start += len;
        }
        state
    }

    pub(crate) fn restore(&mut self, vars: &BTreeMap<String, Var>, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let all = |prefix: &str| join(vars.keys().map(|name| &state[&format!("{prefix}.{name}")]));
        (self.m, self.v) = (all("m")?, all("v")?);
        Ok(())
    }
}

/// The variable `name`'s part of a buffer.
fn part(vars: &BTreeMap<String, Var>, buffer: &Tensor, name: &String) -> Result<Tensor> {
    let start = vars.range::<String, _>(..name).map(|(_, var)| var.elem_count()).sum();
    Ok(buffer.narrow(0, start, vars[name].elem_count())?)
}

/// Tensors one after another.
pub(crate) fn join<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<Tensor> {
    let flat: Vec<Tensor> =
        tensors.into_iter().map(|tensor| tensor.detach().flatten_all()).collect::<candle_core::Result<_>>()?;
    Ok(match &flat[..] {
        [] => Tensor::zeros(0, DType::F32, &Device::Cpu)?,
        // A copy: variables are written in place.
        [one] => one.copy()?,
        several => Tensor::cat(several, 0)?,
    })
}

/// The sum of squares, a scalar.
pub(crate) fn squared_norm(gradient: &Tensor) -> Result<Tensor> {
    let padding = gradient.elem_count().next_multiple_of(RUN) - gradient.elem_count();
    Ok(gradient.sqr()?.pad_with_zeros(0, 0, padding)?.reshape(((), RUN))?.sum(1)?.sum_all()?)
}
