//! What was passed over while pictures were looked for.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::files::names::extension;

/// How many kinds are named; the rest are counted together.
const NAMED: usize = 12;

/// An entry that could not be looked at, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    /// The link, file or folder.
    pub path: PathBuf,
    /// Why it was passed over.
    pub reason: String,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "passed over {}: {}", self.path.display(), self.reason)
    }
}

/// What was passed over while pictures were looked for, by kind: a file's extension, or what else tells it.
///
/// Its text is `passed over 4 files: 2 .heic, 1 .avif, 1 without extension`, and nothing where nothing was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassedOver {
    kinds: BTreeMap<String, usize>,
    unreachable: Vec<Unreachable>,
}

impl PassedOver {
    /// How many entries there were of each kind.
    pub fn kinds(&self) -> &BTreeMap<String, usize> {
        &self.kinds
    }

    /// Those that could not be looked at, each with its reason.
    pub fn unreachable(&self) -> &[Unreachable] {
        &self.unreachable
    }

    /// How many entries were passed over.
    pub fn len(&self) -> usize {
        self.kinds.values().sum()
    }

    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Adds what was passed over somewhere else.
    pub fn add(&mut self, other: Self) {
        for (kind, count) in other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        self.unreachable.extend(other.unreachable);
    }

    /// A file that is no picture.
    pub(crate) fn file(&mut self, path: &Path) {
        let kind = match extension(path) {
            Some(extension) if extension.len() <= 16 => format!(".{extension}"),
            _ => "without extension".to_owned(),
        };
        self.kind(&kind);
    }

    /// An entry of some other kind.
    pub(crate) fn kind(&mut self, kind: &str) {
        *self.kinds.entry(kind.to_owned()).or_default() += 1;
    }

    /// An entry that could not be looked at.
    pub(crate) fn unreached(&mut self, path: &Path, reason: impl ToString) {
        self.kind("that cannot be opened");
        self.unreachable.push(Unreachable { path: path.to_path_buf(), reason: reason.to_string() });
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.len();
        if total == 0 {
            return Ok(());
        }
        let mut kinds: Vec<(&String, &usize)> = self.kinds.iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let more = kinds.split_off(kinds.len().min(NAMED));
        let mut parts: Vec<String> = kinds.into_iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        if !more.is_empty() {
            parts.push(format!("{} of other kinds", more.iter().map(|(_, count)| **count).sum::<usize>()));
        }
        write!(f, "passed over {total} {}: {}", if total == 1 { "file" } else { "files" }, parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_counted_and_named() {
        let mut passed = PassedOver::default();
        assert_eq!(passed.to_string(), "");
        for name in ["a.HEIC", "b.heic", "c.avif", "README"] {
            passed.file(Path::new(name));
        }
        passed.unreached(Path::new("x"), "a link that leads nowhere");
        let said = "passed over 5 files: 2 .heic, 1 .avif, 1 that cannot be opened, 1 without extension";
        assert_eq!(passed.to_string(), said);
        assert_eq!(passed.unreachable()[0].to_string(), "passed over x: a link that leads nowhere");
        let mut many = PassedOver::default();
        (0..20).for_each(|number| many.file(Path::new(&format!("a.{number:02}"))));
        assert!(many.to_string().ends_with("1 .11, 8 of other kinds"), "{many}");
        passed.add(many);
        assert_eq!(passed.len(), 25);
    }
}
