//! A model directory: `config.json` and `model.safetensors`, as on the Hub.

pub(crate) mod averages;
#[cfg(feature = "zoo")]
mod builtin;
#[cfg(feature = "pth")]
mod import;
#[cfg(feature = "pth")]
mod names;
#[cfg(feature = "pth")]
mod paper;
#[cfg(feature = "pth")]
pub mod pth;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::config::{MAX_CONFIG_BYTES, ModelConfig, config_path};
use crate::system::compute::Compute;
use crate::system::file_kind::{FileKind, foreign_model};
use crate::system::files::{TensorFile, read_head, write_atomic, write_tensors};

#[cfg(feature = "pth")]
pub use import::{ImportOptions, Imported};
#[cfg(feature = "pth")]
pub use paper::paper_normalization;

/// The path of the weights in a model directory.
pub fn weights_path(dir: &Path) -> PathBuf {
    dir.join("model.safetensors")
}

impl Model {
    /// Loads a model directory for inference.
    ///
    /// # Errors
    /// A file is missing, is not what it should be, or weights and configuration disagree: every missing, extra or
    /// misshapen tensor is named.
    pub fn load(dir: impl AsRef<Path>, compute: &Compute) -> Result<Self> {
        load(dir.as_ref(), compute, false)
    }

    /// Loads a model directory for training on from it.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_trainable(dir: impl AsRef<Path>, compute: &Compute) -> Result<Self> {
        load(dir.as_ref(), compute, true)
    }

    /// Loads a model for inference from the contents of its two files; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_bytes(config: &[u8], weights: Vec<u8>, name: &str, compute: &Compute) -> Result<Self> {
        let dir = Path::new(name);
        let (config_path, weights_path) = (config_path(dir), weights_path(dir));
        let text = std::str::from_utf8(config).map_err(|_| Error::config(&config_path, "expected text in UTF-8"))?;
        if text.len() as u64 > MAX_CONFIG_BYTES {
            let message = format!("expected at most {MAX_CONFIG_BYTES} bytes, found {}", text.len());
            return Err(Error::config(&config_path, message));
        }
        let config = ModelConfig::parse(text, &config_path)?;
        from_file(&config, TensorFile::from_bytes(weights, &weights_path)?, &weights_path, compute, false)
    }

    /// Writes `config.json` and `model.safetensors` into `dir`, which is created if needed.
    ///
    /// Weights of the convolutions are stored as `dtype` (f32 or f16); codebooks always as f32. With f16, the sums of a
    /// codebook's moving averages, which only training needs, are left out where they follow from vectors and counts
    /// (m = w · c); [`Model::from_tensors`] puts them back.
    ///
    /// # Errors
    /// The files cannot be written; those that were there are then as they were.
    pub fn save(&self, dir: impl AsRef<Path>, dtype: DType) -> Result<()> {
        let dir = dir.as_ref();
        std::fs::create_dir_all(dir).map_err(|source| Error::io("create", dir, source))?;
        let levels = self.config().architecture.levels();
        let mut state: BTreeMap<_, _> = self
            .state()?
            .into_iter()
            .map(|(name, tensor)| {
                let of_codebook = levels.iter().any(|level| name.starts_with(level.prefix));
                let tensor = tensor.to_dtype(if of_codebook { DType::F32 } else { dtype })?;
                Ok((name, tensor))
            })
            .collect::<Result<_>>()?;
        if dtype == DType::F16 {
            averages::leave_out(&mut state)?;
        }
        write_weights(dir, &state)?;
        write_atomic(&config_path(dir), self.config().to_json().as_bytes())
    }
}

/// Writes `model.safetensors` with the single metadata key that other programs look for.
pub(crate) fn write_weights(dir: &Path, state: &BTreeMap<String, Tensor>) -> Result<()> {
    write_tensors(&weights_path(dir), state, &[("format", "pt".to_string())])
}

fn load(dir: &Path, compute: &Compute, trainable: bool) -> Result<Model> {
    const EXPECTED: &str = "a model directory, with config.json and model.safetensors in it";
    let config_path = config_path(dir);
    let no_model = |message: String| Error::NoModel { name: dir.display().to_string(), message };
    if dir.is_file() {
        let found = FileKind::of(&read_head(dir)?);
        let hint = match found {
            FileKind::Torch | FileKind::Safetensors => "; `ksom convert` makes a model directory of weights",
            _ => "",
        };
        return Err(no_model(found.instead(EXPECTED) + hint));
    }
    if !config_path.is_file() {
        return Err(no_model(match dir.join("model_index.json").is_file() {
            true => format!("expected {EXPECTED}, found a pipeline of diffusers"),
            false => format!("expected {EXPECTED}"),
        }));
    }
    let config = ModelConfig::read(&config_path)?;
    let weights = weights_path(dir);
    from_file(&config, TensorFile::read(&weights)?, &weights, compute, trainable)
}

/// A model from its weights, which nobody has looked at.
fn from_file(config: &ModelConfig, file: TensorFile, path: &Path, compute: &Compute, trainable: bool) -> Result<Model> {
    let tensors = own_weights(file.tensors(path)?, path)?;
    Model::from_tensors(config, tensors, &path.display().to_string(), compute, trainable)
}

/// Whether every value is a finite number in f32.
pub(crate) fn is_finite(tensor: &Tensor) -> Result<bool> {
    // NaN and infinity survive a sum of absolute values; in f64 a sum of finite f32 is finite.
    let sum = tensor.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.abs()?.sum_all()?;
    Ok(sum.to_scalar::<f64>()?.is_finite())
}

/// Refuses weights of another kind of model, by the names of the tensors, and what [`finite`] refuses.
pub(crate) fn own_weights(tensors: BTreeMap<String, Tensor>, path: &Path) -> Result<BTreeMap<String, Tensor>> {
    if let Some(what) = foreign_model(tensors.keys().map(String::as_str)) {
        return Err(Error::file(path, format!("expected weights of a ksom model, found {what}")));
    }
    finite(tensors, path)
}

/// Refuses integers where weights should be, and weights that are not finite numbers in f32.
pub(crate) fn finite(tensors: BTreeMap<String, Tensor>, path: &Path) -> Result<BTreeMap<String, Tensor>> {
    for (name, tensor) in &tensors {
        if !tensor.dtype().is_float() {
            return Err(Error::file(
                path,
                format!("{name} should hold floating-point numbers, found {:?}", tensor.dtype()),
            ));
        }
        if !is_finite(tensor)? {
            return Err(Error::file(path, format!("{name} holds values that are not finite numbers")));
        }
    }
    Ok(tensors)
}
