//! Which Parquet files a path names, and which column of theirs.

use std::path::{Path, PathBuf};

use crate::error::DatasetError;
use crate::files::braces::expand_braces;
use crate::files::listing::Listing;
use crate::files::names::extension;
use crate::files::passed_over::PassedOver;
use crate::files::pattern::{base, expand, is_pattern};
use crate::files::walk::{io, passed_over};

/// How deep below a folder Parquet files are looked for: `data/`, `plain_text/train/`.
const DEEPEST: usize = 3;

/// Parquet files that form a data set.
#[cfg_attr(not(feature = "parquet"), expect(dead_code))]
pub(super) struct Shards {
    /// What their names are relative to.
    pub root: PathBuf,
    /// The files, sorted.
    pub files: Vec<PathBuf>,
    /// The column of images, where it is named: `PATH#COLUMN`.
    pub column: Option<String>,
    pub passed_over: PassedOver,
}

#[cfg_attr(not(feature = "parquet"), expect(dead_code))]
impl Shards {
    /// Those that a file, a folder or a pattern names; behind it may stand `#` and a column's name.
    pub fn find(path: &Path) -> Result<Self, DatasetError> {
        let (path, column) = split_column(path);
        let mut listing = Listing::default();
        let names = expand_braces(&path)?;
        let root = if names.len() > 1 {
            // Each is there, or opening it says that it is not.
            listing.pictures.extend(names);
            base(&path)
                .ancestors()
                .find(|folder| !folder.to_string_lossy().contains('{'))
                .unwrap_or(&path)
                .to_path_buf()
        } else if path.is_dir() {
            list(&path, &mut listing)?;
            path
        } else if is_pattern(&path) && !path.exists() {
            expand(&path, &mut listing, |found, kind, listing| {
                if kind.is_file() && is_parquet(&found) {
                    listing.pictures.push(found);
                } else if kind.is_dir() {
                    list(&found, listing)?;
                } else {
                    listing.passed_over.file(&found);
                }
                Ok(())
            })?;
            base(&path)
        } else {
            listing.pictures.push(path.clone());
            path.parent().unwrap_or(&path).to_path_buf()
        };
        listing.pictures.sort();
        Ok(Self { root, files: listing.pictures, column, passed_over: listing.passed_over })
    }
}

/// Whether a path that is not there itself names Parquet files, by a column or a pattern.
pub(super) fn names_parquet(path: &Path) -> bool {
    is_parquet(&split_column(path).0)
}

/// Whether a folder holds Parquet files.
pub(super) fn holds_parquet(folder: &Path) -> Result<bool, DatasetError> {
    let mut listing = Listing::default();
    list(folder, &mut listing)?;
    Ok(!listing.pictures.is_empty())
}

fn is_parquet(path: &Path) -> bool {
    extension(path).is_some_and(|extension| extension == "parquet")
}

/// Takes the column's name off a path, unless that is there as it is.
fn split_column(path: &Path) -> (PathBuf, Option<String>) {
    match path.to_str().and_then(|text| text.rsplit_once('#')) {
        Some((file, column)) if !column.is_empty() && !column.contains('/') && !path.exists() => {
            (PathBuf::from(file), Some(column.to_owned()))
        }
        _ => (path.to_path_buf(), None),
    }
}

/// Adds the Parquet files of a folder: its own, and those of the folders in it.
fn list(folder: &Path, listing: &mut Listing) -> Result<(), DatasetError> {
    for entry in walkdir::WalkDir::new(folder).max_depth(DEEPEST).follow_links(true) {
        match entry {
            Ok(entry) if entry.file_type().is_file() && is_parquet(entry.path()) => {
                listing.pictures.push(entry.into_path())
            }
            Ok(_) => {}
            Err(error) if error.depth() == 0 => return Err(DatasetError::io("list", folder)(io(error))),
            Err(error) => passed_over(error, folder, listing),
        }
    }
    Ok(())
}
