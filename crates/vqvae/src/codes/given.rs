//! Codes from anywhere: codes files, and bare arrays that say neither which model they belong to nor how large the
//! pictures are.

use std::path::{Path, PathBuf};

use crate::codes::file::{CodesFile, whole_numbers};
use crate::codes::header::KEY;
use crate::codes::images::{CodeGrid, ImageCodes};
use crate::codes::npy::{self, Array};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::system::file_kind::FileKind;
use crate::system::files::{MAX_TENSOR_FILE, TensorFile, read_bounded};

/// A file of bare arrays has hardly more tensors than a model has levels.
const MAX_ARRAYS: usize = 8;

/// What a file of codes turns out to be.
#[derive(Clone, Debug)]
pub enum GivenCodes {
    /// A codes file, which knows its model and its pictures.
    File(CodesFile),
    /// Arrays without a description.
    Bare(BareCodes),
}

/// Arrays of codes, as other programs make them.
#[derive(Clone, Debug)]
pub struct BareCodes {
    arrays: Vec<(String, Array)>,
    path: PathBuf,
}

/// How large the pictures of bare codes are, in pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GivenSizes {
    /// Exactly as large as their codes cover.
    Covered,
    /// All of one width and height.
    One([u32; 2]),
    /// Each has its own.
    Each(Vec<[u32; 2]>),
}

impl GivenSizes {
    /// Reads the sizes that [`CodesFile::write_npy`] writes: [N, 2 or more], width and height first.
    ///
    /// # Errors
    /// The file cannot be read or is no such array.
    pub fn read(path: &Path) -> Result<Self> {
        let array = npy::read(&read_bounded(path, MAX_TENSOR_FILE)?, path)?;
        match array.shape[..] {
            [_, columns] if columns >= 2 => {
                Ok(Self::Each(array.values.chunks_exact(columns).map(|row| [row[0], row[1]]).collect()))
            }
            _ => Err(Error::file(
                path,
                format!("expected a row of width and height for each picture, found shape {:?}", array.shape),
            )),
        }
    }
}

impl GivenCodes {
    /// Reads a codes file, a safetensors file of whole numbers, or a NumPy array of them.
    ///
    /// # Errors
    /// It is something else, which is named, or holds a number that is no code.
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_bytes(read_bounded(path, MAX_TENSOR_FILE)?, path)
    }

    /// As [`GivenCodes::read`], from memory; `path` is named in errors.
    ///
    /// # Errors
    /// As [`GivenCodes::read`].
    pub fn from_bytes(bytes: Vec<u8>, path: &Path) -> Result<Self> {
        let bare = |arrays| Ok(Self::Bare(BareCodes { arrays, path: path.to_path_buf() }));
        match FileKind::of(&bytes) {
            FileKind::Npy => bare(vec![(String::new(), npy::read(&bytes, path)?)]),
            FileKind::Safetensors | FileKind::Unknown => {
                let file = TensorFile::from_bytes(bytes, path)?;
                let tensors = file.parse(path)?;
                if let Some(header) = file.metadata(path)?.get(KEY) {
                    return Ok(Self::File(CodesFile::from_tensors(header, &tensors, path)?));
                }
                let mut names: Vec<&str> = tensors.names();
                names.sort_unstable();
                if names.is_empty() || names.len() > MAX_ARRAYS {
                    let found = format!("found {} tensors ({:.80}…)", names.len(), names.join(", "));
                    return Err(Error::file(path, format!("expected codes, one tensor for each level, {found}")));
                }
                let arrays = names.into_iter().map(|name| {
                    let view = tensors.tensor(name).map_err(|error| Error::file(path, error.to_string()))?;
                    let (shape, values) = whole_numbers(name, &view, path)?;
                    Ok((name.to_string(), Array { shape, values }))
                });
                bare(arrays.collect::<Result<_>>()?)
            }
            other => Err(Error::file(path, other.instead("codes (safetensors or .npy)"))),
        }
    }
}

impl BareCodes {
    /// Joins the arrays of several files, each of one level.
    ///
    /// # Errors
    /// A file knows its model: it is whole and goes alone.
    pub fn join(files: Vec<GivenCodes>) -> Result<Self> {
        let mut joined: Option<Self> = None;
        for file in files {
            match (file, &mut joined) {
                (GivenCodes::File(file), _) => {
                    return Err(Error::Invalid(format!(
                        "a codes file ({} pictures by {}) holds all levels and cannot be joined with others",
                        file.names.len(),
                        file.model
                    )));
                }
                (GivenCodes::Bare(bare), Some(joined)) => joined.arrays.extend(bare.arrays),
                (GivenCodes::Bare(bare), none) => *none = Some(bare),
            }
        }
        joined.ok_or_else(|| Error::Invalid("expected a file of codes".to_string()))
    }

    /// Whether an array is flat, so that the pictures' sizes must be said.
    pub fn is_flat(&self) -> bool {
        self.arrays.iter().any(|(_, array)| array.shape.len() < 2)
    }

    /// The codes as `model` is to decode them; pictures are called by their numbers.
    ///
    /// # Errors
    /// There is not one array for each of the model's levels, or shapes and sizes do not fit together.
    pub fn describe(mut self, model: &Model, model_name: &str, sizes: &GivenSizes) -> Result<CodesFile> {
        let architecture = &model.config().architecture;
        let levels = architecture.levels();
        let wrong = |message: String| Error::file(&self.path, message);
        if self.arrays.len() != levels.len() {
            let names: Vec<&str> = levels.iter().map(|level| level.name).collect();
            let found = self.arrays.len();
            return Err(wrong(format!(
                "{model_name} has {} level(s) of codes ({}), found {found} array(s)",
                levels.len(),
                names.join(", ")
            )));
        }
        // By name where every level is named, in the order given where not.
        let place = |name: &str| levels.iter().position(|level| level.name == name);
        if self.arrays.iter().all(|(name, _)| place(name).is_some()) {
            self.arrays.sort_by_key(|(name, _)| place(name));
        }
        let mut images: Vec<ImageCodes> = Vec::new();
        for (level, (name, array)) in levels.iter().zip(std::mem::take(&mut self.arrays)) {
            let shape = |[width, height]: [u32; 2]| architecture.grid_shape(level, width, height);
            let named = |message: String| {
                let name = if name.is_empty() { level.name } else { &name };
                Error::file(&self.path, format!("{name}: {message}"))
            };
            let shapes = cut(&array, sizes, shape).map_err(named)?;
            let stride = level.stride;
            if images.is_empty() {
                let size = |i: usize, (h, w): (usize, usize)| match sizes {
                    GivenSizes::Covered => [w, h].map(|side| u32::try_from(side * stride).unwrap_or(u32::MAX)),
                    GivenSizes::One(size) => *size,
                    GivenSizes::Each(all) => all[i],
                };
                let image = |(i, &shape): (usize, &(usize, usize))| {
                    let [width, height] = size(i, shape);
                    ImageCodes { width, height, levels: Vec::with_capacity(levels.len()) }
                };
                images = shapes.iter().enumerate().map(image).collect();
            }
            if images.len() != shapes.len() {
                return Err(named(format!("expected codes of {} pictures, found {}", images.len(), shapes.len())));
            }
            let mut rest = &array.values[..];
            for (image, (height, width)) in images.iter_mut().zip(shapes) {
                let (codes, after) = rest.split_at(height * width);
                image.levels.push(CodeGrid { height, width, codes: codes.to_vec() });
                rest = after;
            }
        }
        let digits = images.len().saturating_sub(1).to_string().len();
        let names = (0..images.len()).map(|i| format!("{i:0digits$}")).collect();
        CodesFile::new(model, model_name, names, images)
    }
}

/// Rows and columns of each picture's codes in an array; `shape` tells those of a picture of a size.
fn cut(
    array: &Array,
    sizes: &GivenSizes,
    shape: impl Fn([u32; 2]) -> (usize, usize),
) -> Result<Vec<(usize, usize)>, String> {
    let count = array.values.len();
    // A channel axis of one, as networks have it.
    let axes = match array.shape[..] {
        [n, 1, h, w] => vec![n, h, w],
        ref axes => axes.to_vec(),
    };
    if count == 0 {
        return Err(format!("an array of {:?} holds no codes", array.shape));
    }
    match sizes {
        GivenSizes::Covered => match axes[..] {
            [h, w] => Ok(vec![(h, w)]),
            [n, h, w] => Ok(vec![(h, w); n]),
            _ => Err(format!("an array of shape {:?} does not tell how large the pictures are", array.shape)),
        },
        GivenSizes::One(size) => {
            let (h, w) = shape(*size);
            let area = h.saturating_mul(w);
            let pictures = match axes[..] {
                [a, b] if (a, b) == (h, w) => Some(1),
                [n, a, b] if (a, b) == (h, w) => Some(n),
                [n, all] if all == area => Some(n),
                [all] if area > 0 && all % area == 0 => Some(all / area),
                _ => None,
            };
            let [width, height] = size;
            pictures.map(|n| vec![(h, w); n]).ok_or_else(|| {
                format!(
                    "a picture of {width}×{height} has {w}×{h} codes ({h} rows), found an array of {:?}",
                    array.shape
                )
            })
        }
        GivenSizes::Each(all) => {
            let shapes: Vec<_> = all.iter().map(|&size| shape(size)).collect();
            let expected = shapes.iter().fold(0usize, |sum, (h, w)| sum.saturating_add(h.saturating_mul(*w)));
            if expected != count {
                return Err(format!("{} pictures of these sizes have {expected} codes, found {count}", all.len()));
            }
            Ok(shapes)
        }
    }
}
