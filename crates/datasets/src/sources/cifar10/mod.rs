//! CIFAR-10, in its binary version (read by candle-datasets) and in the one for Python, which torchvision unpacks.

#[cfg(feature = "candle-datasets")]
mod binary;
mod pickle;
mod python;

use std::path::{Path, PathBuf};

use crate::error::DatasetError;
use crate::sources::memory::MemorySource;

/// The two versions: what the archive unpacks to, and the first of its files.
const BINARY: (&str, &str) = ("cifar-10-batches-bin", "data_batch_1.bin");
const PYTHON: (&str, &str) = ("cifar-10-batches-py", "data_batch_1");

/// Whether CIFAR-10 lies at `path`, or what one of its archives unpacks to in it.
pub(crate) fn is_at(path: &Path) -> bool {
    folder_of(path, BINARY).or_else(|| folder_of(path, PYTHON)).is_some()
}

fn folder_of(path: &Path, (folder, file): (&str, &str)) -> Option<PathBuf> {
    [path.to_path_buf(), path.join(folder)].into_iter().find(|folder| folder.join(file).is_file())
}

/// CIFAR-10's training and test images.
pub(crate) fn open(path: &Path) -> Result<(MemorySource, MemorySource), DatasetError> {
    if let Some(folder) = folder_of(path, BINARY) {
        #[cfg(feature = "candle-datasets")]
        return binary::read(&folder);
        #[cfg(not(feature = "candle-datasets"))]
        return Err(DatasetError::layout(
            "cifar10",
            &folder,
            "its binary version needs the cargo feature `candle-datasets`, which was left out of this build",
        ));
    }
    match folder_of(path, PYTHON) {
        Some(folder) => python::read(&folder),
        None => Err(DatasetError::layout(
            "cifar10",
            path,
            "data_batch_1.bin is missing, and so is data_batch_1 (the binary and the Python version are read; for image \
             files use folder:PATH, for Parquet files parquet:PATH)",
        )),
    }
}
