//! The page as a folder.

use std::path::{Path, PathBuf};

use anyhow::Result;
use ksom_vqvae::system::write_atomic;

use super::site::Site;
use crate::files::{create_folder, create_folder_of, refuse_existing};

/// Writes every file of the page into `folder`; gives their number and bytes. `index.html` is the last, so that a folder
/// that was not finished shows nothing.
pub fn export(site: &Site, folder: &Path, overwrite: bool) -> Result<(usize, u64)> {
    let mut files: Vec<(&str, PathBuf, &[u8])> =
        site.files().map(|(path, bytes)| (path, folder.join(path), bytes.as_ref())).collect();
    files.sort_by_key(|(path, ..)| *path == "index.html");
    create_folder(folder)?;
    refuse_existing(files.iter().map(|(_, file, _)| file), overwrite)?;
    for (_, file, bytes) in &files {
        create_folder_of(file)?;
        write_atomic(file, bytes)?;
    }
    Ok((files.len(), files.iter().map(|(.., bytes)| bytes.len() as u64).sum()))
}
