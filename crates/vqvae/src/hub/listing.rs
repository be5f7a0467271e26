//! What the Hub lists at the top of a repository, of which two files matter here.

use serde::{Deserialize, Serialize};

use super::MODEL_FILES;
use super::content_name::ContentName;
use crate::model::config::MAX_CONFIG_BYTES;
use crate::system::files::MAX_TENSOR_FILE;

/// The largest file of a data set that is pulled, in bytes.
#[cfg(feature = "shards")]
const MAX_DATA_FILE: u64 = 1 << 40;

/// The longest part of a path, and how many parts one may have.
#[cfg(feature = "shards")]
const MAX_PART: usize = 200;
#[cfg(feature = "shards")]
const MAX_PARTS: usize = 8;

/// How many names of other files a message tells.
const NAMES_TOLD: usize = 10;

/// The Hub's answer: files and folders. Names are compared with those of a model's files, or become paths once it is
/// known that they stay below a folder.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Listing {
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Entry {
    path: String,
    #[serde(default)]
    size: u64,
    oid: Option<String>,
    lfs: Option<LargeFile>,
}

#[derive(Debug, Deserialize, Serialize)]
struct LargeFile {
    oid: String,
}

/// A file as the Hub describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its path in the repository: one of ours, or one that stays below any folder.
    pub path: String,
    /// Its size, within the bound for such a file.
    pub bytes: u64,
    pub(crate) contents: ContentName,
}

impl RemoteFile {
    /// The name of its contents, in hexadecimal.
    pub fn contents(&self) -> &str {
        self.contents.as_str()
    }
}

impl Listing {
    /// Configuration and weights.
    ///
    /// # Errors
    /// One of them is not listed, or is listed twice, is too large, or has no hash of its contents.
    pub fn model_files(&self) -> Result<[RemoteFile; 2], String> {
        let [config, weights] = MODEL_FILES;
        Ok([self.describe(config, MAX_CONFIG_BYTES)?, self.describe(weights, MAX_TENSOR_FILE)?])
    }

    /// Adds another page of the same answer.
    #[cfg(all(feature = "hub", feature = "shards"))]
    pub(crate) fn extend(&mut self, other: Self) {
        self.entries.extend(other.entries);
    }

    /// The Parquet files, in order; names that could lead elsewhere are not among them.
    #[cfg(feature = "shards")]
    pub(crate) fn parquet_files(&self) -> Result<Vec<RemoteFile>, String> {
        let is_parquet = |path: &str| path.to_lowercase().ends_with(".parquet") && stays_below(path);
        let mut names: Vec<&str> =
            self.entries.iter().map(|entry| entry.path.as_str()).filter(|path| is_parquet(path)).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(|path| self.describe(path, MAX_DATA_FILE)).collect()
    }

    /// The contents that a file of this path has, if it is listed with a size and a hash.
    #[cfg(all(feature = "hub", feature = "shards"))]
    pub(crate) fn contents_of(&self, path: &str) -> Option<(u64, String)> {
        let file = self.describe(path, u64::MAX).ok()?;
        Some((file.bytes, file.contents.as_str().to_string()))
    }

    fn describe(&self, path: &str, limit: u64) -> Result<RemoteFile, String> {
        let mut found = self.entries.iter().filter(|entry| entry.path == path);
        let Some(entry) = found.next() else {
            let others: Vec<&str> = self.entries.iter().map(|entry| entry.path.as_str()).take(NAMES_TOLD).collect();
            let found = if others.is_empty() {
                "the repository is empty".to_string()
            } else {
                format!("found {}", others.join(", "))
            };
            return Err(format!("not a ksom model: expected a file {path}, {found}"));
        };
        if found.next().is_some() {
            return Err(format!("its listing names {path} twice"));
        }
        if entry.size > limit {
            return Err(format!("{path} should have at most {limit} bytes, but has {}", entry.size));
        }
        let named = entry.lfs.as_ref().map(|lfs| &lfs.oid).or(entry.oid.as_ref());
        let contents = named
            .and_then(|name| ContentName::parse(name))
            .ok_or_else(|| format!("its listing names {path} without a hash of its contents"))?;
        Ok(RemoteFile { path: path.to_string(), bytes: entry.size, contents })
    }
}

/// Whether a path of a repository is one below any folder, on every system.
#[cfg(feature = "shards")]
fn stays_below(path: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && part.len() <= MAX_PART
            && !part.starts_with('.')
            && !part.ends_with(['.', ' '])
            && !part.chars().any(|c| c.is_control() || r#"<>:"|?*\"#.contains(c))
    };
    path.split('/').count() <= MAX_PARTS && path.split('/').all(plain)
}

#[cfg(all(test, feature = "shards"))]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below() {
        for good in ["a.parquet", "plain_text/train-00000-of-00001.parquet", "a/b c/d+e.parquet"] {
            assert!(stays_below(good), "{good}");
        }
        for bad in [
            "/a",
            "../a",
            "a/../b",
            "a//b",
            ".git/a",
            "a\\b",
            "C:/a",
            "a/b.",
            "a\n",
            "",
            "a/.hidden/b",
            "1/2/3/4/5/6/7/8/9",
        ] {
            assert!(!stays_below(bad), "{bad}");
        }
    }
}
