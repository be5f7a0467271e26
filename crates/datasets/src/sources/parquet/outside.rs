//! Image files that a Parquet file names.

use std::path::{Component, Path, PathBuf};

use crate::error::DatasetError;

/// The file at `path`, relative to the folder that the Parquet file lies in.
///
/// # Errors
/// When the path leads out of that folder, by itself or through a link. `name` is what errors call the picture.
pub(super) fn file_beside(parquet: &Path, path: &str, name: &str) -> Result<PathBuf, DatasetError> {
    let leaves = || {
        DatasetError::image(
            name,
            format!("its path {path:?} leads out of the folder of the Parquet file, and is not followed"),
        )
    };
    let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if !Path::new(path).components().all(inside) {
        return Err(leaves());
    }
    let folder = match parquet.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let file = folder.join(path);
    let real = |path: &Path| path.canonicalize().map_err(DatasetError::io("read", path));
    if !real(&file)?.starts_with(real(folder)?) {
        return Err(leaves());
    }
    Ok(file)
}
