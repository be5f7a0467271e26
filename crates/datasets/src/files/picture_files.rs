//! The pictures that files, folders and patterns name.

use std::path::{Path, PathBuf};

use crate::error::DatasetError;
use crate::files::listing::Listing;
use crate::files::passed_over::PassedOver;
use crate::files::pattern::{base, expand, is_pattern};
use crate::files::walk::add;

/// A picture's file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PictureFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its name below what was asked for, with `/` between its parts.
    pub name: String,
}

/// The pictures that files, folders and patterns name: sorted, without duplicates, with the names that they have
/// below what was asked for; and what was passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PictureFiles {
    files: Vec<PictureFile>,
    passed_over: PassedOver,
}

impl PictureFiles {
    /// Finds the pictures that `inputs` name, each a file, a folder (searched with all below it) or a pattern
    /// (`photos/**/*.jpg`). The rules are those of [`crate::files`].
    ///
    /// # Errors
    /// When an input is not there, or a pattern is malformed; when an input that is a folder or pattern by itself, or
    /// all inputs together, name no pictures.
    pub fn find<P: AsRef<Path>>(inputs: impl IntoIterator<Item = P>) -> Result<Self, DatasetError> {
        let inputs: Vec<PathBuf> = inputs.into_iter().map(|input| input.as_ref().to_path_buf()).collect();
        let mut listing = Listing::default();
        for input in &inputs {
            let before = listing.pictures.len();
            let passed = listing.passed_over.len();
            take(input, inputs.len() == 1, &mut listing)?;
            if listing.pictures.len() == before && listing.passed_over.len() == passed {
                return Err(DatasetError::nothing_found(input.display(), &PassedOver::default()));
            }
        }
        if listing.pictures.is_empty() {
            let place: Vec<_> = inputs.iter().take(3).map(|input| input.display().to_string()).collect();
            let more = if inputs.len() > 3 { " …" } else { "" };
            return Err(DatasetError::nothing_found(place.join(" ") + more, &listing.passed_over));
        }
        let mut bases: Vec<PathBuf> = inputs.iter().map(|input| base_of(input)).collect();
        bases.sort();
        bases.dedup();
        let Listing { mut pictures, passed_over } = listing;
        pictures.sort();
        pictures.dedup();
        let named = |path: PathBuf| PictureFile { name: name_below(&path, &bases), path };
        Ok(Self { files: pictures.into_iter().map(named).collect(), passed_over })
    }

    /// Exactly these files, in this order and as often as they are named; their paths are their names.
    pub fn exactly<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        let named = |path: PathBuf| PictureFile { name: path.to_string_lossy().into_owned(), path };
        Self { files: paths.into_iter().map(|path| named(path.into())).collect(), passed_over: PassedOver::default() }
    }

    /// The files, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, PictureFile> {
        self.files.iter()
    }

    /// The files, in order.
    pub fn as_slice(&self) -> &[PictureFile] {
        &self.files
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// What was passed over while they were looked for.
    pub fn passed_over(&self) -> &PassedOver {
        &self.passed_over
    }

    /// The paths alone, and what was passed over.
    pub(crate) fn into_paths(self) -> (Vec<PathBuf>, PassedOver) {
        (self.files.into_iter().map(|file| file.path).collect(), self.passed_over)
    }
}

impl<'a> IntoIterator for &'a PictureFiles {
    type Item = &'a PictureFile;
    type IntoIter = std::slice::Iter<'a, PictureFile>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Takes in what an input names; `alone` says that there is no other.
fn take(input: &Path, alone: bool, listing: &mut Listing) -> Result<(), DatasetError> {
    if input.is_dir() {
        return add(input, listing);
    }
    // A link that leads nowhere is there too.
    if input.symlink_metadata().is_ok() {
        // The shell makes a list of a pattern, which may name what no picture is. One file is meant.
        if alone {
            listing.pictures.push(input.to_path_buf());
        } else {
            match input.metadata() {
                Ok(metadata) => listing.take(input.to_path_buf(), metadata.file_type()),
                Err(error) => listing.unreached(input, &error),
            }
        }
        return Ok(());
    }
    if !is_pattern(input) {
        return Err(DatasetError::io("read", input)(std::io::ErrorKind::NotFound.into()));
    }
    expand(input, listing, |path, kind, listing| {
        if kind.is_dir() {
            return add(&path, listing);
        }
        listing.take(path, kind);
        Ok(())
    })
}

/// The folder that names are told from: a folder itself, a file's folder, what stands before a pattern's first wildcard.
fn base_of(input: &Path) -> PathBuf {
    if input.is_dir() {
        return input.to_path_buf();
    }
    if input.symlink_metadata().is_ok() {
        return input.parent().map(Path::to_path_buf).unwrap_or_default();
    }
    base(input)
}

fn name_below(path: &Path, bases: &[PathBuf]) -> String {
    let below =
        bases.iter().filter_map(|base| path.strip_prefix(base).ok()).min_by_key(|rest| rest.components().count());
    let below = below.filter(|rest| !rest.as_os_str().is_empty()).unwrap_or(path);
    let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_what_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["a/b/one.png", "a/two.png"] {
            std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            image::RgbImage::new(1, 1).save(root.join(name)).unwrap();
        }
        let at = |input: &str| {
            let found = PictureFiles::find([root.join(input)]).unwrap();
            found.iter().map(|file| file.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(at("a"), ["b/one.png", "two.png"]);
        assert_eq!(at("a/two.png"), ["two.png"]);
        assert_eq!(at("a/*/*.png"), ["b/one.png"]);
        assert_eq!(at("a/**/*.png"), ["b/one.png", "two.png"]);
    }
}
