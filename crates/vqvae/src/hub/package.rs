//! What of a model directory goes to the Hub, and how.

use std::path::Path;

use candle_core::DType;

use super::MODEL_FILES;
use super::card::{CardOptions, write_card};
use super::name::HubName;
use crate::checkpoint::finite;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::config::{MAX_CONFIG_BYTES, ModelConfig, Provenance};
use crate::record::recorded::RecordedMetrics;
use crate::system::compute::Compute;
use crate::system::digest::sha256;
use crate::system::files::{MAX_TENSOR_FILE, TensorFile, read_bounded};

const CARD_FILE: &str = "README.md";
const METRICS_FILE: &str = "metrics.jsonl";

/// The longest card and the longest metrics that go, in bytes.
const MAX_TEXT_BYTES: u64 = 64 << 20;

/// The files of a repository as they go to the Hub. Those of a model are configuration, weights, card, metrics where there
/// are any, and ONNX files where they are asked for: nothing else of its folder is ever read.
pub struct Package {
    kind: RepositoryKind,
    files: Vec<PackedFile>,
}

/// What a repository on the Hub is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepositoryKind {
    /// A model.
    Model,
    /// A Space that serves its files as they are.
    StaticSpace,
    /// A data set.
    DataSet,
}

/// A file of a [`Package`].
pub struct PackedFile {
    /// Its path in the repository.
    pub path: String,
    /// Its contents.
    pub contents: Vec<u8>,
    /// SHA-256 of the contents, in hexadecimal.
    pub sha256: String,
}

/// The contents of a model's files.
struct Parts {
    config: Vec<u8>,
    weights: Vec<u8>,
    card: Option<Vec<u8>>,
    metrics: Option<Vec<u8>>,
}

/// What goes to the Hub.
#[derive(Clone, Debug, Default)]
pub struct PackOptions {
    /// What the card is to tell.
    pub card: CardOptions,
    /// Whether the model goes as ONNX files, too, which are made for it (feature `onnx`): `onnx/encoder.onnx` and
    /// `onnx/decoder.onnx`, with weights in f16 where the model's own are.
    pub onnx: bool,
}

/// How a package is pushed.
#[derive(Clone, Debug, Default)]
pub struct PushOptions {
    /// If the repository has to be created: for its owner alone.
    pub private: bool,
    /// The commit's message.
    pub message: Option<String>,
    /// Propose the commit instead of making it.
    pub create_pr: bool,
}

impl PushOptions {
    /// The commit's message, or what stands for it.
    #[cfg(feature = "hub")]
    pub(crate) fn summary(&self, kind: RepositoryKind) -> &str {
        let usual = match kind {
            RepositoryKind::Model => "Upload a model by ksom",
            RepositoryKind::StaticSpace => "Upload a page by ksom",
            RepositoryKind::DataSet => "Upload tokens by ksom",
        };
        self.message.as_deref().filter(|message| !message.is_empty()).unwrap_or(usual)
    }
}

/// What became of a push.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// The new commit, where the Hub names it.
    pub commit: Option<String>,
    /// Where it is to be seen.
    pub url: String,
    /// Where the pull request is to be found, if one was asked for.
    pub pull_request: Option<String>,
    /// Whether the repository is new.
    pub created: bool,
}

impl Package {
    /// Packs the model directory `dir`, which is to become `name`. The model is loaded once to be sure that it is one.
    ///
    /// A `README.md` that is there goes as it is; where there is none, a card is written from the configuration and the
    /// recorded metrics. If the configuration names a base model by a path on this machine, only the path's last part
    /// goes.
    ///
    /// # Errors
    /// A file is missing or not what it should be, or the options say nothing that the Hub knows.
    pub fn new(dir: &Path, name: &HubName, options: &PackOptions) -> Result<Self> {
        let [config_path, weights_path] = MODEL_FILES.map(|file| dir.join(file));
        let config = read_bounded(&config_path, MAX_CONFIG_BYTES)?;
        let weights = read_bounded(&weights_path, MAX_TENSOR_FILE)?;
        let card_path = dir.join(CARD_FILE);
        let card = match card_path.exists() {
            true if options.card.is_default() => Some(read_bounded(&card_path, MAX_TEXT_BYTES)?),
            true => {
                return Err(Error::file(
                    &card_path,
                    "this model card goes to the Hub as it is: state license, data sets and base model in it, or move it \
                     away to have one written",
                ));
            }
            false => None,
        };
        let metrics_path = dir.join(METRICS_FILE);
        let metrics = metrics_path.exists().then(|| read_bounded(&metrics_path, MAX_TEXT_BYTES)).transpose()?;
        Self::of(dir, name, options, Parts { config, weights, card, metrics })
    }

    /// Packs a model that is in no folder, from the contents of its files; `origin` is named in errors.
    ///
    /// # Errors
    /// As [`Package::new`].
    pub fn of_contents(
        origin: &str,
        name: &HubName,
        options: &PackOptions,
        (config, weights, metrics): (&str, &[u8], &str),
    ) -> Result<Self> {
        let metrics = Some(metrics.as_bytes().to_vec()).filter(|metrics| !metrics.is_empty());
        let parts = Parts { config: config.as_bytes().to_vec(), weights: weights.to_vec(), card: None, metrics };
        Self::of(Path::new(origin), name, options, parts)
    }

    fn of(dir: &Path, name: &HubName, options: &PackOptions, parts: Parts) -> Result<Self> {
        options.card.check()?;
        let [config_path, weights_path] = MODEL_FILES.map(|file| dir.join(file));
        let text = String::from_utf8(parts.config)
            .map_err(|_| Error::config(&config_path, "expected text in UTF-8".to_string()))?;
        let mut config = ModelConfig::parse(&text, &config_path)?;
        let written = config.to_json();
        let Provenance { base_model, base_revision, .. } = &mut config.provenance;
        if base_revision.is_none() {
            // Not from the Hub: a path on this machine, of which only the last part is anybody's business.
            *base_model = base_model.take().map(without_folders);
        }
        let text = if config.to_json() == written { text } else { config.to_json() };

        let file = TensorFile::from_bytes(parts.weights.clone(), &weights_path)?;
        let tensors = finite(file.tensors(&weights_path)?, &weights_path)?;
        let half = tensors.values().any(|tensor| tensor.dtype() == DType::F16);
        let model = Model::from_tensors(&config, tensors, &weights_path.display().to_string(), &Compute::cpu(), false)?;
        let onnx = if options.onnx { onnx_files(&model, name, half)? } else { Vec::new() };

        let card = parts.card.unwrap_or_else(|| {
            let metrics = parts.metrics.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            let metrics = RecordedMetrics::parse(&metrics, config.provenance.steps);
            write_card(name, &config, &metrics, &options.card, options.onnx).into_bytes()
        });
        let mut files = vec![
            PackedFile::new(MODEL_FILES[0], text.into_bytes()),
            PackedFile::new(MODEL_FILES[1], parts.weights),
            PackedFile::new(CARD_FILE, card),
        ];
        files.extend(parts.metrics.map(|metrics| PackedFile::new(METRICS_FILE, metrics)));
        files.extend(onnx);
        Ok(Self { kind: RepositoryKind::Model, files })
    }

    /// Packs the files of a static Space by their paths, among which `README.md` should say `sdk: static`.
    pub fn of_space<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let files = files.into_iter().map(|(path, contents)| PackedFile::new(path, contents.to_vec())).collect();
        Self { kind: RepositoryKind::StaticSpace, files }
    }

    /// Packs files of a data set by their paths.
    pub fn of_data(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let files = files.into_iter().map(|(path, contents)| PackedFile::new(&path, contents)).collect();
        Self { kind: RepositoryKind::DataSet, files }
    }

    /// What it is to become.
    pub fn kind(&self) -> RepositoryKind {
        self.kind
    }

    /// The files, in the order in which they go.
    pub fn files(&self) -> &[PackedFile] {
        &self.files
    }

    /// The model card.
    pub fn card(&self) -> &[u8] {
        self.files.iter().find(|file| file.path == CARD_FILE).map_or(&[], |file| &file.contents)
    }
}

impl RepositoryKind {
    /// What the Hub calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::StaticSpace => "space",
            Self::DataSet => "dataset",
        }
    }

    /// What stands before `owner/name` in the address of a repository of this kind.
    #[cfg(feature = "hub")]
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Model => "",
            Self::StaticSpace => "spaces/",
            Self::DataSet => "datasets/",
        }
    }
}

impl PackedFile {
    fn new(path: &str, contents: Vec<u8>) -> Self {
        Self { path: path.to_string(), sha256: sha256(&contents), contents }
    }
}

/// The model as ONNX files.
#[cfg(feature = "onnx")]
fn onnx_files(model: &Model, name: &HubName, half: bool) -> Result<Vec<PackedFile>> {
    use crate::onnx::{ExportOptions, Precision, files};

    let precision = if half { Precision::HalfWeights } else { Precision::F32 };
    let options = ExportOptions { name: name.repository().to_string(), precision, normalization: true };
    let [encoder, decoder] = files(model, &options)?.map(|file| file.contents);
    Ok(vec![PackedFile::new("onnx/encoder.onnx", encoder), PackedFile::new("onnx/decoder.onnx", decoder)])
}

#[cfg(not(feature = "onnx"))]
fn onnx_files(_: &Model, _: &HubName, _: bool) -> Result<Vec<PackedFile>> {
    Err(Error::Invalid("this program was built without the feature `onnx`, so it makes no ONNX files".to_string()))
}

/// The last part of a path.
fn without_folders(path: String) -> String {
    Path::new(&path).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
