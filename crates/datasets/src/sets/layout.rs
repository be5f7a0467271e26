//! Which files of a data set's folder are for training, validation and testing, and what kind of data set it is.

use std::path::{Path, PathBuf};

use crate::error::DatasetError;
#[cfg(any(feature = "parquet", test))]
use crate::files::names::relative;
use crate::files::pattern::is_pattern;
use crate::sets::shards;
use crate::sets::spec::DataKind;
use crate::sources::{cifar10, mnist};

/// The names a folder of validation images goes by.
const VALID: [&str; 4] = ["valid", "val", "validation", "dev"];

/// The folders of a data set's parts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub train: PathBuf,
    pub valid: Option<PathBuf>,
    pub test: Option<PathBuf>,
}

/// The parts of a data set that consists of image files.
pub(crate) fn parts(kind: DataKind, root: &Path) -> Result<Parts, DatasetError> {
    let nested = root.join("ILSVRC/Data/CLS-LOC");
    let root = if kind == DataKind::ImageNet && nested.is_dir() { nested.as_path() } else { root };
    let folder = |names: &[&str]| {
        let mut folders = names.iter().map(|name| root.join(name));
        folders.find(|folder| folder.is_dir())
    };
    let (train, mut valid, mut test) = (folder(&["train"]), folder(&VALID), folder(&["test"]));
    if matches!(kind, DataKind::Afhq | DataKind::CelebaHq) && valid.is_none() {
        // Version 2 of AFHQ calls its validation images so.
        valid = test.take();
    }
    match train {
        Some(train) => Ok(Parts { train, valid, test }),
        // CelebA-HQ is found without parts as well.
        None if matches!(kind, DataKind::Folder | DataKind::CelebaHq) => {
            Ok(Parts { train: root.to_path_buf(), valid: None, test: None })
        }
        None => {
            Err(DatasetError::layout(kind, root, "it has no folder train/; use folder:PATH for a folder of images"))
        }
    }
}

/// What kind of data set lies at `path`.
pub(crate) fn detect(path: &Path) -> Result<DataKind, DatasetError> {
    if !path.exists() {
        if shards::names_parquet(path) {
            return Ok(DataKind::Parquet);
        }
        if names_tar(path) {
            return Ok(DataKind::Wds);
        }
        if is_pattern(path) {
            return Ok(DataKind::Folder);
        }
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(DatasetError::io("read", path)(missing));
    }
    if !path.is_dir() {
        return Ok(match (shards::names_parquet(path), names_tar(path)) {
            (true, _) => DataKind::Parquet,
            (false, true) => DataKind::Wds,
            (false, false) => DataKind::Folder,
        });
    }
    if cifar10::is_at(path) {
        return Ok(DataKind::Cifar10);
    }
    if mnist::find(path).is_some() {
        // The files of both are alike, down to their sizes.
        let fashion = path.to_string_lossy().to_lowercase().contains("fashion");
        return Ok(if fashion { DataKind::FashionMnist } else { DataKind::Mnist });
    }
    let imagenet = path.join("ILSVRC/Data/CLS-LOC");
    if imagenet.is_dir() {
        return Ok(DataKind::ImageNet);
    }
    let train = path.join("train");
    if train.is_dir() {
        let classes = folders(&train)?;
        let all = |fits: &dyn Fn(&str) -> bool| classes.iter().all(|class| fits(class));
        if !classes.is_empty() {
            if all(&|class| is_wordnet_id(class)) {
                return Ok(DataKind::ImageNet);
            }
            if all(&|class| ["cat", "dog", "wild"].contains(&class)) {
                return Ok(DataKind::Afhq);
            }
            if all(&|class| ["female", "male"].contains(&class)) {
                return Ok(DataKind::CelebaHq);
            }
        }
    }
    // Last, for it lists all files.
    if shards::holds_parquet(path)? {
        return Ok(DataKind::Parquet);
    }
    Ok(if names_tar(path) { DataKind::Wds } else { DataKind::Folder })
}

/// Whether a path names tar shards: a file, a pattern, or a folder that holds nothing else that is read.
#[cfg(feature = "shards")]
fn names_tar(path: &Path) -> bool {
    use crate::shards::{ShardFile, ShardFiles, ShardKind};

    let is_tar = ShardFile::kind_of(path) == Some(ShardKind::Tar);
    is_tar || ((path.is_dir() || !path.exists()) && ShardFiles::are_named_by(path))
}

#[cfg(not(feature = "shards"))]
fn names_tar(_: &Path) -> bool {
    false
}

/// Divides files into those for training, validation and testing by the words in their names below `root`
/// (`train-00000-of-00001.parquet`, `test/0000.parquet`); what says nothing is for training.
#[cfg(any(feature = "parquet", test))]
pub(crate) fn by_name(root: &Path, files: Vec<PathBuf>) -> [Vec<PathBuf>; 3] {
    let mut parts = [Vec::new(), Vec::new(), Vec::new()];
    for file in files {
        parts[part_of(&relative(root, &file))].push(file);
    }
    parts
}

/// The part that a name says: 0 for training, 1 for validation, 2 for testing.
#[cfg(any(feature = "parquet", test))]
pub(crate) fn part_of(name: &str) -> usize {
    let name = name.to_lowercase();
    let says = |wanted: &[&str]| name.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| wanted.contains(&word));
    match (says(&VALID), says(&["test"])) {
        (true, _) => 1,
        (false, true) => 2,
        (false, false) => 0,
    }
}

/// The names of the folders in `path` that are not hidden.
fn folders(path: &Path) -> Result<Vec<String>, DatasetError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(DatasetError::io("list", path))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && !name.starts_with('.') {
            names.push(name);
        }
    }
    Ok(names)
}

/// Whether a folder is named as ImageNet's classes are: `n01440764`.
fn is_wordnet_id(name: &str) -> bool {
    name.strip_prefix('n').is_some_and(|digits| digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_say_their_part() {
        let root = Path::new("/test/train-set");
        let files = [
            "data/train-00000-of-00002.parquet",
            "data/test-00000-of-00001.parquet",
            "validation/0000.parquet",
            "data/latest.parquet",
        ];
        let [train, valid, test] = by_name(root, files.map(|file| root.join(file)).to_vec());
        assert_eq!(train, [root.join(files[0]), root.join(files[3])]);
        assert_eq!(valid, [root.join(files[2])]);
        assert_eq!(test, [root.join(files[1])]);
    }

    #[test]
    fn wordnet_ids() {
        assert!(is_wordnet_id("n01440764"));
        for name in ["n0144076", "x01440764", "n01440764_tench", "n0144076a"] {
            assert!(!is_wordnet_id(name), "{name}");
        }
    }
}
