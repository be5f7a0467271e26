//! Which of a data set's Parquet files are meant, and where they lie in the cache.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::cache::{RepositoryCache, is_intact};
use super::data_name::HubDataName;
use super::listing::{Listing, RemoteFile};
use super::package::RepositoryKind;
use super::settings::Hub;
use crate::error::{Error, HubProblem, Result};
use crate::system::files::{read_text, write_atomic};

/// Where the Hub keeps the Parquet files that it made of data sets in other forms.
pub(super) const CONVERTED: &str = "refs/convert/parquet";
/// What stands for the configuration where a data set has but one without a name.
const DEFAULT: &str = "default";
/// Folders that are no configurations.
const NO_CONFIG: [&str; 7] = ["data", "train", "test", "val", "valid", "validation", "dev"];
/// The largest record of a listing that is read, in bytes.
const MAX_LISTING: u64 = 64 << 20;

/// The files of a data set that are on this disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubData {
    /// `owner/name`.
    pub repository: String,
    /// The commit that these files are of.
    pub commit: String,
    /// What names the files as a Parquet data set: a folder, a file, or a folder with names in braces.
    pub path: PathBuf,
    /// The files.
    pub files: Vec<PathBuf>,
    /// Their bytes.
    pub bytes: u64,
}

/// The files of one configuration, or of one split of it.
pub struct DataSplit {
    /// The files that are meant, in order.
    pub files: Vec<RemoteFile>,
    /// All Parquet files of the data set.
    all: Vec<String>,
}

impl DataSplit {
    /// Those of a listing that are meant.
    ///
    /// # Errors
    /// There are none, or several configurations of which none was named.
    pub fn of(listing: &Listing, name: &HubDataName) -> Result<Self, String> {
        let files = listing.parquet_files()?;
        if files.is_empty() {
            return Err("it has no Parquet files".to_string());
        }
        let all: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
        let configs: BTreeSet<&str> = all.iter().map(|path| config_of(path)).collect();
        let told = || configs.iter().copied().collect::<Vec<_>>().join(", ");
        let config = match &name.config {
            Some(config) if configs.contains(config.as_str()) => config.as_str(),
            Some(config) => return Err(format!("it has no configuration {config:?}; it has {}", told())),
            None if configs.len() == 1 => configs.first().copied().unwrap_or(DEFAULT),
            None if configs.contains(DEFAULT) => DEFAULT,
            None => {
                let first = configs.first().copied().unwrap_or(DEFAULT);
                return Err(format!("it has several configurations ({}): name one, as {}:{first}", told(), name.name));
            }
        };
        let of_config = |file: &RemoteFile| config_of(&file.path) == config;
        let mut files: Vec<RemoteFile> = files.into_iter().filter(of_config).collect();
        if let Some(split) = &name.split {
            let splits: BTreeSet<String> = files.iter().map(|file| split_of(&file.path)).collect();
            files.retain(|file| split_of(&file.path) == *split);
            if files.is_empty() {
                let told = splits.into_iter().collect::<Vec<_>>().join(", ");
                return Err(format!("its configuration {config} has no split {split:?}; it has {told}"));
            }
        }
        Ok(Self { files, all })
    }

    /// What names the files, below `folder`.
    fn path(&self, folder: &Path) -> PathBuf {
        if let [only] = &self.files[..] {
            return folder.join(&only.path);
        }
        let parents = |path: &str| path.rsplit_once('/').map_or(String::new(), |(parent, _)| format!("{parent}/"));
        let mut common = self.files.first().map_or(String::new(), |file| parents(&file.path));
        for file in &self.files {
            while !file.path.starts_with(&common) {
                common = parents(common.trim_end_matches('/'));
            }
        }
        // All that lies there, or some of it.
        if self.all.iter().filter(|path| path.starts_with(&common)).count() == self.files.len() {
            return folder.join(&common);
        }
        let names: Vec<&str> = self.files.iter().map(|file| &file.path[common.len()..]).collect();
        folder.join(format!("{common}{{{}}}", names.join(",")))
    }
}

/// The configuration that a path belongs to: its first folder that is neither `data` nor called as a split.
fn config_of(path: &str) -> &str {
    let mut folders: Vec<&str> = path.split('/').collect();
    folders.pop();
    folders.into_iter().find(|folder| !NO_CONFIG.contains(folder)).unwrap_or(DEFAULT)
}

/// The split that a path belongs to: what stands before the first dash of its name, or its folder.
fn split_of(path: &str) -> String {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.split(['-', '.']).next().unwrap_or(name);
    if stem.is_empty() || stem.bytes().all(|byte| byte.is_ascii_digit()) {
        return folders.rsplit('/').next().unwrap_or(folders).to_string();
    }
    stem.to_string()
}

impl RepositoryCache {
    /// Where the listing of a commit is recorded, so that it is known what belongs to it.
    fn listing(&self, commit: &str) -> PathBuf {
        self.folder.join(".ksom").join(format!("{commit}.json"))
    }

    /// The listing of a commit as it was recorded.
    pub(super) fn recorded_listing(&self, commit: &str) -> Option<Listing> {
        serde_json::from_str(&read_text(&self.listing(commit), MAX_LISTING).ok()?).ok()
    }

    /// Records a commit's listing.
    #[cfg_attr(not(feature = "hub"), expect(dead_code))]
    pub(super) fn record_listing(&self, commit: &str, listing: &Listing) -> Result<()> {
        let path = self.listing(commit);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| Error::io("create", folder, source))?;
        }
        let text = serde_json::to_string(listing).map_err(|error| Error::file(&path, error.to_string()))?;
        write_atomic(&path, text.as_bytes())
    }

    /// The files of a data set, if all are here and are what their names say.
    ///
    /// # Errors
    /// Says which is not.
    pub(super) fn data(&self, commit: &str, split: &DataSplit, repository: &str) -> Result<HubData, String> {
        let folder = self.snapshot(commit);
        if let Some(elsewhere) = self.elsewhere().or_else(|| self.out_of_cache(&folder)) {
            return Err(format!("{} leads out of the cache", elsewhere.display()));
        }
        let files: Vec<PathBuf> = split.files.iter().map(|file| folder.join(&file.path)).collect();
        for (path, file) in files.iter().zip(&split.files) {
            if std::fs::metadata(path).map_or(0, |metadata| metadata.len()) != file.bytes {
                return Err(format!("{} is not in the cache", file.path));
            }
            if !is_intact(path) || self.out_of_cache(path).is_some() {
                return Err(format!("{} in the cache is damaged", path.display()));
            }
        }
        let bytes = split.files.iter().map(|file| file.bytes).sum();
        Ok(HubData {
            repository: repository.to_string(),
            commit: commit.to_string(),
            path: split.path(&folder),
            files,
            bytes,
        })
    }
}

impl Hub {
    /// A data set as it lies in the cache; no network is used.
    ///
    /// # Errors
    /// It is not there, or not all of it.
    pub fn cached_data(&self, name: &HubDataName) -> Result<HubData> {
        let missing = |message: String| Error::Hub {
            subject: name.to_string(),
            problem: HubProblem::Offline,
            message: format!(
                "{message}: where there is a network and HF_HUB_OFFLINE is not set, `--data hub:{name}` fetches it into {}",
                self.cache.display()
            ),
        };
        let cache = RepositoryCache::new(&self.cache, &name.name, RepositoryKind::DataSet);
        let commit = cache.commit_of(name.name.revision()).ok_or_else(|| missing("not in the cache".to_string()))?;
        let listing = cache.recorded_listing(&commit).ok_or_else(|| missing("not in the cache".to_string()))?;
        let has_none = listing.parquet_files().is_ok_and(|files| files.is_empty());
        if has_none && name.name.revision() != CONVERTED {
            return self.cached_data(&HubDataName { name: name.name.at(CONVERTED)?, ..name.clone() });
        }
        let split = DataSplit::of(&listing, name).map_err(missing)?;
        cache.data(&commit, &split, name.name.repository()).map_err(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(paths: &[&str]) -> Listing {
        let entry = |path: &&str| serde_json::json!({"type": "file", "path": path, "size": 1, "oid": "0".repeat(40)});
        serde_json::from_value(paths.iter().map(entry).collect()).unwrap()
    }

    fn chosen(paths: &[&str], name: &str) -> Result<String, String> {
        let split = DataSplit::of(&listing(paths), &name.parse().unwrap())?;
        Ok(split.path(Path::new("S")).display().to_string())
    }

    #[test]
    fn configurations_and_splits_are_found() {
        let cifar = ["README.md", "plain_text/test-00000-of-00001.parquet", "plain_text/train-00000-of-00001.parquet"];
        assert_eq!(chosen(&cifar, "o/n").unwrap(), "S/plain_text/");
        assert_eq!(chosen(&cifar, "o/n:plain_text:test").unwrap(), "S/plain_text/test-00000-of-00001.parquet");
        assert!(chosen(&cifar, "o/n:fancy").unwrap_err().contains("it has plain_text"));
        assert!(chosen(&cifar, "o/n:plain_text:dev").unwrap_err().contains("test, train"));
        let data =
            ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/val-0.parquet", "x.csv"];
        assert_eq!(chosen(&data, "o/n").unwrap(), "S/data/");
        let some = "S/data/{train-00000-of-00002.parquet,train-00001-of-00002.parquet}";
        assert_eq!(chosen(&data, "o/n:default:train").unwrap(), some);
        let converted = ["a/train/0000.parquet", "a/train/0001.parquet", "a/test/0000.parquet", "b/train/0000.parquet"];
        assert_eq!(chosen(&converted, "o/n:a:train").unwrap(), "S/a/train/");
        assert!(chosen(&converted, "o/n").unwrap_err().contains("several configurations (a, b)"));
        assert!(chosen(&["../x.parquet", "a.csv"], "o/n").unwrap_err().contains("no Parquet"));
    }
}
