//! Decoded pixels of one size in a memory-mapped file.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::RgbImage;
use memmap2::Mmap;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::error::DatasetError;
use crate::loading::preprocess::Preprocess;
use crate::sources::source::{ImageSource, Version, out_of_range};

/// What the file begins with.
const MAGIC: [u8; 16] = *b"ksom pixels v1\0\0";
/// Magic, key, number of pictures, width, height.
const HEADER: usize = 16 + 32 + 8 + 4 + 4;
/// How many pictures are decoded together while a cache is written.
const AT_ONCE: usize = 256;

/// The pictures of another source, decoded and preprocessed, in a file that is memory-mapped: the system holds in
/// memory what fits.
pub struct CachedSource {
    source: Arc<dyn ImageSource>,
    file: PathBuf,
    pixels: Mmap,
    size: (u32, u32),
}

impl CachedSource {
    /// Opens the cache `file` of `source` after [`Preprocess::fixed`]; writes it first where it is missing or stale.
    ///
    /// It is stale when the names, sizes or times of the source's files, their order, or the preprocessing differ
    /// from those it was written for. A loader that reads from it applies [`Preprocess::remaining`]. The file must
    /// not be changed by others while it is open.
    ///
    /// # Errors
    /// When a picture cannot be decoded, the pictures come out in different sizes, or the file cannot be written.
    pub fn open(
        source: Arc<dyn ImageSource>,
        preprocess: &Preprocess,
        file: impl AsRef<Path>,
    ) -> Result<Self, DatasetError> {
        let file = file.as_ref();
        let fixed = preprocess.fixed();
        fixed.check()?;
        let key = key(source.as_ref(), &fixed)?;
        if !fresh(file, &key) {
            write(source.as_ref(), &fixed, &key, file)?;
        }
        let read = || DatasetError::io("read", file);
        let handle = File::open(file).map_err(read())?;
        // SAFETY: the file was written whole before it was renamed to this place and this crate never changes it
        // afterwards, only replaces it by a rename, which leaves the mapped one alone; that others do not change
        // it either is stated above. Bytes of any value are valid pixels.
        let pixels = unsafe { Mmap::map(&handle) }.map_err(read())?;
        let size = sizes(&pixels, &key, source.len())
            .ok_or_else(|| DatasetError::layout("cache", file, "it was changed while it was opened"))?;
        Ok(Self { source, file: file.to_path_buf(), pixels, size })
    }

    /// The width and height of every picture.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }
}

impl ImageSource for CachedSource {
    fn len(&self) -> usize {
        self.source.len()
    }

    fn image(&self, index: usize) -> Result<RgbImage, DatasetError> {
        let each = 3 * self.size.0 as usize * self.size.1 as usize;
        let pixels =
            index.checked_mul(each).and_then(|start| self.pixels.get(HEADER..)?.get(start..start.checked_add(each)?));
        pixels
            .and_then(|pixels| RgbImage::from_raw(self.size.0, self.size.1, pixels.to_vec()))
            .ok_or_else(|| out_of_range(&self.file.display().to_string(), index, self.len()))
    }

    fn name(&self, index: usize) -> String {
        self.source.name(index)
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.source.label(index)
    }

    fn version(&self, index: usize) -> Result<Version, DatasetError> {
        self.source.version(index)
    }
}

/// A hash of all that the cache's content depends on.
fn key(source: &dyn ImageSource, fixed: &Preprocess) -> Result<[u8; 32], DatasetError> {
    let mut hash = Sha256::new();
    hash.update(format!("{fixed:?}").as_bytes());
    for index in 0..source.len() {
        let name = source.name(index);
        let version = source.version(index)?;
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
        hash.update(version.bytes.to_le_bytes());
        hash.update(version.modified.to_le_bytes());
    }
    Ok(hash.finalize().into())
}

/// Whether `file` is the whole cache for `key`. One that cannot be read is written anew, which says why if that fails.
fn fresh(file: &Path, key: &[u8; 32]) -> bool {
    let mut header = [0; HEADER];
    let Ok(mut handle) = File::open(file) else {
        return false;
    };
    let Ok(metadata) = handle.metadata() else {
        return false;
    };
    handle.read_exact(&mut header).is_ok()
        && parse(&header, key).is_some_and(|(_, _, total)| total == Some(metadata.len()))
}

/// The width and height that a mapped cache states, if it is the one for `key` and has all its pixels.
fn sizes(bytes: &[u8], key: &[u8; 32], len: usize) -> Option<(u32, u32)> {
    let (count, size, total) = parse(bytes.first_chunk()?, key)?;
    (count == len as u64 && total == Some(bytes.len() as u64)).then_some(size)
}

/// A header's number of pictures and their size, and how long the file must be; `None` if it is another's.
fn parse(header: &[u8; HEADER], key: &[u8; 32]) -> Option<(u64, (u32, u32), Option<u64>)> {
    let (magic, rest) = header.split_first_chunk::<16>()?;
    let (own, rest) = rest.split_first_chunk::<32>()?;
    let (count, rest) = rest.split_first_chunk::<8>()?;
    let (width, rest) = rest.split_first_chunk::<4>()?;
    let height: [u8; 4] = rest.try_into().ok()?;
    let count = u64::from_le_bytes(*count);
    let (width, height) = (u32::from_le_bytes(*width), u32::from_le_bytes(height));
    let total = (u64::from(width) * u64::from(height))
        .checked_mul(3)
        .and_then(|each| each.checked_mul(count))
        .and_then(|pixels| pixels.checked_add(HEADER as u64));
    (*magic == MAGIC && own == key).then_some((count, (width, height), total))
}

/// Writes the cache beside its place, flushes it and renames it.
fn write(source: &dyn ImageSource, fixed: &Preprocess, key: &[u8; 32], file: &Path) -> Result<(), DatasetError> {
    let fail = || DatasetError::io("write", file);
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(fail())?;
    let mut beside = tempfile::NamedTempFile::new_in(folder).map_err(fail())?;
    let mut out = BufWriter::new(beside.as_file_mut());
    let decode = |index: usize| {
        let name = source.name(index);
        let image = fixed.apply(source.image(index)?, &name, None)?;
        Ok::<_, DatasetError>((name, image))
    };
    let mut first: Option<(String, (u32, u32))> = None;
    for start in (0..source.len()).step_by(AT_ONCE) {
        let end = (start + AT_ONCE).min(source.len());
        let decoded: Vec<_> = (start..end).into_par_iter().map(decode).collect();
        for result in decoded {
            let (name, image) = result?;
            let size = image.dimensions();
            if let Some((first, first_size)) = &first {
                if *first_size != size {
                    return Err(DatasetError::Sizes {
                        first: first.clone(),
                        first_size: *first_size,
                        second: name,
                        second_size: size,
                    });
                }
            } else {
                let header = [
                    MAGIC.as_slice(),
                    key,
                    &(source.len() as u64).to_le_bytes(),
                    &size.0.to_le_bytes(),
                    &size.1.to_le_bytes(),
                ];
                out.write_all(&header.concat()).map_err(fail())?;
                first = Some((name, size));
            }
            out.write_all(image.as_raw()).map_err(fail())?;
        }
    }
    if first.is_none() {
        return Err(DatasetError::layout("cache", file, "there are no images to cache"));
    }
    out.flush().map_err(fail())?;
    drop(out);
    beside.as_file().sync_all().map_err(fail())?;
    beside.persist(file).map_err(|error| fail()(error.error))?;
    Ok(())
}
