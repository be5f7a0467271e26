//! Where CIFAR-10 lies.

use std::path::{Path, PathBuf};

/// What CIFAR-10's archive unpacks to.
const CIFAR10_FOLDER: &str = "cifar-10-batches-bin";

/// The folder that holds CIFAR-10's binary files: `path` or what the archive unpacks to in it.
pub(crate) fn find(path: &Path) -> Option<PathBuf> {
    [path.to_path_buf(), path.join(CIFAR10_FOLDER)].into_iter().find(|folder| folder.join("data_batch_1.bin").exists())
}
