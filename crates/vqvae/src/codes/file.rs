//! The codes file: a safetensors file with the codes of any number of pictures.
//!
//! Codes are i32. Where all pictures have codes of one shape, each level is one tensor [N, h, w] named as the level
//! (`codes`, or `codes_top` and `codes_bottom`); otherwise picture i has tensors `<level>.<i>` [h, w]. The metadata key
//! `ksom` holds JSON: format version, the model's name and fingerprint, and each picture's name and size.

use std::collections::HashMap;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};

use crate::codes::images::{CodeGrid, ImageCodes};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::config::{Architecture, Level};
use crate::system::files::{TensorFile, write_atomic, write_atomic_with};

const FORMAT_VERSION: u32 = 1;
const METADATA_KEY: &str = "ksom";

/// Codes of pictures, with what is needed to decode them rightly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodesFile {
    /// The model's name as it was given, for messages.
    pub model: String,
    /// [`Model::fingerprint`] of the model that made the codes.
    pub fingerprint: String,
    /// Names of the levels.
    pub levels: Vec<String>,
    /// The pictures' names, without folders above what was asked for.
    pub names: Vec<String>,
    /// Their codes, in the same order.
    pub images: Vec<ImageCodes>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format_version: u32,
    model: String,
    fingerprint: String,
    levels: Vec<String>,
    images: Vec<ImageHeader>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageHeader {
    name: String,
    width: u32,
    height: u32,
}

impl CodesFile {
    /// A codes file of `images` as `model` encoded them; `model_name` is for messages.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn new(model: &Model, model_name: &str, names: Vec<String>, images: Vec<ImageCodes>) -> Result<Self> {
        let levels = model.config().architecture.levels().iter().map(|level| level.name.to_string()).collect();
        Ok(Self { model: model_name.to_string(), fingerprint: model.fingerprint()?, levels, names, images })
    }

    /// Whether all pictures have codes of one shape, so that each level is one tensor.
    pub fn is_uniform(&self) -> bool {
        let shapes = |image: &ImageCodes| -> Vec<_> { image.levels.iter().map(|g| (g.height, g.width)).collect() };
        self.images.windows(2).all(|pair| shapes(&pair[0]) == shapes(&pair[1]))
    }

    /// Each tensor of the file: name, shape, codes.
    fn tensors(&self) -> Vec<(String, Vec<usize>, Vec<u32>)> {
        let mut tensors = Vec::new();
        for (l, level) in self.levels.iter().enumerate() {
            let grids = || self.images.iter().map(move |image| &image.levels[l]);
            if self.is_uniform() {
                let (h, w) = grids().next().map_or((0, 0), |grid| (grid.height, grid.width));
                let codes = grids().flat_map(|grid| grid.codes.iter().copied()).collect();
                tensors.push((level.clone(), vec![self.images.len(), h, w], codes));
            } else {
                for (i, grid) in grids().enumerate() {
                    tensors.push((format!("{level}.{i}"), vec![grid.height, grid.width], grid.codes.clone()));
                }
            }
        }
        tensors
    }

    /// Writes the file atomically.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let header = Header {
            format_version: FORMAT_VERSION,
            model: self.model.clone(),
            fingerprint: self.fingerprint.clone(),
            levels: self.levels.clone(),
            images: self
                .names
                .iter()
                .zip(&self.images)
                .map(|(name, image)| ImageHeader { name: name.clone(), width: image.width, height: image.height })
                .collect(),
        };
        let header = serde_json::to_string(&header).map_err(|error| Error::file(path, error.to_string()))?;
        let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = self
            .tensors()
            .into_iter()
            .map(|(name, shape, codes)| (name, shape, codes.iter().flat_map(|code| code.to_le_bytes()).collect()))
            .collect();
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::I32, shape.clone(), bytes)?)))
            .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>();
        let bytes = views
            .and_then(|views| safetensors::serialize(views, Some(HashMap::from([(METADATA_KEY.to_string(), header)]))))
            .map_err(|error| Error::file(path, format!("cannot be written as safetensors: {error}")))?;
        write_atomic(path, &bytes)
    }

    /// Writes each tensor of the file as NumPy's `.npy` beside it: `<stem>.<tensor>.npy`, i32.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write_npy(&self, path: &Path) -> Result<Vec<std::path::PathBuf>> {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("codes");
        let mut written = Vec::new();
        for (name, shape, codes) in self.tensors() {
            let path = path.with_file_name(format!("{stem}.{name}.npy"));
            let shape: Vec<String> = shape.iter().map(|side| format!("{side},")).collect();
            let mut header = format!("{{'descr': '<i4', 'fortran_order': False, 'shape': ({}), }}", shape.join(" "));
            // Magic, version and length are 10 bytes; the whole is a multiple of 64 and ends in a line feed.
            let padding = (10 + header.len() + 1).next_multiple_of(64) - (10 + header.len() + 1);
            header.extend(std::iter::repeat_n(' ', padding));
            header.push('\n');
            write_atomic_with(&path, |file| {
                use std::io::Write;
                file.write_all(b"\x93NUMPY\x01\x00")?;
                file.write_all(&(header.len() as u16).to_le_bytes())?;
                file.write_all(header.as_bytes())?;
                codes.iter().try_for_each(|code| file.write_all(&code.to_le_bytes()))
            })?;
            written.push(path);
        }
        Ok(written)
    }

    /// Reads a codes file.
    ///
    /// # Errors
    /// It is no safetensors file, has no description of its pictures, or tensors and description disagree.
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_file(&TensorFile::read(path)?, path)
    }

    /// Reads a codes file that is in memory; `path` is named in errors.
    ///
    /// # Errors
    /// As [`CodesFile::read`].
    pub fn from_bytes(bytes: Vec<u8>, path: &Path) -> Result<Self> {
        Self::from_file(&TensorFile::from_bytes(bytes, path)?, path)
    }

    fn from_file(file: &TensorFile, path: &Path) -> Result<Self> {
        let metadata = file.metadata(path)?;
        let header = metadata.get(METADATA_KEY).ok_or_else(|| {
            Error::file(
                path,
                format!("expected a codes file (as `ksom encode` writes), found no metadata {METADATA_KEY:?}"),
            )
        })?;
        let header: Header = serde_json::from_str(header)
            .map_err(|error| Error::file(path, format!("the description of the pictures is malformed: {error}")))?;
        if header.format_version != FORMAT_VERSION {
            return Err(Error::file(
                path,
                format!("expected format version {FORMAT_VERSION}, found {}", header.format_version),
            ));
        }
        let is_known =
            |architecture: Architecture| header.levels.iter().eq(architecture.levels().iter().map(|l| l.name));
        if !is_known(Architecture::vqvae()) && !is_known(Architecture::vqvae2()) {
            let expected = "expected levels codes, or codes_top and codes_bottom";
            return Err(Error::file(path, format!("{expected}, found {:.200}", header.levels.join(", "))));
        }
        let tensors = file.parse(path)?;
        let read = |name: &str, rank: usize| -> Result<(Vec<usize>, Vec<u32>)> {
            let view =
                tensors.tensor(name).map_err(|_| Error::file(path, format!("expected a tensor {name}, found none")))?;
            if view.dtype() != Dtype::I32 || view.shape().len() != rank {
                return Err(Error::file(
                    path,
                    format!("{name} should be i32 of rank {rank}, found {:?} {:?}", view.dtype(), view.shape()),
                ));
            }
            // Negative codes become large ones, which decoding refuses.
            let codes = view.data().chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            Ok((view.shape().to_vec(), codes))
        };
        let count = header.images.len();
        let mut images: Vec<ImageCodes> = header
            .images
            .iter()
            .map(|image| ImageCodes { width: image.width, height: image.height, levels: Vec::new() })
            .collect();
        for level in &header.levels {
            if tensors.names().iter().any(|name| name == level) {
                let (shape, codes) = read(level, 3)?;
                if shape[0] != count {
                    return Err(Error::file(path, format!("{level} should hold {count} pictures, found {}", shape[0])));
                }
                let area = codes.len() / count.max(1);
                for (i, image) in images.iter_mut().enumerate() {
                    let codes = codes[i * area..(i + 1) * area].to_vec();
                    image.levels.push(CodeGrid { height: shape[1], width: shape[2], codes });
                }
            } else {
                for (i, image) in images.iter_mut().enumerate() {
                    let (shape, codes) = read(&format!("{level}.{i}"), 2)?;
                    image.levels.push(CodeGrid { height: shape[0], width: shape[1], codes });
                }
            }
        }
        let names = header.images.into_iter().map(|image| image.name).collect();
        Ok(Self { model: header.model, fingerprint: header.fingerprint, levels: header.levels, names, images })
    }

    /// Makes sure that `model` is one that these codes mean something to.
    ///
    /// # Errors
    /// The codebooks or levels are others, or a picture's codes do not fit; `path` is named in the message.
    pub fn check(&self, model: &Model, path: &Path) -> Result<()> {
        let levels: Vec<&str> = model.config().architecture.levels().iter().map(|level: &Level| level.name).collect();
        if self.levels != levels || self.fingerprint != model.fingerprint()? {
            return Err(Error::WrongModel {
                path: path.to_path_buf(),
                message: format!(
                    "these codes were made by another model ({}, fingerprint {:.12}…); this model's fingerprint is {:.12}…, and codes mean nothing to another codebook: decode them with the model that made them",
                    self.model,
                    self.fingerprint,
                    model.fingerprint()?
                ),
            });
        }
        for (name, image) in self.names.iter().zip(&self.images) {
            image.validate(model).map_err(|message| Error::file(path, format!("{name}: {message}")))?;
        }
        Ok(())
    }
}
