//! A folder of tokens that any number of processes write.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::model::Model;
use crate::system::files::{PART_SUFFIX, write_atomic, write_atomic_with, write_new};
use crate::system::lock::{try_lock, wait_for_lock};
use crate::tokens::encode::{TokenEvent, TokenSource, encode};
use crate::tokens::manifest::{MANIFEST_FILE, Manifest};
use crate::tokens::report::ShardReport;

/// A folder of tokens, to be filled.
pub struct TokenFolder {
    folder: PathBuf,
    manifest: Manifest,
}

/// What became of a shard.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Its tokens are written.
    Made(Box<ShardReport>),
    /// They were there.
    There,
    /// Another process is making them.
    Busy,
}

impl TokenFolder {
    /// Opens a folder that is there, or makes it. The first process writes the manifest, the others compare.
    ///
    /// # Errors
    /// It cannot be written, or holds tokens that were made by another model or in another way.
    pub fn open(folder: &Path, manifest: Manifest) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|source| Error::io("create", folder, source))?;
        let path = folder.join(MANIFEST_FILE);
        if !path.exists() {
            let written = write_new(&path, manifest.to_json().as_bytes());
            // Another process may have been faster.
            if !path.exists() {
                written?;
            }
        }
        let there = Manifest::read(folder)?;
        there.check_same(&manifest, &path)?;
        remove_parts(folder, &[MANIFEST_FILE]);
        // Its names are those that were given first.
        Ok(Self { folder: folder.to_path_buf(), manifest: there })
    }

    /// What made its tokens.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where a shard's tokens lie.
    pub fn tokens(&self, shard: &str) -> PathBuf {
        self.folder.join(format!("{shard}.{}", self.manifest.form.extension()))
    }

    /// Where its report lies.
    pub fn report(&self, shard: &str) -> PathBuf {
        self.tokens(shard).with_extension("json")
    }

    /// Encodes the shard that is called `name`, as its tokens are, unless its tokens are there or (where `wait` does not say to wait) being made.
    ///
    /// Tokens get their name when they are whole, after their report. Whoever makes them holds a lock, which ends with the
    /// process; where a file system has no locks, two processes may do the same work, and the later gives the same tokens.
    ///
    /// # Errors
    /// The shard cannot be read to its end, or its tokens cannot be written; nothing of them is there then.
    pub fn encode(
        &self,
        model: &Model,
        name: &str,
        source: TokenSource,
        wait: bool,
        on_event: &mut dyn FnMut(TokenEvent),
    ) -> Result<Outcome> {
        let (tokens, report_path) = (self.tokens(name), self.report(name));
        if report_path == self.folder.join(MANIFEST_FILE) {
            return Err(Error::file(
                &tokens,
                "a shard of this name would have its report where the manifest lies: rename it",
            ));
        }
        if tokens.is_file() {
            // Left by a process that was ended after its work.
            let _ = fs::remove_file(lock_of(&tokens));
            return Ok(Outcome::There);
        }
        let place = tokens.parent().unwrap_or(&self.folder).to_path_buf();
        fs::create_dir_all(&place).map_err(|source| Error::io("create", &place, source))?;
        let Some(_lock) = Lock::take(&tokens, wait)? else { return Ok(Outcome::Busy) };
        if tokens.is_file() {
            return Ok(Outcome::There);
        }
        let mut outcome = None;
        let written = write_atomic_with(&tokens, |file| {
            let made = encode(model, &self.manifest, (name, source), file, on_event).and_then(|report| {
                write_atomic(&report_path, report.to_json().as_bytes())?;
                Ok(report)
            });
            let failed = made.is_err();
            outcome = Some(made);
            if failed { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
        });
        match outcome {
            Some(Err(Error::Invalid(message))) => Err(Error::file(&tokens, message)),
            Some(Err(error)) => Err(error),
            Some(Ok(report)) => written.map(|()| Outcome::Made(Box::new(report))),
            None => written.map(|()| Outcome::There),
        }
    }
}

/// The lock on a shard's tokens. Its file goes when it is no longer held.
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes the lock; nothing where another process holds it, unless `wait` says to wait for it.
    fn take(tokens: &Path, wait: bool) -> Result<Option<Self>> {
        let name = tokens.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = lock_of(tokens);
        let failed = |source| Error::io("write", &path, source);
        // Whoever ends otherwise than by being ended removes it.
        let was_left = path.exists();
        let file = loop {
            let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
            if wait {
                wait_for_lock(&file);
            } else if !try_lock(&file) {
                return Ok(None);
            }
            // Whoever held it may have removed it meanwhile: then the lock is on a file that nobody else will find.
            if is_at(&file, &path) {
                break file;
            }
        };
        if was_left && has_locks(&file) {
            // Nobody else is writing now.
            let report = tokens.with_extension("json").file_name().unwrap_or_default().to_string_lossy().into_owned();
            remove_parts(path.parent().unwrap_or(&path), &[&name, &report]);
        }
        Ok(Some(Self { path, _file: file }))
    }
}

/// Removes what processes that were ended had begun to write as one of these files.
fn remove_parts(folder: &Path, names: &[&str]) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let left = entry.file_name().to_string_lossy().into_owned();
        let begins = |name: &&str| left.strip_prefix('.').is_some_and(|rest| rest.starts_with(&format!("{name}.")));
        if left.ends_with(PART_SUFFIX) && names.iter().any(begins) {
            // What cannot be removed does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The file that is locked while a shard's tokens are made.
fn lock_of(tokens: &Path) -> PathBuf {
    tokens.with_file_name(format!(".{}.lock", tokens.file_name().unwrap_or_default().to_string_lossy()))
}

/// Whether the open file is the one that lies at the path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let number =
        |metadata: std::io::Result<fs::Metadata>| metadata.map(|metadata| (metadata.dev(), metadata.ino())).ok();
    number(file.metadata()) == number(fs::metadata(path))
}

/// An open file cannot be removed.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

/// Whether the file system has locks, so that holding one means something.
fn has_locks(file: &File) -> bool {
    file.try_lock().is_ok()
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before the lock ends: whoever has opened the file meanwhile notices.
        let _ = fs::remove_file(&self.path);
    }
}
