//! Weights from elsewhere → a model: checkpoints of the paper's code and of other training programs, and ksom's own
//! exported weights.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Tensor};
use ksom_datasets::Normalization;

use crate::checkpoint::names::unwrapped;
use crate::checkpoint::own_weights;
use crate::checkpoint::paper::{CONFIG_KEY, paper_config, paper_normalization};
use crate::checkpoint::pth::{PthFile, PthValue};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::config::{ModelConfig, config_path};
use crate::system::compute::Compute;
use crate::system::file_kind::FileKind;
use crate::system::files::{TensorFile, read_head};

/// Where a checkpoint keeps its weights; the last are Lightning's and what people write themselves.
const WEIGHTS: [&str; 4] = ["model", "state_dict", "model_state_dict", "net"];

/// What a file of weights does not say, or says otherwise.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// What the model is, in place of what the file records.
    pub config: Option<ModelConfig>,
    /// How pixels are normalized, in place of what the configuration says or is assumed.
    pub normalization: Option<Normalization>,
}

/// A model made of a file of weights.
pub struct Imported {
    /// The model.
    pub model: Model,
    /// Whether its normalization is one that was assumed for its task ([`paper_normalization`]).
    pub assumed: bool,
}

/// What the file says of the model.
enum Recorded {
    /// Everything.
    Config(Box<ModelConfig>),
    /// Everything but the normalization.
    Arguments(Box<ModelConfig>),
    Nothing,
}

impl Model {
    /// Reads weights: a PyTorch checkpoint (`.pth`, `.pt`, `.ckpt`) or a safetensors file.
    ///
    /// Names may have the prefixes of DataParallel, `torch.compile` and Lightning. The configuration is the one given;
    /// else what the paper's code or an export of ours recorded in the file; else the `config.json` beside a safetensors
    /// file.
    ///
    /// # Errors
    /// The file is something else, which is named; [`Error::Unconfigured`] where nothing tells what the model is; weights
    /// and configuration disagree.
    pub fn import(path: &Path, options: &ImportOptions, compute: &Compute) -> Result<Imported> {
        let (tensors, recorded) = match FileKind::of(&read_head(path)?) {
            FileKind::Safetensors => from_safetensors(path)?,
            FileKind::Torch | FileKind::Unknown => from_pth(path)?,
            FileKind::Other(name) if name.contains("zip archive") => from_pth(path)?,
            other => return Err(Error::file(path, other.instead("weights (a PyTorch checkpoint or safetensors)"))),
        };
        let tensors = own_weights(unwrapped(tensors, path)?, path)?;
        let (mut config, mut assumed) = match (&options.config, recorded) {
            (Some(config), _) => (config.clone(), false),
            (None, Recorded::Config(config)) => (*config, false),
            (None, Recorded::Arguments(config)) => (*config, true),
            (None, Recorded::Nothing) => return Err(Error::Unconfigured { path: path.to_path_buf() }),
        };
        if let Some(normalization) = options.normalization {
            config.preprocessing.normalization = normalization;
            assumed = false;
        }
        let model = Self::from_tensors(&config, tensors, &path.display().to_string(), compute, false)?;
        Ok(Imported { model, assumed })
    }
}

fn from_safetensors(path: &Path) -> Result<(BTreeMap<String, Tensor>, Recorded)> {
    let file = TensorFile::read(path)?;
    let beside = path.parent().map(config_path).filter(|config| config.is_file());
    let recorded = match (file.metadata(path)?.get(CONFIG_KEY), beside) {
        (Some(config), _) => Recorded::Config(Box::new(ModelConfig::parse(config, path)?)),
        (None, Some(beside)) => Recorded::Config(Box::new(ModelConfig::read(&beside)?)),
        (None, None) => Recorded::Nothing,
    };
    Ok((file.tensors(path)?, recorded))
}

fn from_pth(path: &Path) -> Result<(BTreeMap<String, Tensor>, Recorded)> {
    let file = PthFile::open(path)?;
    let value = file.value();
    let recorded = match value.get("run_invariants").and_then(|run| run.get("args")) {
        Some(arguments) => {
            let mut config = paper_config(path, arguments)?;
            config.preprocessing.normalization = paper_normalization(config.architecture.kind);
            Recorded::Arguments(Box::new(config))
        }
        None => Recorded::Nothing,
    };
    let holds_tensors = |value: &PthValue| {
        value.as_dict().is_some_and(|entries| entries.iter().any(|(_, entry)| entry.as_tensor().is_some()))
    };
    let found = WEIGHTS.iter().filter_map(|key| value.get(key)).chain([value]).find(|value| holds_tensors(value));
    let Some(entries) = found.and_then(PthValue::as_dict) else {
        let keys: Vec<&str> = value.as_dict().unwrap_or_default().iter().filter_map(|(key, _)| key.as_str()).collect();
        let found = match &keys[..] {
            [] => value.kind().to_string(),
            _ => format!("a dictionary of {:.200}", keys.join(", ")),
        };
        let expected = format!("a dictionary of weights, alone or under {}", WEIGHTS.join(", "));
        return Err(Error::file(path, format!("expected {expected}; found {found}")));
    };
    Ok((read_tensors(&file, entries, path)?, recorded))
}

/// The tensors among the entries: PyTorch keeps a `_metadata` attribute beside them.
fn read_tensors(file: &PthFile, entries: &[(PthValue, PthValue)], path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let file_bytes = std::fs::metadata(path).map_err(|source| Error::io("read", path, source))?.len();
    let (mut tensors, mut values) = (BTreeMap::new(), 0u64);
    for (name, value) in entries {
        if let (Some(name), Some(tensor)) = (name.as_str(), value.as_tensor()) {
            // Views may share a storage, and a small file ask for any amount of memory.
            values = values.saturating_add(tensor.elements().unwrap_or(usize::MAX) as u64);
            if values > file_bytes {
                return Err(Error::file(path, "the weights have more values than the file has bytes"));
            }
            tensors.insert(name.to_string(), file.tensor(tensor)?.to_dtype(DType::F32)?);
        }
    }
    Ok(tensors)
}
