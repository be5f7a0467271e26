//! AdamW variable by variable, each in one pass of the CPU's kernel.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor, Var};

use crate::error::Result;
use crate::training::optimizer::at::At;

struct Moments {
    m: Var,
    v: Var,
}

/// The moments of each variable.
pub(crate) struct Each(BTreeMap<String, Moments>);

impl Each {
    pub(crate) fn new(vars: &BTreeMap<String, Var>) -> Result<Self> {
        let moments = |(name, var): (&String, &Var)| {
            let zeros = || Var::zeros(var.shape(), DType::F32, var.device());
            Ok((name.clone(), Moments { m: zeros()?, v: zeros()? }))
        };
        Ok(Self(vars.iter().map(moments).collect::<Result<_>>()?))
    }

    pub(crate) fn step(
        &mut self,
        vars: &BTreeMap<String, Var>,
        gradients: &BTreeMap<String, Tensor>,
        At { hyperparameters, step, scale }: At,
    ) -> Result<()> {
        for (name, gradient) in gradients {
            let (var, Moments { m, v }) = (&vars[name], &self.0[name]);
            let (m, v) = (m.as_tensor(), v.as_tensor());
            ksom_kernels::adamw_step(var.as_tensor(), gradient, m, v, &hyperparameters, step, scale)?;
        }
        Ok(())
    }

    pub(crate) fn state(&self) -> BTreeMap<String, Tensor> {
        let of = |(name, Moments { m, v }): (&String, &Moments)| {
            [(format!("m.{name}"), m.as_detached_tensor()), (format!("v.{name}"), v.as_detached_tensor())]
        };
        self.0.iter().flat_map(of).collect()
    }

    pub(crate) fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        for (name, Moments { m, v }) in &self.0 {
            m.set(&state[&format!("m.{name}")])?;
            v.set(&state[&format!("v.{name}")])?;
        }
        Ok(())
    }
}

/// In f64.
pub(crate) fn squared_norm(gradients: &BTreeMap<String, Tensor>) -> Result<f64> {
    gradients.values().try_fold(0.0, |sum, gradient| Ok(sum + ksom_kernels::squared_norm(gradient)?))
}
