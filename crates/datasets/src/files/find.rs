//! Files, folders and patterns → the pictures they name.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::error::DatasetError;

/// The file name extensions of the formats that can be decoded.
const EXTENSIONS: [&str; 11] = ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "gif", "tif", "tiff"];

/// The pictures that `inputs` name, each a file, a folder (searched recursively) or a pattern (`photos/**/*.jpg`);
/// sorted, without duplicates.
///
/// A file that is named outright is taken whatever it holds, so that decoding it says what is wrong with it. In
/// folders, see [`is_image_file`].
///
/// # Errors
/// When an input matches nothing or holds no pictures, a pattern is malformed, or a folder cannot be listed.
pub fn find_images(inputs: &[String]) -> Result<Vec<PathBuf>, DatasetError> {
    let mut found = Vec::new();
    for input in inputs {
        let before = found.len();
        let path = Path::new(input);
        if path.exists() {
            add(path, &mut found)?;
        } else if input.contains(['*', '?', '[']) {
            let paths = glob::glob(input)
                .map_err(|error| DatasetError::Pattern { pattern: input.clone(), reason: error.to_string() })?;
            for path in paths {
                let path = path.map_err(|error| {
                    let path = error.path().to_path_buf();
                    DatasetError::io("list", path)(error.into())
                })?;
                // A pattern such as `*` picks by name, so files beside the pictures are passed over.
                if path.is_dir() || is_image_file(&path)? {
                    add(&path, &mut found)?;
                }
            }
        } else {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(DatasetError::io("read", path)(missing));
        }
        if found.len() == before {
            return Err(DatasetError::NothingFound(input.clone()));
        }
    }
    if found.is_empty() {
        return Err(DatasetError::NothingFound(inputs.join(" ")));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Adds a file, or the pictures of a folder.
fn add(path: &Path, found: &mut Vec<PathBuf>) -> Result<(), DatasetError> {
    if path.is_dir() {
        found.extend(walk(path)?.images);
    } else {
        found.push(path.to_path_buf());
    }
    Ok(())
}

/// What a folder holds.
pub(crate) struct Listing {
    /// The pictures, sorted.
    pub images: Vec<PathBuf>,
    /// How many other files there are.
    pub others: usize,
}

/// Lists a folder recursively; links are followed. Hidden files and folders are left out, as is `__MACOSX`.
pub(crate) fn walk(root: &Path) -> Result<Listing, DatasetError> {
    let mut listing = Listing { images: Vec::new(), others: 0 };
    let shown = |entry: &DirEntry| {
        let name = entry.file_name().as_encoded_bytes();
        entry.depth() == 0 || !(name.starts_with(b".") || name == b"__MACOSX")
    };
    for entry in WalkDir::new(root).follow_links(true).into_iter().filter_entry(shown) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(root).to_path_buf();
            DatasetError::io("list", path)(error.into())
        })?;
        if !entry.file_type().is_file() {
            continue;
        }
        if is_image_file(entry.path())? {
            listing.images.push(entry.into_path());
        } else {
            listing.others += 1;
        }
    }
    listing.images.sort();
    Ok(listing)
}

/// Whether a file passes for a picture: its extension says so (so a broken one is reported rather than passed over),
/// or its first bytes do.
///
/// # Errors
/// When a file without such an extension cannot be opened.
pub fn is_image_file(path: &Path) -> Result<bool, DatasetError> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    if extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str())) {
        return Ok(true);
    }
    // To open a pipe is to wait for its other end.
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Ok(false);
    }
    let mut start = Vec::new();
    File::open(path).and_then(|file| file.take(16).read_to_end(&mut start)).map_err(DatasetError::io("read", path))?;
    Ok(image::guess_format(&start).is_ok_and(|format| format.reading_enabled()))
}
