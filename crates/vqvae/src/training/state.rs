//! `training.safetensors`: everything needed to continue a training bit for bit, in one file, so that a crash between
//! two files cannot tear it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::system::files::{TensorFile, write_tensors};

const FORMAT_VERSION: u32 = 1;
const METADATA_KEY: &str = "ksom_training";
/// Recipes have no more steps.
const MAX_STEP: u64 = i64::MAX as u64;

/// The path of the training state in a run directory.
pub(crate) fn training_path(run: &Path) -> PathBuf {
    run.join("training.safetensors")
}

/// Whether there is a training to go on with in `run`.
///
/// # Errors
/// There is none.
pub(crate) fn check_resumable(run: &Path) -> Result<()> {
    let path = training_path(run);
    if path.is_file() {
        return Ok(());
    }
    Err(Error::NoTraining { path })
}

/// The best validation so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// After how many steps.
    pub step: u64,
    /// Its reconstruction error in normalized units.
    pub mse: f64,
}

/// Where a training stands, besides its tensors. The data order and augmentation are functions of seed and step, so
/// these two are the whole state of the generators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    pub(crate) format_version: u32,
    /// Optimizer steps done.
    pub(crate) step: u64,
    /// The data set, as it was named.
    pub(crate) data: String,
    /// A hash of the names of the training images: resuming on other data would not be the same training.
    pub(crate) data_fingerprint: String,
    pub(crate) best: Option<Best>,
}

impl Progress {
    pub(crate) fn new(data: String, data_fingerprint: String) -> Self {
        Self { format_version: FORMAT_VERSION, step: 0, data, data_fingerprint, best: None }
    }
}

/// Model state under `model.`, optimizer state under `optimizer.`.
pub(crate) struct TrainingState {
    pub(crate) progress: Progress,
    pub(crate) model: BTreeMap<String, Tensor>,
    pub(crate) optimizer: BTreeMap<String, Tensor>,
}

impl TrainingState {
    pub(crate) fn write(&self, run: &Path) -> Result<()> {
        let path = training_path(run);
        let prefixed = |prefix: &str, tensors: &BTreeMap<String, Tensor>| -> Vec<(String, Tensor)> {
            tensors.iter().map(|(name, tensor)| (format!("{prefix}.{name}"), tensor.clone())).collect()
        };
        let tensors =
            prefixed("model", &self.model).into_iter().chain(prefixed("optimizer", &self.optimizer)).collect();
        let progress = serde_json::to_string(&self.progress).map_err(|error| Error::file(&path, error.to_string()))?;
        write_tensors(&path, &tensors, &[(METADATA_KEY, progress)])
    }

    pub(crate) fn read(run: &Path) -> Result<Self> {
        let path = training_path(run);
        let file = TensorFile::read(&path)?;
        let metadata = file.metadata(&path)?;
        let progress = metadata.get(METADATA_KEY).ok_or_else(|| {
            Error::file(&path, format!("expected a training state, found no metadata {METADATA_KEY:?}"))
        })?;
        let progress: Progress = serde_json::from_str(progress)
            .map_err(|error| Error::file(&path, format!("the training state is malformed: {error}")))?;
        if progress.format_version != FORMAT_VERSION {
            let found = progress.format_version;
            return Err(Error::file(&path, format!("expected format version {FORMAT_VERSION}, found {found}")));
        }
        if progress.step > MAX_STEP {
            return Err(Error::file(&path, format!("step {} is more than any training takes", progress.step)));
        }
        if let Some(best) = progress.best.filter(|best| best.step > progress.step) {
            let message = format!("its best validation is of step {}, after its own {}", best.step, progress.step);
            return Err(Error::file(&path, message));
        }
        let (mut model, mut optimizer) = (BTreeMap::new(), BTreeMap::new());
        for (name, tensor) in file.tensors(&path)? {
            match name.split_once('.') {
                Some(("model", rest)) => model.insert(rest.to_string(), tensor),
                Some(("optimizer", rest)) => optimizer.insert(rest.to_string(), tensor),
                _ => return Err(Error::file(&path, format!("{name} is not expected"))),
            };
        }
        Ok(Self { progress, model, optimizer })
    }
}
