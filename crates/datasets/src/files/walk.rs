//! A folder, searched with all that is below it.

use std::path::Path;

use walkdir::{DirEntry, WalkDir};

use crate::error::DatasetError;
use crate::files::listing::Listing;

/// Lists a folder and all that is below it, sorted. Whatever cannot be entered is passed over; links are followed.
///
/// # Errors
/// When the folder itself cannot be listed.
pub(crate) fn walk(root: &Path) -> Result<Listing, DatasetError> {
    let mut listing = Listing::default();
    add(root, &mut listing)?;
    listing.pictures.sort();
    Ok(listing)
}

/// Adds what a folder and those below it hold.
pub(crate) fn add(root: &Path, listing: &mut Listing) -> Result<(), DatasetError> {
    let mut entries = WalkDir::new(root).follow_links(true).into_iter();
    while let Some(entry) = entries.next() {
        match entry {
            Err(error) if error.depth() == 0 => return Err(DatasetError::io("list", root)(io(error))),
            Err(error) => passed_over(error, root, listing),
            Ok(entry) if let Some(kind) = left_out(&entry) => {
                listing.passed_over.kind(kind);
                if entry.file_type().is_dir() {
                    entries.skip_current_dir();
                }
            }
            Ok(entry) if entry.file_type().is_dir() => {
                // Links back within what is searched are found by the search, those that lead above it are not.
                if entry.path_is_symlink() && entry.depth() > 0 && leads_above(entry.path(), root) {
                    let reason = format!("it is a link that leads back above {}", root.display());
                    listing.passed_over.unreached(entry.path(), reason);
                    entries.skip_current_dir();
                }
            }
            Ok(entry) => {
                let kind = entry.file_type();
                listing.take(entry.into_path(), kind);
            }
        }
    }
    Ok(())
}

/// Whether a link leads to a folder that `root` lies in.
fn leads_above(link: &Path, root: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    real(link).zip(real(root)).is_some_and(|(target, root)| root.starts_with(target))
}

/// What an entry is counted as that is left out for its name: hidden ones, and what macOS puts into archives.
pub(crate) fn left_out(entry: &DirEntry) -> Option<&'static str> {
    let name = entry.file_name().as_encoded_bytes();
    if entry.depth() == 0 {
        None
    } else if name == b"__MACOSX" {
        Some("__MACOSX")
    } else {
        name.starts_with(b".").then_some("hidden")
    }
}

/// Takes note of an entry that cannot be entered.
pub(crate) fn passed_over(error: walkdir::Error, root: &Path, listing: &mut Listing) {
    let path = error.path().unwrap_or(root).to_path_buf();
    if let Some(ancestor) = error.loop_ancestor() {
        let reason = format!("it is a link that leads back to {}", ancestor.display());
        listing.passed_over.unreached(&path, reason);
    } else {
        listing.unreached(&path, &io(error));
    }
}

/// The system's own error, without the path that ours name already.
pub(crate) fn io(error: walkdir::Error) -> std::io::Error {
    let said = error.to_string();
    error.into_io_error().unwrap_or_else(|| std::io::Error::other(said))
}
