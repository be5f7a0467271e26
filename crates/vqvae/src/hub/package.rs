//! What of a model directory goes to the Hub, and how.

use std::path::Path;

use super::MODEL_FILES;
use super::card::{CardOptions, write_card};
use super::name::HubName;
use crate::checkpoint::finite;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::config::{MAX_CONFIG_BYTES, ModelConfig};
use crate::record::recorded::RecordedMetrics;
use crate::system::compute::Compute;
use crate::system::digest::sha256;
use crate::system::files::{MAX_TENSOR_FILE, TensorFile, read_bounded};

const CARD_FILE: &str = "README.md";
const METRICS_FILE: &str = "metrics.jsonl";

/// The longest card and the longest metrics that go, in bytes.
const MAX_TEXT_BYTES: u64 = 64 << 20;

/// The files of a model as they go to the Hub: configuration, weights, card, and metrics where there are any. Nothing
/// else of the folder is ever read.
pub struct Package {
    files: Vec<PackedFile>,
}

/// A file of a [`Package`].
pub struct PackedFile {
    /// Its name in the repository.
    pub path: &'static str,
    /// Its contents.
    pub contents: Vec<u8>,
    /// SHA-256 of the contents, in hexadecimal.
    pub sha256: String,
}

/// How a model is pushed.
#[derive(Clone, Debug, Default)]
pub struct PushOptions {
    /// If the repository has to be created: for its owner alone.
    pub private: bool,
    /// The commit's message.
    pub message: Option<String>,
    /// Propose the commit instead of making it.
    pub create_pr: bool,
}

/// What became of a push.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// The new commit, where the Hub names it.
    pub commit: Option<String>,
    /// Where the model is to be seen.
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
    pub fn new(dir: &Path, name: &HubName, options: &CardOptions) -> Result<Self> {
        options.check()?;
        let [config_path, weights_path] = MODEL_FILES.map(|file| dir.join(file));
        let mut config = ModelConfig::read(&config_path)?;
        let written = config.to_json();
        config.provenance.base_model = config.provenance.base_model.map(without_folders);
        let config_text = if config.to_json() == written {
            read_bounded(&config_path, MAX_CONFIG_BYTES)?
        } else {
            config.to_json().into_bytes()
        };

        let weights = read_bounded(&weights_path, MAX_TENSOR_FILE)?;
        let file = TensorFile::from_bytes(weights.clone(), &weights_path)?;
        let tensors = finite(file.tensors(&weights_path)?, &weights_path)?;
        Model::from_tensors(&config, tensors, &weights_path.display().to_string(), &Compute::cpu(), false)?;

        let card_path = dir.join(CARD_FILE);
        let card = if card_path.exists() {
            if options.license.is_some() || !options.datasets.is_empty() {
                return Err(Error::file(
                    &card_path,
                    "this model card goes to the Hub as it is: state license and data sets in it, or move it away to \
                     have one written",
                ));
            }
            read_bounded(&card_path, MAX_TEXT_BYTES)?
        } else {
            let metrics = RecordedMetrics::read(dir, config.provenance.steps);
            write_card(name, &config, &metrics, options).into_bytes()
        };
        let mut files = vec![
            PackedFile::new(MODEL_FILES[0], config_text),
            PackedFile::new(MODEL_FILES[1], weights),
            PackedFile::new(CARD_FILE, card),
        ];
        let metrics_path = dir.join(METRICS_FILE);
        if metrics_path.exists() {
            files.push(PackedFile::new(METRICS_FILE, read_bounded(&metrics_path, MAX_TEXT_BYTES)?));
        }
        Ok(Self { files })
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

impl PackedFile {
    fn new(path: &'static str, contents: Vec<u8>) -> Self {
        Self { path, sha256: sha256(&contents), contents }
    }
}

/// Names of models have at most one slash; anything with more folders is a path, which is nobody else's business.
fn without_folders(base: String) -> String {
    let is_path = base.parse::<HubName>().is_err() || Path::new(&base).exists();
    let last = Path::new(&base).file_name().map(|name| name.to_string_lossy().into_owned());
    if is_path { last.unwrap_or_default() } else { base }
}
