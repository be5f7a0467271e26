//! What was found: pictures, and what was passed over.

use std::fs::FileType;
use std::path::{Path, PathBuf};

use crate::error::DatasetError;
use crate::files::formats::is_picture_file;
use crate::files::passed_over::PassedOver;

/// Pictures, and what was passed over.
#[derive(Default)]
pub(crate) struct Listing {
    pub pictures: Vec<PathBuf>,
    pub passed_over: PassedOver,
}

impl Listing {
    /// Takes in an entry that is no folder: as a picture, or among what was passed over.
    pub fn take(&mut self, path: PathBuf, kind: FileType) {
        if !kind.is_file() {
            self.passed_over.kind("that are pipes, sockets or devices");
            return;
        }
        match is_picture_file(&path) {
            Ok(true) => self.pictures.push(path),
            Ok(false) => self.passed_over.file(&path),
            Err(DatasetError::Io { source, .. }) => self.unreached(&path, &source),
            Err(error) => self.passed_over.unreached(&path, error),
        }
    }

    /// An entry that the system does not let us look at.
    pub fn unreached(&mut self, path: &Path, error: &std::io::Error) {
        let is_link = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
        if is_link && error.kind() == std::io::ErrorKind::NotFound {
            self.passed_over.unreached(path, "it is a link that leads nowhere");
        } else if is_link && std::fs::canonicalize(path).is_err_and(|error| is_loop(&error)) {
            self.passed_over.unreached(path, "it is a link that leads in a circle");
        } else {
            self.passed_over.unreached(path, error);
        }
    }
}

/// Whether the system gave up on a chain of links.
fn is_loop(error: &std::io::Error) -> bool {
    error.kind().to_string().contains("loop") || error.to_string().contains("symbolic links")
}
