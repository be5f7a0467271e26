//! The shards that files, folders and patterns name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::error::DatasetError;
use crate::files::braces::expand_braces;
use crate::files::formats::is_picture_name;
use crate::files::listing::Listing;
use crate::files::names::relative;
use crate::files::passed_over::PassedOver;
use crate::files::pattern::{base, expand, is_pattern};
use crate::files::walk::{io, passed_over};

/// What shards' names end with.
const TAR: [&str; 5] = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.zstd"];
const PARQUET: [&str; 1] = [".parquet"];

/// How deep below a folder shards are looked for.
const DEEPEST: usize = 3;

/// What a shard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ShardKind {
    /// A tar file, compressed or not.
    Tar,
    /// A Parquet file.
    Parquet,
}

/// A shard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShardFile {
    /// Its name below what was asked for, with `/` between its parts and without what tells its kind: `train/000123`.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// What it is.
    pub kind: ShardKind,
}

/// The shards that files, folders and patterns name, sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardFiles {
    /// The shards.
    pub shards: Vec<ShardFile>,
    /// What was passed over while they were looked for.
    pub passed_over: PassedOver,
}

impl ShardFile {
    /// What a file is by its name; nothing where that is no shard's.
    pub fn kind_of(path: &Path) -> Option<ShardKind> {
        let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
        ending(&name).map(|(kind, _)| kind)
    }
}

/// A name's kind, and how many bytes of it tell that.
pub(super) fn ending(name: &str) -> Option<(ShardKind, usize)> {
    let of = |kind: ShardKind, endings: &[&str]| {
        let fits = endings.iter().filter(|ending| name.len() > ending.len() && name.ends_with(**ending));
        fits.map(|ending| (kind, ending.len())).max_by_key(|(_, length)| *length)
    };
    of(ShardKind::Tar, &TAR).or_else(|| of(ShardKind::Parquet, &PARQUET))
}

impl ShardFiles {
    /// Whether an input names shards: a shard's file, a pattern of them, or a folder that holds shards and no pictures.
    pub fn are_named_by(input: &Path) -> bool {
        if !input.is_dir() {
            let name = input.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            let is_pattern = is_pattern(input) && input.symlink_metadata().is_err();
            let could_be = || [".tar", ".tgz", ".parquet"].iter().any(|ending| name.contains(ending));
            return ShardFile::kind_of(input).is_some() || (is_pattern && could_be());
        }
        let mut found = false;
        for entry in WalkDir::new(input).max_depth(DEEPEST).into_iter().flatten() {
            if entry.file_type().is_dir() {
                continue;
            }
            if is_picture_name(&entry.file_name().to_string_lossy()) {
                return false;
            }
            found |= ShardFile::kind_of(entry.path()).is_some();
        }
        found
    }

    /// Finds the shards that `inputs` name: each a file, a folder, or a pattern with braces (`{000..127}.tar`) or
    /// wildcards.
    ///
    /// # Errors
    /// When an input is not there or names no shard; when two shards have one name.
    pub fn find<P: AsRef<Path>>(inputs: impl IntoIterator<Item = P>) -> Result<Self, DatasetError> {
        let mut found: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
        let mut listing = Listing::default();
        for input in inputs {
            let input = input.as_ref();
            for path in expand_braces(input)? {
                let root = take(&path, &mut listing)?;
                if listing.pictures.is_empty() {
                    let reason = "it names no shard: expected .tar, .tar.gz, .tar.zst or .parquet";
                    return Err(DatasetError::Shard { path, reason: reason.to_owned() });
                }
                for shard in listing.pictures.drain(..) {
                    // The longest name, if it is named twice.
                    found.entry(shard).or_insert_with(|| root.clone());
                }
            }
        }
        let mut shards = Vec::new();
        let mut names: BTreeMap<String, PathBuf> = BTreeMap::new();
        for (path, root) in found {
            let whole = relative(&root, &path);
            let Some((kind, length)) = ending(&whole.to_ascii_lowercase()) else { continue };
            let name = whole[..whole.len() - length].to_owned();
            if let Some(other) = names.insert(name.clone(), path.clone()) {
                let reason =
                    format!("it has the same name {name:?} as {}: their tokens would be one file", other.display());
                return Err(DatasetError::Shard { path, reason });
            }
            shards.push(ShardFile { name, path, kind });
        }
        shards.sort();
        Ok(Self { shards, passed_over: listing.passed_over })
    }
}

/// Adds what a path names to the listing; gives the folder that names are told from.
fn take(path: &Path, listing: &mut Listing) -> Result<PathBuf, DatasetError> {
    if path.is_dir() {
        list(path, listing)?;
        return Ok(path.to_path_buf());
    }
    if path.symlink_metadata().is_err() && is_pattern(path) {
        expand(path, listing, |found, kind, listing| {
            match kind.is_file() && ShardFile::kind_of(&found).is_some() {
                true => listing.pictures.push(found),
                false if kind.is_dir() => list(&found, listing)?,
                false => listing.passed_over.file(&found),
            }
            Ok(())
        })?;
        return Ok(base(path));
    }
    let metadata = std::fs::metadata(path).map_err(DatasetError::io("read", path))?;
    if !metadata.is_file() {
        let reason = "expected a file, found a pipe or device; - is standard input".to_owned();
        return Err(DatasetError::Shard { path: path.to_path_buf(), reason });
    }
    if ShardFile::kind_of(path).is_some() {
        listing.pictures.push(path.to_path_buf());
    }
    Ok(path.parent().map(Path::to_path_buf).unwrap_or_default())
}

fn list(folder: &Path, listing: &mut Listing) -> Result<(), DatasetError> {
    for entry in WalkDir::new(folder).max_depth(DEEPEST).follow_links(true) {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) if ShardFile::kind_of(entry.path()).is_some() => listing.pictures.push(entry.into_path()),
            Ok(entry) => listing.passed_over.file(entry.path()),
            Err(error) if error.depth() == 0 => return Err(DatasetError::io("list", folder)(io(error))),
            Err(error) => passed_over(error, folder, listing),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_found_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir(root.join("train")).unwrap();
        for name in
            ["train/000.tar", "train/001.tar.gz", "train/002.tgz", "train/003.tar.zst", "x.parquet", "notes.txt"]
        {
            std::fs::write(root.join(name), "").unwrap();
        }
        let names = |inputs: &[&str]| {
            let found = ShardFiles::find(inputs.iter().map(|input| root.join(input))).unwrap();
            found.shards.into_iter().map(|shard| shard.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[""]), ["train/000", "train/001", "train/002", "train/003", "x"]);
        assert_eq!(names(&["train/{000..000}.tar", "x.parquet"]), ["000", "x"]);
        assert_eq!(names(&["train/*.tar*"]), ["000", "001", "003"]);
        assert!(ShardFiles::are_named_by(root) && ShardFiles::are_named_by(Path::new("no/{0..9}.tar")));
        assert!(ShardFiles::are_named_by(Path::new("no/*.tar.*")) && !ShardFiles::are_named_by(Path::new("no/*.png")));
        assert!(!ShardFiles::are_named_by(Path::new("a.png")));
        for (input, says) in
            [("train/{000..009}.tar", "001.tar"), ("notes.txt", "names no shard"), ("q*.tar", "names no")]
        {
            let error = ShardFiles::find([root.join(input)]).unwrap_err().to_string();
            assert!(error.contains(says), "{input}: {error}");
        }
        std::fs::write(root.join("train/000.tar.gz"), "").unwrap();
        let error = ShardFiles::find([root]).unwrap_err().to_string();
        assert!(error.contains("the same name"), "{error}");
        std::fs::write(root.join("a.png"), "").unwrap();
        assert!(!ShardFiles::are_named_by(root));
    }
}
