//! One training at a time in a run directory.

use std::fs::{File, OpenOptions};
use std::path::Path;

use crate::error::{Error, Result};
use crate::system::files::PART_SUFFIX;
use crate::system::lock::try_lock;

/// Holds a run directory for one training. The system's lock on a file: it ends with the process, however that ends.
pub(crate) struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock, and removes what a training that was killed while writing has left half-written.
    ///
    /// # Errors
    /// Another training holds it, or the run directory cannot be written.
    pub(crate) fn acquire(run: &Path) -> Result<Self> {
        let path = run.join(".lock");
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| Error::io("open", &path, source))?;
        if !try_lock(&file) {
            return Err(Error::Busy { run: run.to_path_buf() });
        }
        for folder in [run.to_path_buf(), run.join("last")] {
            remove_parts(&folder);
        }
        Ok(Self { _file: file })
    }
}

/// Removes files that were being written beside their place. What cannot be removed does no harm.
fn remove_parts(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_part = name.to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(PART_SUFFIX));
        if is_part && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_held_once_and_tidied() {
        let run = tempfile::tempdir().unwrap();
        std::fs::create_dir(run.path().join("last")).unwrap();
        let parts = [".model.safetensors.x1.part", "last/.config.json.y2.part"].map(|name| run.path().join(name));
        let other = run.path().join("mine.part");
        for file in parts.iter().chain([&other]) {
            std::fs::write(file, "half").unwrap();
        }
        let lock = RunLock::acquire(run.path()).unwrap();
        assert!(parts.iter().all(|part| !part.exists()) && other.exists());
        let error = RunLock::acquire(run.path()).err().unwrap().to_string();
        assert!(error.contains("another training is running"), "{error}");
        drop(lock);
        assert!(RunLock::acquire(run.path()).is_ok());
    }
}
