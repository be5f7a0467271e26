//! What a model is: the contents of `config.json`.

use std::path::{Path, PathBuf};

use ksom_datasets::Normalization;
use ksom_quantizers::{MAX_STAGES, QuantizerConfig};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::system::file_kind::{FileKind, foreign_config};
use crate::system::files::read_text;

/// The version of `config.json` that this crate reads and writes.
pub const SCHEMA_VERSION: u32 = 1;

/// The largest `config.json` that is read, in bytes.
pub(crate) const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// Which of the two networks a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArchitectureKind {
    /// One level of codes, at a quarter of the picture's size or less (arXiv 1711.00937).
    VqVae,
    /// Two levels of codes, at a quarter and an eighth of the picture's size (arXiv 1906.00446).
    VqVae2,
}

/// The network around the quantizer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// VQ-VAE or VQ-VAE-2.
    pub kind: ArchitectureKind,
    /// Channels of the hidden layers (h), even.
    pub hidden: usize,
    /// Residual blocks in each stack (R).
    pub residual_layers: usize,
    /// Channels inside a residual block (r).
    pub residual_hidden: usize,
    /// How many pixels of a side the finest codes span: 4, in a VQ-VAE also 8 or 16, by further stages of stride 2.
    #[serde(default = "four", skip_serializing_if = "is_four")]
    pub downsample: usize,
    /// Codes for each place of a level, 1 to 8: each quantizes what those before it have left, and has a grid of its own.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub stages: usize,
}

/// Pixels of a side under the finest codes, where nothing else is said.
pub(crate) fn four() -> usize {
    4
}

pub(crate) fn is_four(downsample: &usize) -> bool {
    *downsample == four()
}

fn one() -> usize {
    1
}

fn is_one(number: &usize) -> bool {
    *number == 1
}

/// The stages of a level: the first is called as the level.
macro_rules! stages {
    ($name:literal, $stride:literal, $prefix:literal) => {
        [
            Level { name: $name, stride: $stride, prefix: $prefix },
            stages!($name, $stride, $prefix, "2"),
            stages!($name, $stride, $prefix, "3"),
            stages!($name, $stride, $prefix, "4"),
            stages!($name, $stride, $prefix, "5"),
            stages!($name, $stride, $prefix, "6"),
            stages!($name, $stride, $prefix, "7"),
            stages!($name, $stride, $prefix, "8"),
        ]
    };
    ($name:literal, $stride:literal, $prefix:literal, $stage:literal) => {
        Level { name: concat!($name, "_", $stage), stride: $stride, prefix: concat!($prefix, ".stage_", $stage) }
    };
}

impl Architecture {
    /// The VQ-VAE of the paper: h = 128, R = 2, r = 32.
    pub fn vqvae() -> Self {
        Self {
            kind: ArchitectureKind::VqVae,
            hidden: 128,
            residual_layers: 2,
            residual_hidden: 32,
            downsample: four(),
            stages: 1,
        }
    }

    /// The VQ-VAE-2 of the paper: h = 128, R = 2, r = 32.
    pub fn vqvae2() -> Self {
        Self { kind: ArchitectureKind::VqVae2, ..Self::vqvae() }
    }

    /// How many picture pixels one step of the coarsest codes spans: pictures are padded to a multiple of it.
    pub fn stride(&self) -> usize {
        self.levels().iter().map(|level| level.stride).max().unwrap_or(1)
    }

    /// The levels of codes, in the order in which codes are given everywhere; of several stages, each is a level.
    pub fn levels(&self) -> Vec<Level> {
        let of = |levels: [Level; MAX_STAGES]| levels.into_iter().take(self.stages);
        match self.kind {
            ArchitectureKind::VqVae => {
                let at_its_stride = |level| Level { stride: self.downsample, ..level };
                of(stages!("codes", 4, "_vq_vae")).map(at_its_stride).collect()
            }
            ArchitectureKind::VqVae2 => {
                of(stages!("codes_top", 8, "quantize_t")).chain(of(stages!("codes_bottom", 4, "quantize_b"))).collect()
            }
        }
    }

    /// How many stages of stride 2 a VQ-VAE has more than the two of the paper, on either side of the codes.
    pub(crate) fn further_stages(&self) -> usize {
        (self.downsample / 4).checked_ilog2().unwrap_or(0) as usize
    }

    /// Rows and columns of a level's codes of a picture: its sides are padded to the stride first.
    pub fn grid_shape(&self, level: &Level, width: u32, height: u32) -> (usize, usize) {
        let cells = |side: u32| (side as usize).next_multiple_of(self.stride()) / level.stride;
        (cells(height), cells(width))
    }

    /// Checks every value against its bounds.
    pub(crate) fn validate(&self) -> std::result::Result<(), String> {
        let bounds = [
            ("hidden", self.hidden, 2, 4096),
            ("residual_layers", self.residual_layers, 0, 64),
            ("residual_hidden", self.residual_hidden, 1, 4096),
            ("stages", self.stages, 1, MAX_STAGES),
        ];
        for (field, found, low, high) in bounds {
            if !(low..=high).contains(&found) {
                return Err(format!("architecture.{field} must be between {low} and {high}, found {found}"));
            }
        }
        if !self.hidden.is_multiple_of(2) {
            return Err(format!("architecture.hidden must be even, found {}", self.hidden));
        }
        let expected = match self.kind {
            ArchitectureKind::VqVae if ![4, 8, 16].contains(&self.downsample) => "4, 8 or 16",
            ArchitectureKind::VqVae2 if self.downsample != 4 => "4 for a vqvae2",
            _ => return Ok(()),
        };
        Err(format!("architecture.downsample must be {expected}, found {}", self.downsample))
    }
}

/// One level of codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Name of the level's tensor in a codes file.
    pub name: &'static str,
    /// Picture pixels per code along each side.
    pub stride: usize,
    /// Where the level's codebook lies in the checkpoint.
    pub prefix: &'static str,
}

/// How pixels become the network's input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Per-channel mean and standard deviation of pixels in 0..1.
    pub normalization: Normalization,
    /// Width and height that the training pictures had, where they had one size. For information: any size works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_size: Option<[u32; 2]>,
}

/// Where a model comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The recipe's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<String>,
    /// The training data, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The seed of the initial weights and the data order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Training steps behind these weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// The model that this one was fine-tuned from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_model: Option<String>,
    /// The commit of that model, where it came from the Hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_revision: Option<String>,
    /// The program and version that wrote the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_by: Option<String>,
}

/// Everything that says what a model is, besides its weights: `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The network.
    pub architecture: Architecture,
    /// The quantizer; VQ-VAE-2 has one like it at each level.
    pub quantizer: QuantizerConfig,
    /// From pixels to the network's input.
    pub preprocessing: Preprocessing,
    /// Where the model comes from.
    #[serde(default)]
    pub provenance: Provenance,
}

impl ModelConfig {
    /// The paper's VQ-VAE for CIFAR-10 with a KSOM quantizer (hard neighborhood, 2-D grid): K = 512, D = 64.
    pub fn vqvae() -> Self {
        Self::new(Architecture::vqvae(), QuantizerConfig::ksom(512, 64))
    }

    /// The paper's VQ-VAE-2 with KSOM quantizers (hard neighborhood, 2-D grid): K = 512, D = 64 at each level.
    pub fn vqvae2() -> Self {
        Self::new(Architecture::vqvae2(), QuantizerConfig::ksom(512, 64))
    }

    /// A model of the given parts with pixels scaled to −1..1.
    pub fn new(architecture: Architecture, quantizer: QuantizerConfig) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            architecture,
            quantizer,
            preprocessing: Preprocessing { normalization: Normalization::HALF, trained_size: None },
            provenance: Provenance::default(),
        }
    }

    /// Reads and checks `config.json`.
    ///
    /// # Errors
    /// The file cannot be read, is over 1 MiB, is not JSON of this form, has another schema version, or holds values
    /// out of bounds. The message names the file.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&read_text(path, MAX_CONFIG_BYTES)?, path)
    }

    /// Parses and checks the text of a `config.json`; `path` is named in errors.
    ///
    /// # Errors
    /// As [`ModelConfig::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            schema_version: u32,
        }
        let version: Version = serde_json::from_str(text).map_err(|error| match foreign_config(text) {
            Some(what) => Error::config(path, format!("expected the configuration of a ksom model, found {what}")),
            None if text.trim_start().starts_with('{') => Error::config(path, error.to_string()),
            None => Error::config(path, FileKind::of(text.as_bytes()).instead("JSON")),
        })?;
        if version.schema_version != SCHEMA_VERSION {
            return Err(Error::config(
                path,
                format!(
                    "expected schema_version {SCHEMA_VERSION}, found {}: a newer ksom may read it",
                    version.schema_version
                ),
            ));
        }
        let config: Self = serde_json::from_str(text).map_err(|error| Error::config(path, error.to_string()))?;
        config.validate().map_err(|message| Error::config(path, message))?;
        Ok(config)
    }

    /// Whether the weights are those that a training began with: it was stopped before its first validation. Those of a
    /// model that was fine-tuned are its base model's, which is trained.
    pub fn is_untrained(&self) -> bool {
        self.provenance.steps == Some(0) && self.provenance.base_model.is_none()
    }

    /// Checks every value against its bounds.
    ///
    /// # Errors
    /// Says the first field that is out of bounds, what was found and what was expected.
    pub fn validate(&self) -> std::result::Result<(), String> {
        self.architecture.validate()?;
        self.quantizer.validate().map_err(|error| format!("quantizer: {error}"))?;
        let Normalization { mean, std } = &self.preprocessing.normalization;
        if !mean.iter().all(|m| m.is_finite()) || !std.iter().all(|s| s.is_finite() && *s > 0.0) {
            return Err(format!(
                "preprocessing.normalization must hold finite means and positive deviations, found {mean:?}, {std:?}"
            ));
        }
        Ok(())
    }

    /// The text of `config.json`.
    pub fn to_json(&self) -> String {
        // Every field is a number, a string or a list of them: serialization cannot fail.
        let mut text = serde_json::to_string_pretty(self).expect("a configuration is plain data");
        text.push('\n');
        text
    }
}

/// The name of the configuration file in a model directory.
pub(crate) fn config_path(dir: &Path) -> PathBuf {
    dir.join("config.json")
}
