//! `owner/name[@revision]`: a repository on the Hub.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// The revision that is meant where none is named.
const DEFAULT_REVISION: &str = "main";

/// The longest owner or name that the Hub allows, and the longest revision that is taken.
const MAX_WORD: usize = 96;
const MAX_REVISION: usize = 250;

/// A model repository on the Hub and, optionally, a revision of it: a branch, a tag or a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubName {
    repository: String,
    revision: Option<String>,
}

impl HubName {
    /// `owner/name`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The part before the slash.
    pub fn owner(&self) -> &str {
        self.repository.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// The part after the slash.
    pub fn name(&self) -> &str {
        self.repository.split_once('/').map_or("", |(_, name)| name)
    }

    /// The revision: `main` where none was named.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(DEFAULT_REVISION)
    }

    /// The commit, where the revision is one.
    pub fn commit(&self) -> Option<&str> {
        self.revision.as_deref().filter(|revision| is_commit(revision))
    }

    /// The same repository at another revision.
    ///
    /// # Errors
    /// `revision` cannot be one.
    pub fn at(&self, revision: &str) -> Result<Self, Error> {
        format!("{}@{revision}", self.repository).parse()
    }
}

impl fmt::Display for HubName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        self.revision.as_ref().map_or(Ok(()), |revision| write!(f, "@{revision}"))
    }
}

impl FromStr for HubName {
    type Err = Error;

    /// # Errors
    /// The text is not `owner/name` or `owner/name@revision` in the letters that the Hub allows.
    fn from_str(text: &str) -> Result<Self, Error> {
        let (repository, revision) = match text.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision)),
            None => (text, None),
        };
        let named = repository.split_once('/').is_some_and(|(owner, name)| is_word(owner) && is_word(name));
        if !named || !revision.is_none_or(is_revision) {
            return Err(Error::Invalid(format!(
                "{text:?} is not a name on the Hub: expected owner/name or owner/name@revision"
            )));
        }
        Ok(Self { repository: repository.to_string(), revision: revision.map(String::from) })
    }
}

/// The Hub's own rule for owners and names; it makes them safe as parts of a path, too.
fn is_word(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= MAX_WORD
        && text.starts_with(ends)
        && text.ends_with(ends)
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !text.contains("--")
        && !text.contains("..")
}

/// Whether a text can be a revision and, in the cache, a path below a folder.
fn is_revision(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+/".contains(c);
    text.len() <= MAX_REVISION
        && text.chars().all(plain)
        && text.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with('.'))
        && !text.contains("..")
}

/// A revision as one part of an address; [`HubName`] allows no other letters that would need it.
#[cfg(feature = "hub")]
pub(crate) fn revision_in_address(revision: &str) -> String {
    revision.replace('/', "%2F").replace('+', "%2B")
}

/// Whether a revision is a full commit hash.
pub(crate) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_hub_are_told_from_paths() {
        for name in ["owner/name", "a-b/c.d_e", "owner/name@v1.0", "owner/name@refs/pr/1"] {
            assert_eq!(name.parse::<HubName>().unwrap().to_string(), name);
        }
        for name in [
            "name",
            "./a/b",
            "../a/b",
            "/a/b",
            "a/b/c",
            "a/",
            "/b",
            "a/b@",
            r"a\b",
            "C:/b",
            "a/..",
            "a/b@../../x",
            "a/b@/etc",
            "a/b@x//y",
            "a/b@.hidden",
            "a--b/c",
            "a/b.",
            "a/b@x y",
            "a/b@x\n",
        ] {
            assert!(name.parse::<HubName>().is_err(), "{name}");
        }
    }

    #[test]
    fn revisions_are_told_from_commits() {
        let name: HubName = "o/n".parse().unwrap();
        assert_eq!((name.owner(), name.name(), name.revision(), name.commit()), ("o", "n", "main", None));
        let commit = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(name.at(commit).unwrap().commit(), Some(commit));
        assert_eq!(name.at("v1").unwrap().commit(), None);
    }
}
