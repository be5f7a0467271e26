//! What made the tokens of a folder: `manifest.json`.

use std::path::Path;

use ksom_datasets::Preprocess;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::codes::grid_layout;
use crate::codes::numbers::Width;
use crate::error::{Error, Result};
use crate::model::config::{four, is_four};
use crate::model::{Model, Part};
use crate::system::digest::hexadecimal;
use crate::system::files::read_text;
use crate::tokens::form::TokenForm;

/// The manifest's name in its folder.
pub const MANIFEST_FILE: &str = "manifest.json";

/// The version that is written.
const VERSION: u32 = 1;

/// The longest manifest that is read, in bytes.
pub(super) const MAX_BYTES: u64 = 1 << 20;

/// What made tokens, and what they mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format_version: u32,
    /// The model's name as it was given, for messages.
    pub model: String,
    /// Its commit, if it came from the Hub.
    pub commit: Option<String>,
    /// [`Model::fingerprint`]: who has the same codebooks and levels can decode.
    pub fingerprint: String,
    /// A hash of everything that makes codes of pictures: who has the same makes the same codes.
    pub encoder: String,
    /// Names of the levels, top first.
    pub levels: Vec<String>,
    /// Codes are below this number.
    pub num_codes: usize,
    /// The shape of the codebook's grid, first axis fastest.
    pub grid: Vec<usize>,
    /// Where code k lies on the grid, in words.
    pub grid_layout: String,
    /// Pixels of a side under the finest codes.
    #[serde(default = "four", skip_serializing_if = "is_four")]
    pub downsample: usize,
    /// The shards' form.
    pub form: TokenForm,
    /// The codes' type, as NumPy calls it.
    pub code_type: String,
    /// What is done to every picture first.
    pub preprocess: Preprocess,
    /// Rows and columns of each level's codes, where they are the same for all pictures.
    pub shapes: Option<Vec<[usize; 2]>>,
}

impl Manifest {
    /// Of tokens that `model` makes; it is called `name`, and came with `commit` from the Hub.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn new(
        model: &Model,
        (name, commit): (String, Option<String>),
        form: TokenForm,
        preprocess: Preprocess,
    ) -> Result<Self> {
        let config = model.config();
        let levels = config.architecture.levels();
        let shapes = preprocess.size().map(|(width, height)| {
            let shape = |level| <[usize; 2]>::from(config.architecture.grid_shape(level, width, height));
            levels.iter().map(shape).collect()
        });
        Ok(Self {
            format_version: VERSION,
            model: name,
            commit,
            fingerprint: model.fingerprint()?,
            encoder: encoder(model)?,
            levels: levels.iter().map(|level| level.name.to_string()).collect(),
            num_codes: config.quantizer.num_codes,
            grid: config.quantizer.grid.clone(),
            grid_layout: grid_layout(&config.quantizer.grid),
            downsample: config.architecture.downsample,
            form,
            code_type: match width_of(config.quantizer.num_codes) {
                Width::U32 => "uint32".to_string(),
                _ => "uint16".to_string(),
            },
            preprocess,
            shapes,
        })
    }

    /// Reads a folder's manifest.
    ///
    /// # Errors
    /// There is none, or it is malformed or of another version.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST_FILE);
        Self::parse(&read_text(&path, MAX_BYTES)?, &path)
    }

    /// Reads the JSON; `path` is named in errors.
    ///
    /// # Errors
    /// It is malformed, or of another version.
    pub fn parse(json: &str, path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let malformed =
            |error: serde_json::Error| Error::file(path, format!("the description of tokens is malformed: {error}"));
        match serde_json::from_str::<Version>(json).map_err(malformed)?.format_version {
            VERSION => serde_json::from_str(json).map_err(malformed),
            other => Err(Error::file(
                path,
                format!("expected tokens of format version {VERSION}, found {other}: a newer ksom may read them"),
            )),
        }
    }

    /// The JSON.
    pub fn to_json(&self) -> String {
        // Numbers, strings and lists of them.
        serde_json::to_string_pretty(self).expect("a description is plain data") + "\n"
    }

    /// Makes sure that tokens of this manifest, found at `path`, and those that `new` is about may lie in one folder.
    ///
    /// # Errors
    /// Another encoder makes other codes, pictures are brought to another size, or the shards have another form.
    pub(super) fn check_same(&self, new: &Self, path: &Path) -> Result<()> {
        let refuse = |message: String| Err(Error::WrongModel { path: path.to_path_buf(), message });
        if (&self.fingerprint, &self.encoder, &self.levels) != (&new.fingerprint, &new.encoder, &new.levels) {
            return refuse(format!(
                "the tokens in this folder were made by another model ({}, fingerprint {:.12}…, encoder {:.12}…); that of {} has fingerprint {:.12}…, encoder {:.12}…: go on with the model that made them, or choose another folder",
                self.model, self.fingerprint, self.encoder, new.model, new.fingerprint, new.encoder
            ));
        }
        let how = |manifest: &Self| serde_json::to_string(&(manifest.form, manifest.preprocess)).unwrap_or_default();
        if how(self) != how(new) {
            return refuse(format!(
                "the tokens in this folder were made in another way ({}) than is asked for now ({}): go on as they were begun, or choose another folder",
                how(self),
                how(new)
            ));
        }
        Ok(())
    }
}

/// The type that tokens are written in.
pub(super) fn width_of(num_codes: usize) -> Width {
    match Width::of(num_codes) {
        Width::U32 => Width::U32,
        _ => Width::U16,
    }
}

/// A hash of everything but the decoder.
fn encoder(model: &Model) -> Result<String> {
    let mut hash = Sha256::new();
    for (name, tensor) in model.state()? {
        if !Part::Decoder.has(&name, &model.config().architecture) {
            hash.update(format!("{name} {:?}\n", tensor.dims()));
            let values = tensor.to_device(&candle_core::Device::Cpu)?.to_dtype(candle_core::DType::F32)?;
            values.flatten_all()?.to_vec1::<f32>()?.iter().for_each(|value| hash.update(value.to_le_bytes()));
        }
    }
    hash.update(serde_json::to_string(&model.config().preprocessing).unwrap_or_default());
    Ok(hexadecimal(&hash.finalize()))
}
