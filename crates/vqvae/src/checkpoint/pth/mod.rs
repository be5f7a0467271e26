//! Reads PyTorch checkpoints (`.pth`, the zip archives that `torch.save` writes) without trusting them.
//!
//! A checkpoint's structure is a pickle, which Python would run as a program. Here it is read as data within fixed
//! limits: unknown classes become inert dictionaries, nothing is executed, and no size is believed before the file
//! is seen to hold it.
//!
//! # Source
//! The layout is described in PyTorch's `torch/serialization.py`: one folder with `data.pkl`, the structure, and
//! `data/<name>`, one stored (not compressed) entry for each tensor storage.

mod node;
mod numpy;
mod unpickle;
mod value;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Tensor};
use zip::{CompressionMethod, ZipArchive};

use crate::system::file_kind::{FileKind, HEAD};

pub use value::{PthValue, StorageType, TensorRef};

/// Largest structure (`data.pkl`) that is read, in bytes.
const MAX_PICKLE_BYTES: u64 = 64 << 20;
/// Most elements to which a view may repeat a smaller storage (`Tensor.expand`).
const MAX_EXPANDED_ELEMENTS: usize = 1 << 20;

/// Why a PyTorch checkpoint, or a part of it, could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PthError {
    /// The file could not be opened.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file is not an archive of the expected form.
    #[error("{}: not a readable PyTorch checkpoint: {message}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// The structure is damaged, too large, or of another form than `torch.save` writes.
    #[error("{}: the checkpoint's structure is not readable (data.pkl, byte {offset}): {message}", path.display())]
    Structure {
        /// The file.
        path: PathBuf,
        /// The byte of `data.pkl` at which reading stopped.
        offset: usize,
        /// What was expected and found.
        message: String,
    },
    /// The checkpoint holds no such value.
    #[error("{}: the checkpoint has no value {key:?}: {message}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The keys that lead to the value, joined by `/`.
        key: String,
        /// What was found instead.
        message: String,
    },
    /// A tensor does not fit its storage, or has a type that is not supported.
    #[error("{}: cannot read the tensor of storage {storage:?}: {message}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The storage's name.
        storage: String,
        /// What was expected and found.
        message: String,
    },
}

/// A PyTorch checkpoint: its structure in memory, its tensors read on demand.
#[derive(Debug)]
pub struct PthFile {
    path: PathBuf,
    value: PthValue,
    /// The folder in the archive that holds everything.
    root: String,
    archive: Mutex<ZipArchive<BufReader<File>>>,
}

impl PthFile {
    /// Opens a checkpoint and reads its structure.
    ///
    /// # Errors
    /// The file cannot be read; is no `torch.save` zip archive (files saved before PyTorch 1.6 are not); its
    /// structure is damaged or beyond the limits (64 MiB, two million operations, a million values, nesting of 64);
    /// or it was written on a big-endian machine.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, PthError> {
        let path = path.as_ref().to_path_buf();
        let refused = |message: String| PthError::Archive { path: path.clone(), message };
        let opened = |source| PthError::Open { path: path.clone(), source };
        let mut file = File::open(&path).map_err(opened)?;
        let mut head = Vec::new();
        (&mut file).take(HEAD as u64).read_to_end(&mut head).and_then(|_| file.rewind()).map_err(opened)?;
        match FileKind::of(&head) {
            FileKind::Torch | FileKind::Unknown => {}
            // The end of an archive decides; its beginning may be anything.
            FileKind::Other(name) if name.contains("zip") => {}
            other => return Err(refused(other.instead("the zip format of torch.save (PyTorch 1.6 and later)"))),
        }
        let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| {
            refused(format!("{error}; expected the zip format of torch.save (PyTorch 1.6 and later)"))
        })?;
        let root = archive_root(&archive).map_err(refused)?;
        let byte_order = format!("{root}/byteorder");
        if archive.index_for_name(&byte_order).is_some() {
            let order = read_entry(&mut archive, &byte_order, 16).map_err(refused)?;
            if order != b"little" {
                let found = String::from_utf8_lossy(&order).into_owned();
                return Err(refused(format!("expected little-endian numbers, found byte order {found:?}")));
            }
        }
        let pickle = read_entry(&mut archive, &format!("{root}/data.pkl"), MAX_PICKLE_BYTES).map_err(refused)?;
        let value = unpickle::unpickle(&pickle).map_err(|error| PthError::Structure {
            path: path.clone(),
            offset: error.offset,
            message: error.message,
        })?;
        Ok(Self { path, value, root, archive: Mutex::new(archive) })
    }

    /// The file that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Everything that the checkpoint holds.
    pub fn value(&self) -> &PthValue {
        &self.value
    }

    /// The value that the string `keys` lead to, one for each level of nested dictionaries.
    ///
    /// # Errors
    /// Names the key that leads nowhere and what was found in its place.
    pub fn get(&self, keys: &[&str]) -> Result<&PthValue, PthError> {
        let mut value = &self.value;
        for (depth, &key) in keys.iter().enumerate() {
            value = value.get(key).ok_or_else(|| PthError::Missing {
                path: self.path.clone(),
                key: keys[..=depth].join("/"),
                message: match value.as_dict() {
                    Some(entries) => format!("expected it among {}", key_list(entries)),
                    None => format!("expected a dictionary, found {}", value.kind()),
                },
            })?;
        }
        Ok(value)
    }

    /// Reads a tensor to the CPU, contiguous, in the type that [`StorageType::dtype`] gives.
    ///
    /// # Errors
    /// The element type is not supported; the storage is absent, compressed, damaged (its checksum is verified) or
    /// smaller than the view needs; or the view repeats its storage to more than a million elements.
    pub fn tensor(&self, tensor: &TensorRef) -> Result<Tensor, PthError> {
        self.read_tensor(tensor).map_err(|message| PthError::Tensor {
            path: self.path.clone(),
            storage: tensor.storage.clone(),
            message,
        })
    }

    fn read_tensor(&self, tensor: &TensorRef) -> Result<Tensor, String> {
        let dtype = tensor.storage_type.dtype().ok_or("its element type is not supported")?;
        let size = dtype.size_in_bytes();
        let name = format!("{}/data/{}", self.root, tensor.storage);
        // A panic elsewhere cannot leave the archive half-changed: each read seeks to its own place.
        let mut archive = self.archive.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = read_entry(&mut archive, &name, u64::MAX)?;
        drop(archive);
        let stored = bytes.len() / size;
        let shape = tensor.shape();
        let (Some(elements), Some(reach)) = (tensor.elements(), tensor.reach()) else {
            return Err(format!("its size {shape:?} is too large"));
        };
        if reach > stored {
            return Err(format!("its size {shape:?} needs {reach} elements, the storage holds {stored}"));
        }
        if elements > stored.max(MAX_EXPANDED_ELEMENTS) {
            return Err(format!("its size {shape:?} repeats a storage of {stored} elements; save it contiguous"));
        }
        let result = if elements > 0 && tensor.is_contiguous() {
            let start = tensor.offset * size;
            Tensor::from_raw_buffer(&bytes[start..start + elements * size], dtype, shape, &Device::Cpu)
        } else {
            Tensor::from_raw_buffer(&gather(&bytes, tensor, elements, size), dtype, shape, &Device::Cpu)
        };
        result.map_err(|error| error.to_string())
    }
}

/// Copies a strided view into row-major order. The caller has checked that the storage holds every element.
fn gather(storage: &[u8], tensor: &TensorRef, elements: usize, size: usize) -> Vec<u8> {
    let mut gathered = Vec::with_capacity(elements * size);
    let mut index = vec![0; tensor.shape.len()];
    for _ in 0..elements {
        let at: usize = tensor.offset + index.iter().zip(&tensor.strides).map(|(i, stride)| i * stride).sum::<usize>();
        gathered.extend_from_slice(&storage[at * size..(at + 1) * size]);
        for (i, &length) in index.iter_mut().zip(&tensor.shape).rev() {
            *i += 1;
            if *i < length {
                break;
            }
            *i = 0;
        }
    }
    gathered
}

/// The one folder that holds a `data.pkl`.
fn archive_root(archive: &ZipArchive<BufReader<File>>) -> Result<String, String> {
    let mut roots = archive
        .file_names_raw()
        .filter_map(|name| name.strip_suffix(b"/data.pkl"))
        .filter(|root| !root.contains(&b'/'))
        .map(|root| String::from_utf8(root.to_vec()).map_err(|_| "its folder's name is not UTF-8".to_owned()));
    let root = roots.next().ok_or("expected an entry <name>/data.pkl, found none")??;
    if roots.next().is_some() {
        return Err("expected one entry <name>/data.pkl, found several".to_owned());
    }
    Ok(root)
}

/// Reads an entry, which must be stored as it is, and verifies its checksum.
fn read_entry(archive: &mut ZipArchive<BufReader<File>>, name: &str, limit: u64) -> Result<Vec<u8>, String> {
    let entry = archive.by_name(name).map_err(|error| format!("entry {name:?}: {error}"))?;
    if entry.compression() != CompressionMethod::Stored || entry.compressed_size() != entry.size() {
        return Err(format!("entry {name:?}: expected it stored, found it compressed; save it with torch.save"));
    }
    let size = entry.size();
    if size > limit {
        return Err(format!("entry {name:?}: expected at most {limit} bytes, found {size}"));
    }
    // The buffer grows with what the file really holds, not with what the entry claims.
    let mut bytes = Vec::new();
    let read = entry.take(size).read_to_end(&mut bytes).map_err(|error| format!("entry {name:?}: {error}"))?;
    if read as u64 != size {
        return Err(format!("entry {name:?}: expected {size} bytes, found {read}; the file is cut short"));
    }
    Ok(bytes)
}

/// The first few keys of a dictionary, for a message.
fn key_list(entries: &[(PthValue, PthValue)]) -> String {
    const SHOWN: usize = 8;
    if entries.is_empty() {
        return "the keys of an empty dictionary".to_owned();
    }
    let mut keys: Vec<String> = entries
        .iter()
        .take(SHOWN)
        .map(|(key, _)| key.as_str().map_or_else(|| key.kind().to_owned(), |k| format!("{k:?}")))
        .collect();
    if entries.len() > SHOWN {
        keys.push(format!("and {} more", entries.len() - SHOWN));
    }
    keys.join(", ")
}
