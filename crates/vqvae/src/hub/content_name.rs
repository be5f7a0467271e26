//! What the Hub calls a file's contents: SHA-256 for large files, git's SHA-1 for small ones. The cache names its files so.

use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::system::digest::digest;

/// The name of some contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContentName {
    /// In hexadecimal.
    Sha256(String),
    /// Git's name of a blob: SHA-1 over a header with the length, and the contents.
    Git(String),
}

impl ContentName {
    /// By the number of its digits; none where it is neither.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let hexadecimal = text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
        match text.len() {
            64 if hexadecimal => Some(Self::Sha256(text.to_string())),
            40 if hexadecimal => Some(Self::Git(text.to_string())),
            _ => None,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Sha256(text) | Self::Git(text) => text,
        }
    }

    /// Whether the file's contents have this name.
    pub(crate) fn is_of(&self, path: &Path) -> std::io::Result<bool> {
        let file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        let found = match self {
            Self::Sha256(_) => digest(Sha256::new(), file)?,
            Self::Git(_) => digest(Sha1::new_with_prefix(format!("blob {length}\0")), file)?,
        };
        Ok(found == self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_have_the_names_that_git_and_sha256sum_give() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hello");
        std::fs::write(&path, "hello\n").unwrap();
        // `git hash-object` and `sha256sum`.
        for text in [
            "ce013625030ba8dba906f756967f9e9ca394464a",
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
        ] {
            let name = ContentName::parse(text).unwrap();
            std::fs::write(&path, "hello\n").unwrap();
            assert!(name.is_of(&path).unwrap());
            std::fs::write(&path, "hellO\n").unwrap();
            assert!(!name.is_of(&path).unwrap());
        }
        assert_eq!(ContentName::parse("../../x"), None);
    }
}
