//! The codes file: a safetensors file with the codes of any number of pictures. docs/codes.md describes it.
//!
//! Codes are of the smallest of u8, u16 and u32 that holds them. Where all pictures have codes of one shape, each level
//! is one tensor [N, h, w] named as the level (`codes`, or `codes_top` and `codes_bottom`); otherwise picture i has
//! tensors `<level>.<i>` [h, w]. Compressed, each level is one tensor of bytes. The metadata key `ksom` holds JSON: see
//! [`Header`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ksom_quantizers::MAX_STAGES;
use safetensors::tensor::TensorView;
use safetensors::{SafeTensorError, SafeTensors};

use crate::codes::coding;
use crate::codes::header::{Header, KEY};
use crate::codes::images::{CodeGrid, ImageCodes};
use crate::codes::npy;
use crate::codes::numbers::{Numbers, Width};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::config::{Architecture, Level};
use crate::system::files::{MAX_TENSOR_FILE, TensorFile, read_bounded, write_atomic};

/// How codes are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Packing {
    /// As whole numbers, which any program reads.
    #[default]
    Plain,
    /// Given their neighbors, in about half the bytes; docs/codes.md describes the form.
    Compressed,
}

/// Codes of pictures, with what is needed to decode them rightly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodesFile {
    /// The model's name as it was given, for messages.
    pub model: String,
    /// [`Model::fingerprint`] of the model that made the codes.
    pub fingerprint: String,
    /// The shape of the codebook's grid, first axis fastest; files of the first version do not tell.
    pub grid: Option<Vec<usize>>,
    /// Pixels of a side under the finest codes.
    pub downsample: usize,
    /// Names of the levels.
    pub levels: Vec<String>,
    /// The pictures' names, without folders above what was asked for.
    pub names: Vec<String>,
    /// Their codes, in the same order.
    pub images: Vec<ImageCodes>,
}

impl CodesFile {
    /// A codes file of `images` as `model` encoded them; `model_name` is for messages.
    ///
    /// # Errors
    /// There are not as many names as pictures, or a tensor operation fails.
    pub fn new(model: &Model, model_name: &str, names: Vec<String>, images: Vec<ImageCodes>) -> Result<Self> {
        if names.len() != images.len() {
            let (names, images) = (names.len(), images.len());
            return Err(Error::Invalid(format!(
                "each picture has one name: expected {images} pictures' names, found {names}"
            )));
        }
        let architecture = &model.config().architecture;
        Ok(Self {
            model: model_name.to_string(),
            fingerprint: model.fingerprint()?,
            grid: Some(model.config().quantizer.grid.clone()),
            downsample: architecture.downsample,
            levels: architecture.levels().iter().map(|level| level.name.to_string()).collect(),
            names,
            images,
        })
    }

    /// Whether all pictures have codes of one shape, so that each level is one tensor.
    pub fn is_uniform(&self) -> bool {
        let shapes = |image: &ImageCodes| -> Vec<_> { image.levels.iter().map(|g| (g.height, g.width)).collect() };
        self.images.windows(2).all(|pair| shapes(&pair[0]) == shapes(&pair[1]))
    }

    /// Codes are below this number.
    pub fn num_codes(&self) -> usize {
        let all = || self.images.iter().flat_map(|image| &image.levels).flat_map(|grid| &grid.codes);
        match &self.grid {
            Some(grid) => grid.iter().product(),
            None => all().max().map_or(1, |&most| most as usize + 1),
        }
    }

    /// Every picture's grid of one level.
    fn grids(&self, level: usize) -> impl Iterator<Item = &CodeGrid> + Clone {
        self.images.iter().map(move |image| &image.levels[level])
    }

    fn codes(&self, level: usize) -> impl Iterator<Item = u32> {
        self.grids(level).flat_map(|grid| grid.codes.iter().copied())
    }

    /// Writes the file atomically.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path, packing: Packing) -> Result<()> {
        let failed = |error| Error::file(path, format!("cannot be written as safetensors: {error}"));
        write_atomic(path, &self.serialize(packing).map_err(failed)?)
    }

    /// The bytes that [`CodesFile::write`] writes.
    ///
    /// # Errors
    /// They cannot be written as safetensors.
    pub fn to_bytes(&self, packing: Packing) -> Result<Vec<u8>> {
        let failed = |error| Error::Invalid(format!("codes cannot be written as safetensors: {error}"));
        self.serialize(packing).map_err(failed)
    }

    fn serialize(&self, packing: Packing) -> std::result::Result<Vec<u8>, SafeTensorError> {
        let header = Header {
            model: self.model.clone(),
            fingerprint: self.fingerprint.clone(),
            levels: self.levels.clone(),
            num_codes: self.num_codes(),
            grid: self.grid.clone(),
            downsample: self.downsample,
            coding: (packing == Packing::Compressed).then(|| coding::NAME.to_string()),
            names: self.names.clone(),
            sizes: self.images.iter().map(|image| [image.width, image.height]).collect(),
        };
        let width = Width::of(self.num_codes());
        let mut tensors = Vec::new();
        for (l, level) in self.levels.iter().enumerate() {
            if packing == Packing::Compressed {
                let bytes = coding::compress(self.grids(l), self.num_codes());
                tensors.push((level.clone(), Width::U8, vec![bytes.len()], bytes));
            } else if self.is_uniform() {
                tensors.push((level.clone(), width, self.shape(l), width.write(self.codes(l))));
            } else {
                tensors.extend(self.grids(l).enumerate().map(|(i, grid)| {
                    let bytes = width.write(grid.codes.iter().copied());
                    (format!("{level}.{i}"), width, vec![grid.height, grid.width], bytes)
                }));
            }
        }
        let views = tensors
            .iter()
            .map(|(name, width, shape, bytes)| Ok((name, TensorView::new(width.dtype(), shape.clone(), bytes)?)))
            .collect::<std::result::Result<Vec<_>, SafeTensorError>>()?;
        safetensors::serialize(views, Some(HashMap::from([(KEY.to_string(), header.to_json())])))
    }

    /// [N, h, w] of a level, where all pictures have codes of one shape.
    fn shape(&self, level: usize) -> Vec<usize> {
        let (h, w) = self.grids(level).next().map_or((0, 0), |grid| (grid.height, grid.width));
        vec![self.images.len(), h, w]
    }

    /// Writes NumPy arrays: of each level all codes, and, where pictures differ in size, their sizes.
    ///
    /// A model of one level has its codes at `path` itself if `whole`; otherwise, and for more levels, files lie beside
    /// it as `<stem>.<level>.npy`. Codes are [N, h, w] where all pictures have grids of one shape, and all in a row
    /// where not: then `<stem>.sizes.npy` [N, 2 + 2·levels] tells how to cut them, by each picture's width and height
    /// in pixels, and the rows and columns of its codes level by level.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write_npy(&self, path: &Path, whole: bool) -> Result<Vec<PathBuf>> {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("codes");
        let beside = |name: &str| path.with_file_name(format!("{stem}.{name}.npy"));
        let mut written = Vec::new();
        for (l, level) in self.levels.iter().enumerate() {
            let path = if whole && self.levels.len() == 1 { path.to_path_buf() } else { beside(level) };
            write_atomic(&path, &self.npy(l))?;
            written.push(path);
        }
        if self.images.windows(2).any(|pair| (pair[0].width, pair[0].height) != (pair[1].width, pair[1].height)) {
            let row = |image: &ImageCodes| {
                let cells = image.levels.iter().flat_map(|grid| [grid.height as u32, grid.width as u32]);
                [image.width, image.height].into_iter().chain(cells).collect::<Vec<_>>()
            };
            let path = beside("sizes");
            let shape = [self.images.len(), 2 + 2 * self.levels.len()];
            write_atomic(&path, &npy::to_bytes(&shape, self.images.iter().flat_map(row), Width::U32))?;
            written.push(path);
        }
        Ok(written)
    }

    /// The NumPy array of a level's codes that [`CodesFile::write_npy`] writes.
    ///
    /// # Panics
    /// There is no such level.
    pub fn npy(&self, level: usize) -> Vec<u8> {
        let shape = if self.is_uniform() { self.shape(level) } else { vec![self.codes(level).count()] };
        npy::to_bytes(&shape, self.codes(level), Width::of(self.num_codes()))
    }

    /// Reads a codes file.
    ///
    /// # Errors
    /// It is no safetensors file, has no description of its pictures, or tensors and description disagree.
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_bytes(read_bounded(path, MAX_TENSOR_FILE)?, path)
    }

    /// Reads a codes file that is in memory; `path` is named in errors.
    ///
    /// # Errors
    /// As [`CodesFile::read`].
    pub fn from_bytes(bytes: Vec<u8>, path: &Path) -> Result<Self> {
        let file = TensorFile::from_bytes(bytes, path)?;
        match file.metadata(path)?.get(KEY) {
            Some(header) => Self::from_tensors(header, &file.parse(path)?, path),
            None => {
                let expected = "expected a codes file (as `ksom encode` writes)";
                Err(Error::file(path, format!("{expected}, found no metadata {KEY:?}")))
            }
        }
    }

    /// From the parts of the file.
    pub(crate) fn from_tensors(header: &str, tensors: &SafeTensors<'_>, path: &Path) -> Result<Self> {
        let header = Header::parse(header, path)?;
        let kinds = [Architecture::vqvae(), Architecture::vqvae2()]
            .map(|architecture| Architecture { downsample: header.downsample, ..architecture });
        let mut known = (1..=MAX_STAGES).flat_map(|stages| kinds.clone().map(|kind| Architecture { stages, ..kind }));
        let is_known =
            |architecture: &Architecture| header.levels.iter().eq(architecture.levels().iter().map(|level| level.name));
        let Some(architecture) = known.find(is_known) else {
            let expected = "expected levels codes, or codes_top and codes_bottom, and further stages of them";
            return Err(Error::file(path, format!("{expected}, found {:.200}", header.levels.join(", "))));
        };
        architecture.validate().map_err(|message| Error::file(path, message))?;
        let image = |&[width, height]: &[u32; 2]| ImageCodes { width, height, levels: Vec::new() };
        let mut images: Vec<ImageCodes> = header.sizes.iter().map(image).collect();
        for level in &architecture.levels() {
            let grids = match &header.coding {
                None => plain(level.name, images.len(), tensors, path)?,
                Some(name) if name == coding::NAME => {
                    let shape = |image: &ImageCodes| architecture.grid_shape(level, image.width, image.height);
                    let shapes: Vec<_> = images.iter().map(shape).collect();
                    let bytes = tensor(level.name, tensors, path)?.data();
                    coding::decompress(bytes, &shapes, header.num_codes)
                        .map_err(|message| Error::file(path, format!("{}: {message}", level.name)))?
                }
                Some(other) => {
                    let message = format!("its codes are compressed as {other:.40?}: a newer ksom may read them");
                    return Err(Error::file(path, message));
                }
            };
            for (image, grid) in images.iter_mut().zip(grids) {
                image.levels.push(grid);
            }
        }
        let Header { model, fingerprint, grid, downsample, levels, names, .. } = header;
        Ok(Self { model, fingerprint, grid, downsample, levels, names, images })
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

fn tensor<'a>(name: &str, tensors: &SafeTensors<'a>, path: &Path) -> Result<TensorView<'a>> {
    tensors.tensor(name).map_err(|_| Error::file(path, format!("expected a tensor {name}, found none")))
}

/// Shape and codes of a tensor of whole numbers.
pub(crate) fn whole_numbers(name: &str, view: &TensorView<'_>, path: &Path) -> Result<(Vec<usize>, Vec<u32>)> {
    let Some(numbers) = Numbers::of_dtype(view.dtype()) else {
        return Err(Error::file(path, format!("{name} should hold whole numbers, found {:?}", view.dtype())));
    };
    let codes = numbers.read(view.data()).map_err(|message| Error::file(path, format!("{name}: {message}")))?;
    Ok((view.shape().to_vec(), codes))
}

/// The grids of a level of `count` pictures that are not compressed.
fn plain(level: &str, count: usize, tensors: &SafeTensors<'_>, path: &Path) -> Result<Vec<CodeGrid>> {
    let read = |name: &str, rank: usize| {
        let (shape, codes) = whole_numbers(name, &tensor(name, tensors, path)?, path)?;
        if shape.len() != rank {
            return Err(Error::file(path, format!("{name} should be of rank {rank}, found {shape:?}")));
        }
        Ok((shape, codes))
    };
    if tensors.names().contains(&level) {
        let (shape, codes) = read(level, 3)?;
        if shape[0] != count {
            return Err(Error::file(path, format!("{level} should hold {count} pictures, found {}", shape[0])));
        }
        let area = codes.len() / count.max(1);
        let grid = |i: usize| CodeGrid { height: shape[1], width: shape[2], codes: codes[i * area..][..area].to_vec() };
        return Ok((0..count).map(grid).collect());
    }
    (0..count)
        .map(|i| {
            let (shape, codes) = read(&format!("{level}.{i}"), 2)?;
            Ok(CodeGrid { height: shape[0], width: shape[1], codes })
        })
        .collect()
}
