//! Patterns: `photos/**/*.jpg`.

use std::fs::FileType;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};
use walkdir::WalkDir;

use crate::error::DatasetError;
use crate::files::listing::Listing;
use crate::files::names::relative;
use crate::files::walk::{io, left_out, passed_over};

/// Whether a path has a wildcard.
pub(crate) fn is_pattern(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().iter().any(|byte| b"*?[".contains(byte))
}

/// What stands before a pattern's first wildcard.
pub(crate) fn base(pattern: &Path) -> PathBuf {
    let is_plain = |part: &Component<'_>| !is_pattern(Path::new(part.as_os_str()));
    pattern.components().take_while(is_plain).collect()
}

/// Hands what a pattern names to `found`, files and folders; what is below a folder that is named is not looked at.
///
/// `*` and `?` stand within a name, `**` for folders; none of them for a dot at a name's beginning. An extension is
/// matched without regard to capitals, as it is in folders.
///
/// # Errors
/// When the pattern is malformed, or its fixed part is a folder that cannot be listed.
pub(crate) fn expand(
    path: &Path,
    listing: &mut Listing,
    found: impl Fn(PathBuf, FileType, &mut Listing) -> Result<(), DatasetError>,
) -> Result<(), DatasetError> {
    let malformed = |error: glob::PatternError| DatasetError::Pattern {
        pattern: path.display().to_string(),
        reason: error.to_string(),
    };
    let base = base(path);
    let rest = small_extension(&relative(&base, path));
    let pattern = Pattern::new(&rest).map_err(malformed)?;
    let options =
        MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    let names_hidden = rest.split('/').any(|part| part.starts_with('.'));
    let depth = if rest.contains("**") { usize::MAX } else { rest.split('/').count() };
    let root = if base.as_os_str().is_empty() { Path::new(".") } else { base.as_path() };
    if !root.is_dir() {
        return Ok(());
    }
    let mut entries = WalkDir::new(root).min_depth(1).max_depth(depth).follow_links(true).into_iter();
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if error.depth() == 0 => return Err(DatasetError::io("list", root)(io(error))),
            Err(error) => {
                let path = error.path().map(|path| relative(root, path)).unwrap_or_default();
                // What the pattern does not name is nobody's loss; a folder that cannot be entered may be.
                if error.depth() < depth || pattern.matches_with(&small_extension(&path), options) {
                    passed_over(error, root, listing);
                }
                continue;
            }
        };
        let is_folder = entry.file_type().is_dir();
        if left_out(&entry).is_some() && !names_hidden {
            if is_folder {
                entries.skip_current_dir();
            }
            continue;
        }
        if !pattern.matches_with(&small_extension(&relative(root, entry.path())), options) {
            continue;
        }
        // As it would be written: without the `.` that the search began at.
        let path = base.join(entry.path().strip_prefix(root).unwrap_or(entry.path()));
        if is_folder {
            entries.skip_current_dir();
        }
        found(path, entry.file_type(), listing)?;
    }
    Ok(())
}

/// A path with its extension in small letters, where that has no wildcard.
fn small_extension(path: &str) -> String {
    match path.rsplit_once('.') {
        Some((stem, extension)) if !extension.contains(['/', '*', '?', '[', ']']) => {
            format!("{stem}.{}", extension.to_lowercase())
        }
        _ => path.to_owned(),
    }
}
