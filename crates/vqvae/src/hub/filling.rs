//! Writing into the cache: under a lock, beside its place, renamed when whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::cache::RepositoryCache;
use super::content_name::ContentName;
use super::name::is_commit;
use crate::error::{Error, Result};
use crate::system::files::{PART_SUFFIX, write_atomic};
use crate::system::lock::{try_lock, wait_for_lock};

impl RepositoryCache {
    /// Where contents of that name are kept.
    pub(crate) fn blob(&self, contents: &ContentName) -> PathBuf {
        self.folder.join("blobs").join(contents.as_str())
    }

    /// Waits until no other process downloads these contents; `on_wait` is told if one does.
    pub(crate) fn lock(&self, contents: &ContentName, on_wait: impl FnOnce()) -> Result<File> {
        let locks = self.locks();
        let path = locks.join(format!("{}.lock", contents.as_str()));
        self.check_inside(&path)?;
        create_folder(&locks)?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|source| Error::io("lock", &path, source))?;
        // Without locks two downloads at once may spoil each other, which is noticed.
        if !try_lock(&file) {
            on_wait();
            wait_for_lock(&file);
        }
        Ok(file)
    }

    /// Makes the contents a file of the commit.
    pub(crate) fn link(&self, commit: &str, file: &str, contents: &ContentName) -> Result<PathBuf> {
        let folder = self.snapshot(commit);
        self.check_inside(&folder)?;
        create_folder(&folder)?;
        let path = folder.join(file);
        let blob = self.blob(contents);
        // A data set's files lie in folders below the snapshot.
        let deeper = file.matches('/').count();
        let target = Path::new("../..").join("../".repeat(deeper)).join("blobs").join(contents.as_str());
        let folder = path.parent().unwrap_or(&folder).to_path_buf();
        self.check_inside(&folder)?;
        create_folder(&folder)?;
        if fs::read_link(&path).is_ok_and(|found| found == target) {
            return Ok(path);
        }
        // Beside its place and renamed, so that nobody finds half of it.
        let last = file.rsplit('/').next().unwrap_or(file);
        let part = folder.join(format!(".{last}.{}{}", std::process::id(), PART_SUFFIX));
        let _ = fs::remove_file(&part);
        symlink(&target, &part)
            .or_else(|_| fs::copy(&blob, &part).map(drop))
            .and_then(|()| fs::rename(&part, &path))
            .map_err(|source| {
            let _ = fs::remove_file(&part);
            Error::io("write", &path, source)
        })?;
        Ok(path)
    }

    /// Notes what a branch or tag was found to be.
    pub(crate) fn note_revision(&self, revision: &str, commit: &str) -> Result<()> {
        if is_commit(revision) || self.commit_of(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.reference(revision);
        let folder = path.parent().unwrap_or(&self.folder);
        self.check_inside(folder)?;
        create_folder(folder)?;
        if path.is_symlink() {
            // Notes are files; whatever a link leads to is none of ours.
            fs::remove_file(&path).map_err(|source| Error::io("remove", &path, source))?;
        }
        write_atomic(&path, commit.as_bytes())
    }
}

fn create_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|source| Error::io("create", folder, source))
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
