//! The paper's quantizer by itself.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use ksom_quantizers::{Grid, Initialization, QuantizerConfig, QuantizerKind, build, build_seeded};
use ksom_vqvae::Error;
use ksom_vqvae::candle_core::{DType, Device, Tensor};
use ksom_vqvae::candle_nn::VarBuilder;
use pyo3::prelude::*;

use crate::arrays::{Given, Made, array, code_array, code_tensor, tensor};
use crate::compute::compute;
use crate::errors::{invalid, raised};

/// KSOM or EMA-VQ.
#[pyclass(frozen, module = "ksom._ksom")]
pub struct Quantizer {
    quantizer: RwLock<Box<dyn ksom_quantizers::Quantizer>>,
    config: QuantizerConfig,
}

/// What a quantizer is to learn from.
#[pyclass(frozen, module = "ksom._ksom")]
pub struct Observation {
    observation: ksom_quantizers::Observation,
}

/// Output, codes, loss and perplexity.
type Quantized<'py> = (Made<'py>, Made<'py>, f32, f32);

/// The tensors of a state, by name.
type State<'py> = BTreeMap<String, Made<'py>>;

fn config(py: Python<'_>, json: &str) -> PyResult<QuantizerConfig> {
    let config: QuantizerConfig = serde_json::from_str(json).map_err(|error| invalid(py, error.to_string()))?;
    if config.kind != QuantizerKind::Ksom {
        let name = config.name();
        let message = format!("here is KSOM and EMA-VQ, not {name}: use the Rust crate, or ksom's own training");
        return Err(invalid(py, message));
    }
    if config.init != Initialization::Normal {
        return Err(invalid(py, "a codebook begins with k-means in ksom's own training, or with the Rust crate"));
    }
    Ok(config)
}

#[pymethods]
impl Quantizer {
    /// A new quantizer, which depends on nothing but its configuration and `seed`.
    #[staticmethod]
    fn seeded(py: Python<'_>, json: &str, seed: u64) -> PyResult<Self> {
        let config = config(py, json)?;
        let quantizer = compute(py, || Ok(build_seeded(&config, seed, &Device::Cpu)?))?;
        Ok(Self { quantizer: RwLock::new(quantizer), config })
    }

    /// A quantizer with the state that another one had.
    #[staticmethod]
    fn from_state(py: Python<'_>, json: &str, state: BTreeMap<String, Given<'_>>) -> PyResult<Self> {
        let config = config(py, json)?;
        let tensors = state.iter().map(|(name, array)| Ok((name.clone(), tensor(array)?)));
        let tensors: std::collections::HashMap<String, Tensor> = tensors.collect::<PyResult<_>>()?;
        let quantizer =
            compute(py, || Ok(build(&config, VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu))?))?;
        Ok(Self { quantizer: RwLock::new(quantizer), config })
    }

    /// The configuration as JSON.
    #[getter]
    fn config_json(&self, py: Python<'_>) -> PyResult<String> {
        serde_json::to_string(&self.config).map_err(|error| invalid(py, error.to_string()))
    }

    /// The tensors that a checkpoint holds, copied.
    fn state<'py>(&self, py: Python<'py>) -> PyResult<State<'py>> {
        let state = self.read(py, |quantizer| {
            quantizer.state().into_iter().map(|(name, tensor)| Ok((name, tensor.copy()?))).collect()
        });
        let state: Vec<(&str, Tensor)> = state?;
        state.into_iter().map(|(name, tensor)| Ok((name.to_string(), array(py, &tensor)?))).collect()
    }

    /// The codebook f32 [K, D], copied: it moves with each step.
    fn codebook<'py>(&self, py: Python<'py>) -> PyResult<Made<'py>> {
        array(py, &self.read(py, |quantizer| Ok(quantizer.codebook().copy()?))?)
    }

    /// Steps done.
    #[getter]
    fn steps(&self, py: Python<'_>) -> PyResult<u64> {
        self.read(py, |quantizer| Ok(quantizer.steps()?))
    }

    /// The nearest code of each vector.
    fn assign<'py>(&self, x: Given<'py>) -> PyResult<Made<'py>> {
        let (py, x) = (x.1.py(), tensor(&x)?);
        code_array(py, &self.read(py, |quantizer| Ok(quantizer.assign(&x)?))?)
    }

    /// The codebook's vectors of codes of any shape.
    fn lookup<'py>(&self, codes: Given<'py>) -> PyResult<Made<'py>> {
        let (py, codes) = (codes.1.py(), code_tensor(&codes, self.config.num_codes)?);
        array(py, &self.read(py, |quantizer| Ok(quantizer.lookup(&codes)?))?)
    }

    /// Quantizes, and changes nothing.
    fn forward<'py>(&self, x: Given<'py>) -> PyResult<Quantized<'py>> {
        let (py, x) = (x.1.py(), tensor(&x)?);
        let made = self.read(py, |quantizer| Ok(quantizer.forward(&x)?))?;
        let number = |tensor: &Tensor| tensor.to_scalar::<f32>().map_err(|error| raised(py, error.into()));
        Ok((array(py, &made.output)?, code_array(py, &made.codes)?, number(&made.loss)?, number(&made.perplexity)?))
    }

    /// What is to be learned from `x` with its codes. Changes nothing.
    fn observe<'py>(&self, x: Given<'py>, codes: Given<'py>) -> PyResult<Observation> {
        let py = x.1.py();
        let (x, codes) = (tensor(&x)?, code_tensor(&codes, self.config.num_codes)?);
        Ok(Observation { observation: self.read(py, |quantizer| Ok(quantizer.observe(&x, &codes)?))? })
    }

    /// Learns from what was observed.
    fn step(&self, py: Python<'_>, observation: &Observation) -> PyResult<()> {
        let observation = observation.observation.clone();
        compute(py, || {
            let mut quantizer = self.quantizer.write().unwrap_or_else(PoisonError::into_inner);
            Ok(quantizer.step(observation)?)
        })
    }
}

impl Quantizer {
    fn read<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&dyn ksom_quantizers::Quantizer) -> Result<R, Error> + Send,
    ) -> PyResult<R> {
        compute(py, || work(self.quantizer.read().unwrap_or_else(PoisonError::into_inner).as_ref()))
    }
}

/// Refuses a configuration that is out of bounds.
#[pyfunction]
pub fn check_quantizer(py: Python<'_>, json: &str) -> PyResult<()> {
    config(py, json)?.validate().map_err(|error| raised(py, error.into()))
}

/// The automatic grid of so many codes on so many axes.
#[pyfunction]
pub fn auto_grid(py: Python<'_>, num_codes: usize, axes: usize) -> PyResult<Vec<usize>> {
    let grid = Grid::auto(num_codes, axes).map_err(|error| raised(py, error.into()))?;
    Ok(grid.shape().to_vec())
}

#[pymethods]
impl Observation {
    /// Both together: the parts of a batch are one update.
    fn __add__(&self, py: Python<'_>, other: &Self) -> PyResult<Self> {
        let (one, other) = (self.observation.clone(), other.observation.clone());
        Ok(Self { observation: compute(py, || Ok(one.and(other)?))? })
    }
}
