//! Strict reading of a quantizer's state.

use candle_core::{DType, Device, Tensor};

use crate::error::{QuantizerError, Result};

/// The largest step counter: f32, in which the paper's checkpoints hold it, counts no further.
const MAX_STEPS: u64 = 1 << 24;

/// Asks `state` for a tensor, checks that it is f32 of the given shape, and moves it to `device` if it lies elsewhere.
pub(crate) fn named_tensor(
    state: &mut dyn FnMut(&str, &[usize]) -> Result<Tensor>,
    name: &'static str,
    shape: &[usize],
    device: &Device,
) -> Result<Tensor> {
    let tensor = state(name, shape)?;
    if tensor.dims() != shape || tensor.dtype() != DType::F32 {
        return Err(QuantizerError::State {
            name,
            expected: format!("F32 of shape {shape:?}"),
            found: format!("{:?} of shape {:?}", tensor.dtype(), tensor.dims()),
        });
    }
    if tensor.device().same_device(device) { Ok(tensor) } else { Ok(tensor.to_device(device)?) }
}

/// Counts training steps (t).
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepCounter(u64);

impl StepCounter {
    /// From the scalar `counter` of a checkpoint.
    pub(crate) fn from_tensor(tensor: &Tensor) -> Result<Self> {
        let value = tensor.to_scalar::<f32>()?;
        if value.fract() != 0.0 || !(0.0..=MAX_STEPS as f32).contains(&value) {
            return Err(QuantizerError::State {
                name: "counter",
                expected: format!("a whole number from 0 to {MAX_STEPS}"),
                found: value.to_string(),
            });
        }
        Ok(Self(value as u64))
    }

    pub(crate) fn to_tensor(self, device: &Device) -> Result<Tensor> {
        Ok(Tensor::new(self.0 as f32, device)?)
    }

    pub(crate) fn get(self) -> u64 {
        self.0
    }

    /// One step more.
    pub(crate) fn next(self) -> Result<Self> {
        if self.0 < MAX_STEPS {
            return Ok(Self(self.0 + 1));
        }
        Err(QuantizerError::Input {
            operation: "step",
            expected: format!("at most {MAX_STEPS} training steps"),
            found: "one more".into(),
        })
    }
}
