//! Checkpoints of the paper's own PyTorch code (IDSIA/kohonen-vae) ↔ model directories.
//!
//! The names of the tensors are the same on both sides. What such a checkpoint does not hold is how pictures were
//! normalized: it follows from the task, as [`paper_normalization`] states.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Tensor};
use ksom_datasets::Normalization;
use ksom_quantizers::{Grid, NeighborhoodKind, QuantizerConfig, QuantizerKind};

use crate::checkpoint::pth::PthValue;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::config::{Architecture, ArchitectureKind, ModelConfig, Provenance};
use crate::system::files::write_tensors;

/// Per-channel mean and deviation of CIFAR-10's 50,000 training images.
const CIFAR10: Normalization = Normalization { mean: [0.4914, 0.4822, 0.4465], std: [0.2470, 0.2435, 0.2616] };

/// The normalization that is assumed for a task of the paper's code: CIFAR-10's statistics for `vq_vae`, ImageNet's for
/// `vq_vae2`. (Its face models, also of task `vq_vae2`, were trained on pixels scaled to −1..1: say so when converting.)
pub fn paper_normalization(architecture: ArchitectureKind) -> Normalization {
    match architecture {
        ArchitectureKind::VqVae => CIFAR10,
        ArchitectureKind::VqVae2 => Normalization::IMAGENET,
    }
}

/// The metadata key under which exported weights hold their `config.json`.
pub(crate) const CONFIG_KEY: &str = "ksom_config";

impl Model {
    /// Writes the weights as one safetensors file with the names that the paper's code has for them, f32. Its metadata
    /// hold the configuration, so that [`Model::import`] makes the model of it again.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_paper_weights(&self, path: &Path) -> Result<()> {
        let state: BTreeMap<String, Tensor> = self
            .state()?
            .into_iter()
            .map(|(name, tensor)| Ok((name, tensor.to_dtype(DType::F32)?)))
            .collect::<Result<_>>()?;
        write_tensors(path, &state, &[("format", "pt".to_string()), (CONFIG_KEY, self.config().to_json())])
    }
}

/// What a model is, from the arguments that a checkpoint at `path` records; its normalization is not among them.
///
/// # Errors
/// An argument is missing or unknown.
pub(crate) fn paper_config(path: &Path, arguments: &PthValue) -> Result<ModelConfig> {
    Arguments { path, values: arguments }.config()
}

/// The arguments that a checkpoint records about its run, with the paper's spelling of their names.
struct Arguments<'a> {
    path: &'a Path,
    values: &'a PthValue,
}

impl Arguments<'_> {
    fn config(&self) -> Result<ModelConfig> {
        let kind = match self.text("task")? {
            "vq_vae" => ArchitectureKind::VqVae,
            "vq_vae2" => ArchitectureKind::VqVae2,
            other => return Err(self.error(format!("task should be vq_vae or vq_vae2, found {other:?}"))),
        };
        let architecture = Architecture {
            kind,
            hidden: self.count("vq_vae.num_hiddens")?,
            residual_layers: self.count("vq_vae.num_residual_layers")?,
            residual_hidden: self.count("vq_vae.num_residual_hiddens")?,
            ..Architecture::vqvae()
        };
        let num_codes = self.count("vq_vae.num_embeddings")?;
        let (quantizer_kind, skip_unused) = match self.text("vq_vae.quantizer")? {
            "hard_som" => (QuantizerKind::Ksom, false),
            "hardsom_noupdate_zero" => (QuantizerKind::Ksom, true),
            "gd_som" => (QuantizerKind::GdSom, false),
            other => {
                let known = "hard_som, hardsom_noupdate_zero or gd_som";
                return Err(self.error(format!("vq_vae.quantizer should be {known}, found {other:?}")));
            }
        };
        let neighborhood = match self.text("vq_vae.neihborhood")? {
            "hard" => NeighborhoodKind::Hard,
            "gaussian" => NeighborhoodKind::Gaussian,
            "none" => NeighborhoodKind::None,
            other => {
                return Err(self.error(format!("vq_vae.neihborhood should be hard, gaussian or none, found {other:?}")));
            }
        };
        let grid = Grid::auto(num_codes, self.count("vq_vae.grid_dim")?)?;
        let quantizer = QuantizerConfig {
            kind: quantizer_kind,
            neighborhood,
            grid: grid.shape().to_vec(),
            shrink_step: self.number("vq_vae.count_unit")?,
            gaussian_base: self.number("vq_vae.gaussaian_base")?,
            decay: self.number("vq_vae.decay")?,
            commitment: self.number("vq_vae.commitment_cost")?,
            counter_init: self.number("vq_vae.magic_counter_init")?,
            kohonen_cost: self.number("vq_vae.som_cost")?,
            skip_unused,
            ..QuantizerConfig::ksom(num_codes, self.count("vq_vae.embedding_dim")?)
        };
        let mut config = ModelConfig::new(architecture, quantizer);
        config.provenance = Provenance {
            data: Some("converted from a checkpoint of the paper's code".to_string()),
            written_by: Some(concat!("ksom ", env!("CARGO_PKG_VERSION")).to_string()),
            ..Provenance::default()
        };
        config.validate().map_err(|message| self.error(message))?;
        Ok(config)
    }

    fn find<'v, T>(&'v self, key: &str, expected: &str, read: impl Fn(&'v PthValue) -> Option<T>) -> Result<T> {
        let value = self.values.get(key).ok_or_else(|| self.error(format!("the recorded arguments lack {key}")))?;
        read(value).ok_or_else(|| self.error(format!("{key} should be {expected}, found {}", value.kind())))
    }

    fn text(&self, key: &str) -> Result<&str> {
        self.find(key, "a string", PthValue::as_str)
    }

    fn count(&self, key: &str) -> Result<usize> {
        self.find(key, "a whole number", |value| usize::try_from(value.as_int()?).ok())
    }

    fn number(&self, key: &str) -> Result<f64> {
        self.find(key, "a number", PthValue::as_float)
    }

    fn error(&self, message: String) -> Error {
        Error::file(self.path, message)
    }
}
