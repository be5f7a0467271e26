//! Names of files: relative to a folder, and their extensions.

use std::path::Path;

/// `path` below `root`, with `/` between its parts on every platform.
pub(crate) fn relative(root: &Path, path: &Path) -> String {
    let path = path.strip_prefix(root).unwrap_or(path);
    if std::path::MAIN_SEPARATOR == '/' {
        path.to_string_lossy().into_owned()
    } else {
        path.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/")
    }
}

/// A path's extension in small letters.
pub(crate) fn extension(path: &Path) -> Option<String> {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase())
}
