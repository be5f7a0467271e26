//! The tensors that a quantizer keeps: found by name, written in place.

use candle_core::{DType, Tensor, Var};
use candle_nn::{Init, VarBuilder};

use crate::config::{Initialization, QuantizerConfig};
use crate::error::{QuantizerError, Result};

/// The most training steps that a quantizer counts: f32, in which checkpoints hold the counter, counts no further.
pub const MAX_STEPS: u64 = 1 << 24;

/// A tensor of a quantizer's state. Where a `VarMap` gave it, it is the variable there, so that `save` and `load` of the
/// map mean the quantizer. Nothing is computed from the variable itself but from a tensor that shares its memory, so
/// that no gradient leads to it.
pub(crate) struct Buffer {
    variable: Var,
    tensor: Tensor,
}

impl Buffer {
    /// Takes `name` from `vb` in f32; where there is none yet and `vb` makes variables, `init` says what it is.
    pub(crate) fn new(vb: &VarBuilder, name: &'static str, shape: &[usize], init: Init) -> Result<Self> {
        let found = vb.get_with_hints_dtype(shape, name, init, DType::F32)?;
        if found.dims() != shape || found.dtype() != DType::F32 {
            return Err(QuantizerError::State {
                name,
                expected: format!("F32 of shape {shape:?}"),
                found: format!("{:?} of shape {:?}", found.dtype(), found.dims()),
            });
        }
        // Takes a variable as it is, and copies anything else.
        let variable = Var::from_tensor(&found)?;
        Ok(Self { tensor: variable.as_detached_tensor(), variable })
    }

    /// A tensor that no checkpoint holds.
    pub(crate) fn of_its_own(tensor: &Tensor) -> Result<Self> {
        let variable = Var::from_tensor(&tensor.copy()?)?;
        Ok(Self { tensor: variable.as_detached_tensor(), variable })
    }

    /// The value, without gradient.
    pub(crate) fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The variable, for what an optimizer trains.
    pub(crate) fn variable(&self) -> &Var {
        &self.variable
    }

    /// Writes another value of the same shape in place.
    pub(crate) fn set(&self, value: &Tensor) -> Result<()> {
        Ok(self.variable.set(value)?)
    }
}

/// Counts training steps (t).
pub(crate) struct StepCounter(Buffer);

impl StepCounter {
    /// Takes the scalar `counter` from `vb`; a new one is 0.
    pub(crate) fn new(vb: &VarBuilder) -> Result<Self> {
        let counter = Self(Buffer::new(vb, "counter", &[], Init::Const(0.0))?);
        counter.get()?;
        Ok(counter)
    }

    /// Steps done.
    pub(crate) fn get(&self) -> Result<u64> {
        Self::number(self.0.tensor().to_scalar()?)
    }

    /// What a counter says, which anybody may have written.
    fn number(value: f32) -> Result<u64> {
        if value.fract() != 0.0 || !(0.0..=MAX_STEPS as f32).contains(&value) {
            return Err(QuantizerError::State {
                name: "counter",
                expected: format!("a whole number from 0 to {MAX_STEPS}"),
                found: value.to_string(),
            });
        }
        Ok(value as u64)
    }

    /// Steps done, as the counter's `value` has them, unless a step more cannot be counted.
    pub(crate) fn before_next(value: f32) -> Result<u64> {
        let steps = Self::number(value)?;
        if steps < MAX_STEPS {
            return Ok(steps);
        }
        Err(QuantizerError::Input {
            operation: "step",
            expected: format!("at most {MAX_STEPS} training steps"),
            found: "one more".into(),
        })
    }

    /// Counts one step, after [`StepCounter::before_next`].
    pub(crate) fn advance(&self) -> Result<()> {
        self.0.set(&self.0.tensor().affine(1.0, 1.0)?)
    }

    /// Counts one step, where the counter's `value` lets it.
    pub(crate) fn count(&self, value: f32) -> Result<()> {
        Self::before_next(value)?;
        self.advance()
    }

    /// As a scalar, for checkpoints.
    pub(crate) fn tensor(&self) -> &Tensor {
        self.0.tensor()
    }
}

/// Whether a codebook has been made of the first batch.
pub(crate) struct Flag(Buffer);

impl Flag {
    /// Takes the scalar `initialized` from `vb` where the codebook begins with k-means; a new one is 0.
    pub(crate) fn of(config: &QuantizerConfig, vb: &VarBuilder) -> Result<Option<Self>> {
        if config.init != Initialization::KMeans {
            return Ok(None);
        }
        let flag = Self(Buffer::new(vb, "initialized", &[], Init::Const(0.0))?);
        flag.get()?;
        Ok(Some(flag))
    }

    pub(crate) fn get(&self) -> Result<bool> {
        match self.0.tensor().to_scalar::<f32>()? {
            0.0 => Ok(false),
            1.0 => Ok(true),
            value => {
                Err(QuantizerError::State { name: "initialized", expected: "0 or 1".into(), found: value.to_string() })
            }
        }
    }

    pub(crate) fn set(&self) -> Result<()> {
        self.0.set(&self.0.tensor().ones_like()?)
    }

    /// Name and value, for checkpoints.
    pub(crate) fn named(&self) -> (&'static str, Tensor) {
        ("initialized", self.0.tensor().clone())
    }
}
