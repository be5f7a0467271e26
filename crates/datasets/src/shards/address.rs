//! Tar shards that a web server has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::DatasetError;
use crate::files::braces::expand_braces;
use crate::files::pattern::is_pattern;
use crate::sets::spec::after_scheme;
use crate::shards::find::{ShardKind, ending};

/// A tar shard, compressed or not, at an address: `https://host/shards/000123.tar`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebShard {
    name: String,
    address: String,
    shown: String,
}

impl WebShard {
    /// Whether something is an address, and no path.
    pub fn is_address(text: &str) -> bool {
        after_scheme(text).is_some()
    }

    /// The shards at `addresses`, which may have braces: `https://host/{000..127}.tar`.
    ///
    /// # Errors
    /// When one is no address of a tar shard, or two shards have one name.
    pub fn find<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Result<Vec<Self>, DatasetError> {
        let mut found: BTreeMap<String, Self> = BTreeMap::new();
        for pattern in addresses {
            for address in expand_braces(Path::new(pattern))? {
                let shard = Self::at(&address.to_string_lossy())?;
                match found.get(&shard.name) {
                    Some(other) if other.address != shard.address => {
                        let reason = format!(
                            "it has the same name {:?} as {}: their tokens would be one file",
                            shard.name, other.shown
                        );
                        return Err(DatasetError::Shard { path: PathBuf::from(shard.shown), reason });
                    }
                    _ => drop(found.insert(shard.name.clone(), shard)),
                }
            }
        }
        Ok(found.into_values().collect())
    }

    fn at(address: &str) -> Result<Self, DatasetError> {
        let (host, path) = after_scheme(address).unwrap_or_default().split_once('/').unwrap_or_default();
        let scheme = &address[..address.find("//").map_or(0, |at| at + 2)];
        let path = path.split(['?', '#']).next().unwrap_or_default();
        // Who asks, and what signs an address, are secrets.
        let host = host.rsplit('@').next().unwrap_or_default();
        let shown = format!("{scheme}{host}/{path}");
        let refused =
            |reason: &str| Err(DatasetError::Shard { path: PathBuf::from(&shown), reason: reason.to_owned() });
        let file = path.rsplit('/').next().unwrap_or_default();
        if is_pattern(Path::new(file)) {
            return refused("a web server does not list its files: name them in braces, such as {000..127}.tar");
        }
        match ending(&file.to_ascii_lowercase()) {
            Some((ShardKind::Tar, length)) => {
                let name = file[..file.len() - length].to_owned();
                Ok(Self { name, address: address.to_owned(), shown })
            }
            Some((ShardKind::Parquet, _)) => refused(
                "a Parquet file is read from its end, which a stream does not have at first: fetch it, and name the file",
            ),
            None => refused(
                "over the web, tar shards are read: .tar, .tar.gz or .tar.zst; fetch other files, and name them",
            ),
        }
    }

    /// Its file's name without what tells its kind: `000123`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is, with all that the server wants to know.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it is, without what may be secret: a password, and what signs an address.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_shards() {
        let found = WebShard::find(["https://me:secret@host:8000/a/{08..10}.tar.gz?signed=x", "HTTP://host/b/x.TAR#y"]);
        let found = found.unwrap();
        let names: Vec<_> = found.iter().map(WebShard::name).collect();
        assert_eq!(names, ["08", "09", "10", "x"]);
        assert_eq!(found[1].address(), "https://me:secret@host:8000/a/09.tar.gz?signed=x");
        assert_eq!(found[1].shown(), "https://host:8000/a/09.tar.gz");
        assert_eq!(found[3].shown(), "HTTP://host/b/x.TAR");
        assert!(
            !["shards/0.tar", "ftp://host/0.tar", "https:/host/0.tar", "http"].into_iter().any(WebShard::is_address)
        );
    }

    #[test]
    fn what_is_no_shard_is_refused_without_its_secrets() {
        for (addresses, says) in [
            (&["https://host/*.tar"][..], "does not list"),
            (&["https://host/a.parquet"], "read from its end"),
            (&["https://host/a.jpg?token=secret"], "tar shards are read"),
            (&["https://host/.tar"], "tar shards are read"),
            (&["https://host"], "tar shards are read"),
            (&["https://x:secret@host/{a,b}/0.tar"], "the same name \"0\" as https://host/a/0.tar"),
        ] {
            let error = WebShard::find(addresses.iter().copied()).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("secret"), "{addresses:?}: {error}");
        }
    }
}
