//! Reading and writing files so that a crash leaves the old one or the new one, never half of either.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use candle_core::{Device, Tensor};
use safetensors::{SafeTensorError, SafeTensors};

use crate::error::{Error, Result};
use crate::system::file_kind::{FileKind, HEAD};
use crate::system::memory;

/// The largest file of tensors that is read, in bytes.
pub(crate) const MAX_TENSOR_FILE: u64 = 8 << 30;

/// Suffix of files that are still being written.
pub(crate) const PART_SUFFIX: &str = ".part";

/// Writes a file beside its place, flushes it to disk and renames it into place.
///
/// # Errors
/// The folder does not exist or cannot be written, or what is there is no file; it is then as it was.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomic_with(path, |file| file.write_all(bytes))
}

/// As [`write_atomic`], with a function that writes the contents.
///
/// # Errors
/// As [`write_atomic`], or the function fails.
pub fn write_atomic_with(
    path: &Path,
    write: impl FnOnce(&mut std::io::BufWriter<&mut std::fs::File>) -> std::io::Result<()>,
) -> Result<()> {
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        // Renaming would put a file in the place of a device.
        return Err(Error::io("write", path, std::io::Error::other("a folder, pipe or device is there")));
    }
    beside(path, write, |file| file.persist(path).map(drop))
}

/// As [`write_atomic`], but only where nothing lies there.
///
/// # Errors
/// As [`write_atomic`], or something lies there.
#[cfg(feature = "shards")]
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    beside(path, |file| file.write_all(bytes), |file| file.persist_noclobber(path).map(drop))
}

/// Writes a file beside its place, flushes it to disk, and has it put into place.
fn beside(
    path: &Path,
    write: impl FnOnce(&mut std::io::BufWriter<&mut std::fs::File>) -> std::io::Result<()>,
    place: impl FnOnce(tempfile::NamedTempFile) -> std::result::Result<(), tempfile::PersistError>,
) -> Result<()> {
    let failed = |source| Error::io("write", path, source);
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("file");
    let prefix = format!(".{name}.");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(PART_SUFFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any other new file: readable by others as far as the user's umask allows.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder).map_err(failed)?;
    let mut buffered = std::io::BufWriter::new(file.as_file_mut());
    write(&mut buffered).and_then(|()| buffered.flush()).map_err(failed)?;
    drop(buffered);
    file.as_file().sync_all().map_err(failed)?;
    place(file).map_err(|error| failed(error.error))?;
    // The rename itself is on disk once its folder is; where a folder cannot be opened (Windows) the system sees to it.
    if let Ok(folder) = std::fs::File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Reads a file of at most `limit` bytes: a regular one, so that neither a pipe nor a device is waited for or read
/// without end.
///
/// # Errors
/// There is no such file, it is larger, or there is not enough memory for it.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let failed = |source| Error::io("read", path, source);
    let too_large = |found: u64| Error::file(path, format!("expected at most {limit} bytes, found {found} or more"));
    // Before it is opened: to open a pipe is to wait for its other end.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::file(path, "expected a file, found a folder, pipe or device"));
    }
    if metadata.len() > limit {
        return Err(too_large(metadata.len()));
    }
    memory::require(metadata.len(), || format!("reading {}", path.display()))?;
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

/// The first bytes of a file, which tell what it is.
///
/// # Errors
/// It cannot be read.
pub(crate) fn read_head(path: &Path) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD as u64).read_to_end(&mut head));
    read.map_err(|source| Error::io("read", path, source))?;
    Ok(head)
}

/// A bounded file as text.
///
/// # Errors
/// As [`read_bounded`], or it is not UTF-8.
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<String> {
    String::from_utf8(read_bounded(path, limit)?).map_err(|_| Error::file(path, "expected text in UTF-8"))
}

/// A safetensors file in memory.
pub(crate) struct TensorFile {
    bytes: Vec<u8>,
}

impl TensorFile {
    /// Reads the file; its header is checked against its length before anything is believed.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::from_bytes(read_bounded(path, MAX_TENSOR_FILE)?, path)
    }

    /// The same from bytes; `path` is named in errors.
    pub(crate) fn from_bytes(bytes: Vec<u8>, path: &Path) -> Result<Self> {
        let file = Self { bytes };
        file.parse(path)?;
        Ok(file)
    }

    /// The checked view of the file.
    pub(crate) fn parse(&self, path: &Path) -> Result<SafeTensors<'_>> {
        SafeTensors::deserialize(&self.bytes).map_err(|error| self.refused(path, &error))
    }

    fn refused(&self, path: &Path, error: &SafeTensorError) -> Error {
        match FileKind::of(&self.bytes) {
            FileKind::Safetensors | FileKind::Unknown => {
                Error::file(path, format!("expected a safetensors file: {error}"))
            }
            other => Error::file(path, other.instead("a safetensors file")),
        }
    }

    /// The header's free-form entries.
    pub(crate) fn metadata(&self, path: &Path) -> Result<HashMap<String, String>> {
        let (_, header) = SafeTensors::read_metadata(&self.bytes).map_err(|error| self.refused(path, &error))?;
        Ok(header.metadata().clone().unwrap_or_default())
    }

    /// Every tensor, on the CPU.
    pub(crate) fn tensors(&self, path: &Path) -> Result<BTreeMap<String, Tensor>> {
        use candle_core::safetensors::Load;
        self.parse(path)?
            .tensors()
            .into_iter()
            .map(|(name, view)| {
                let tensor =
                    view.load(&Device::Cpu).map_err(|error| Error::file(path, format!("tensor {name}: {error}")))?;
                Ok((name, tensor))
            })
            .collect()
    }
}

/// Writes a safetensors file atomically. The bytes depend on the tensors and metadata alone.
pub(crate) fn write_tensors(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    metadata: &[(&str, String)],
) -> Result<()> {
    let several = metadata.len() > 1;
    let metadata = metadata.iter().map(|(key, value)| (key.to_string(), value.clone())).collect();
    let tensors: BTreeMap<&str, Tensor> = tensors
        .iter()
        .map(|(name, tensor)| Ok((name.as_str(), tensor.to_device(&Device::Cpu)?.contiguous()?)))
        .collect::<Result<_>>()?;
    let bytes = safetensors::serialize(tensors.iter().map(|(name, tensor)| (*name, tensor)), Some(metadata))
        .map_err(|error| Error::file(path, format!("cannot be written as safetensors: {error}")))?;
    if several {
        let sorted = with_sorted_metadata(&bytes).map_err(|error| Error::file(path, error.to_string()))?;
        return write_atomic(path, &sorted);
    }
    write_atomic(path, &bytes)
}

/// The same file with its header's entries in the order of their names: safetensors writes them in that of a hash map.
fn with_sorted_metadata(bytes: &[u8]) -> serde_json::Result<Vec<u8>> {
    #[derive(serde::Deserialize, serde::Serialize)]
    struct Header {
        #[serde(rename = "__metadata__")]
        metadata: BTreeMap<String, String>,
        #[serde(flatten)]
        tensors: serde_json::Map<String, serde_json::Value>,
    }
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return Ok(bytes.to_vec()) };
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let header: Header = serde_json::from_slice(header)?;
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok([&(header.len() as u64).to_le_bytes()[..], &header, data].concat())
}
