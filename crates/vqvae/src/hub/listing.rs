//! What the Hub lists at the top of a repository, of which two files matter here.

use serde::Deserialize;

use super::MODEL_FILES;
use super::content_name::ContentName;
use crate::model::config::MAX_CONFIG_BYTES;
use crate::system::files::MAX_TENSOR_FILE;

/// How many names of other files a message tells.
const NAMES_TOLD: usize = 10;

/// The Hub's answer: files and folders. Their names are compared with those of a model's files and never become paths.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Listing {
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    path: String,
    #[serde(default)]
    size: u64,
    oid: Option<String>,
    lfs: Option<LargeFile>,
}

#[derive(Debug, Deserialize)]
struct LargeFile {
    oid: String,
}

/// A file as the Hub describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its name, one of ours.
    pub path: &'static str,
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

    fn describe(&self, path: &'static str, limit: u64) -> Result<RemoteFile, String> {
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
        Ok(RemoteFile { path, bytes: entry.size, contents })
    }
}
