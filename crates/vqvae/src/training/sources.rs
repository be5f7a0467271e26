//! `sources.json` in a run directory: where the pictures and the base model of a training lie on this machine, and which
//! pictures count. So a training goes on with the same pictures, from whatever folder it is resumed.

use std::path::{Path, PathBuf};

use ksom_datasets::sets::{OnUnreadable, open_again};
use ksom_datasets::{DataOptions, DataSet, DataSpec, ImageSource};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::system::digest::hexadecimal;
use crate::system::files::{read_text, write_atomic};
use crate::training::stand_in::StandIns;

const FILE: &str = "sources.json";
const SCHEMA_VERSION: u32 = 1;
/// The largest record that is read, in bytes.
const MAX_BYTES: u64 = 64 << 20;
/// Names are recorded of sets up to so many pictures; of larger ones only their number and a hash.
const MAX_NAMES: usize = 100_000;
/// How many names a message tells.
const NAMES_TOLD: usize = 5;

/// Where a training's pictures and base model lie, and which pictures count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sources {
    schema_version: u32,
    /// The data set, by absolute paths.
    data: DataSpec,
    /// Whether pictures that cannot be read are passed over.
    skip_unreadable: bool,
    /// What was left out before anything was split, by source.
    left_out: Vec<Vec<String>>,
    /// The pictures to train on.
    train: Pictures,
    /// The pictures to validate on, by set.
    valid: Vec<Pictures>,
    /// Pictures to train on that could not be read later: another one stands in for each.
    #[serde(default)]
    stand_ins: Vec<usize>,
    /// Pictures to validate on that could not be read later, by set.
    #[serde(default)]
    not_validated: Vec<Vec<usize>>,
    /// The folder of the base model, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base_folder: Option<PathBuf>,
}

/// Some pictures, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pictures {
    count: usize,
    fingerprint: String,
    /// Their names in order; none where there are too many.
    #[serde(default)]
    names: Vec<String>,
}

impl Sources {
    /// What a training that starts now is to remember.
    pub(crate) fn of(spec: &DataSpec, options: &DataOptions, data: &DataSet, base: Option<&str>) -> Self {
        let folder = base.map(Path::new).filter(|base| base.is_dir());
        Self {
            schema_version: SCHEMA_VERSION,
            data: spec.absolute(),
            skip_unreadable: options.on_unreadable == OnUnreadable::Skip,
            left_out: data.left_out.clone(),
            train: Pictures::of(data.train.as_ref()),
            valid: data.valid.iter().map(|(_, source)| Pictures::of(source.as_ref())).collect(),
            stand_ins: Vec::new(),
            not_validated: Vec::new(),
            base_folder: folder.and_then(|folder| std::path::absolute(folder).ok()),
        }
    }

    /// Writes the record.
    pub(crate) fn write(&self, run: &Path) -> Result<()> {
        let path = run.join(FILE);
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::file(&path, error.to_string()))?;
        write_atomic(&path, text.as_bytes())
    }

    /// The record of a run directory; nothing where there is none.
    ///
    /// # Errors
    /// It is malformed, or written by a later version.
    pub(crate) fn read(run: &Path) -> Result<Option<Self>> {
        let path = run.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let text = read_text(&path, MAX_BYTES)?;
        let sources: Self = serde_json::from_str(&text)
            .map_err(|error| Error::file(&path, format!("the record of the pictures is malformed: {error}")))?;
        if sources.schema_version != SCHEMA_VERSION {
            let found = sources.schema_version;
            return Err(Error::file(&path, format!("expected schema version {SCHEMA_VERSION}, found {found}")));
        }
        Ok(Some(sources))
    }

    /// Opens the pictures as they were when the training started, and gives the record where it is to be written anew;
    /// `fingerprint` is that of those to train
    /// on, for a run of an older version.
    ///
    /// # Errors
    /// They cannot be found, or others are there: the message says which.
    pub(crate) fn open(
        run: &Path,
        spec: Option<&DataSpec>,
        recorded_spec: &str,
        options: &DataOptions,
        fingerprint: &str,
    ) -> Result<(DataSet, Option<Self>)> {
        let recorded = Self::read(run)?;
        let spec = match (spec, &recorded) {
            (Some(spec), _) => spec.clone(),
            (None, Some(recorded)) => recorded.data.clone(),
            (None, None) => recorded_spec.parse()?,
        };
        let opened = match &recorded {
            Some(recorded) => {
                let skip = recorded.skip_unreadable || options.on_unreadable == OnUnreadable::Skip;
                let on_unreadable = if skip { OnUnreadable::Skip } else { OnUnreadable::Fail };
                open_again(&spec, &DataOptions { on_unreadable, ..*options }, &recorded.left_out)
            }
            // A run of an older version: pictures were left out as they are now, or none were.
            None => ksom_datasets::open(&spec, options).and_then(|data| {
                let other = data.left_out.iter().any(|names| !names.is_empty())
                    && self::fingerprint(data.train.as_ref()) != fingerprint;
                if other { open_again(&spec, options, &[]) } else { Ok(data) }
            }),
        };
        let mut data = opened.map_err(|source| Error::NoPictures {
            run: run.to_path_buf(),
            data: spec.to_string(),
            source: Box::new(source),
        })?;
        let differ =
            |differences: String| Error::OtherPictures { run: run.to_path_buf(), data: spec.to_string(), differences };
        let mut sources = recorded.clone().unwrap_or_else(|| Self::of(&spec, options, &data, None));
        if let Some(differences) = sources.train.differences(data.train.as_ref()) {
            return Err(differ(differences));
        }
        if recorded.is_none() && self::fingerprint(data.train.as_ref()) != fingerprint {
            return Err(differ("their number or names have changed".to_string()));
        }
        for ((_, source), recorded) in data.valid.iter().zip(&sources.valid) {
            if let Some(differences) = recorded.differences(source.as_ref()) {
                return Err(differ(differences));
            }
        }
        if data.unreadable.is_empty() {
            let reason = "it could not be read when the training started";
            data.unreadable = data.left_out.iter().flatten().map(|name| (name.clone(), reason.to_string())).collect();
        }
        sources.data = spec.absolute();
        sources.skip_unreadable |= options.on_unreadable == OnUnreadable::Skip;
        if sources.skip_unreadable {
            sources.pass_over(&mut data)?;
        }
        let changed = recorded.as_ref() != Some(&sources);
        Ok((data, changed.then_some(sources)))
    }

    /// Passes over what cannot be read any more, and what could not be before: the order of the others stays.
    fn pass_over(&mut self, data: &mut DataSet) -> Result<()> {
        let train = StandIns::find(&data.train, &self.stand_ins);
        data.unreadable.extend(train.told("another picture stands in for it"));
        self.stand_ins = train.indices();
        data.train = train.stand_in(&data.train)?;
        self.not_validated.resize(data.valid.len(), Vec::new());
        for ((_, source), known) in data.valid.iter_mut().zip(&mut self.not_validated) {
            let valid = StandIns::find(source, known);
            data.unreadable.extend(valid.told("it is not validated on"));
            *known = valid.indices();
            *source = valid.without(source)?;
        }
        Ok(())
    }
}

impl Pictures {
    fn of(source: &dyn ImageSource) -> Self {
        let count = source.len();
        let names = if count <= MAX_NAMES { (0..count).map(|index| source.name(index)).collect() } else { Vec::new() };
        Self { count, fingerprint: fingerprint(source), names }
    }

    /// What is different about the pictures of `source`, if anything is.
    fn differences(&self, source: &dyn ImageSource) -> Option<String> {
        if self.fingerprint == fingerprint(source) {
            return None;
        }
        let now: Vec<String> = (0..source.len()).map(|index| source.name(index)).collect();
        let parts = [("missing", beyond(&self.names, &now)), ("new", beyond(&now, &self.names))];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(_, names)| !names.is_empty() && !self.names.is_empty())
            .map(|(what, names)| format!("{} {what} ({})", names.len(), some_of(&names)))
            .collect();
        Some(match parts.is_empty() {
            false => parts.join(", "),
            true if self.count == now.len() => "their names or order have changed".to_string(),
            true => format!("there were {}, and are {}", self.count, now.len()),
        })
    }
}

/// The names of `all` that are not among `others`.
fn beyond<'a>(all: &'a [String], others: &[String]) -> Vec<&'a str> {
    let others: std::collections::HashSet<&str> = others.iter().map(String::as_str).collect();
    all.iter().map(String::as_str).filter(|name| !others.contains(name)).collect()
}

fn some_of(names: &[&str]) -> String {
    let more = if names.len() > NAMES_TOLD { ", …" } else { "" };
    names.iter().take(NAMES_TOLD).copied().collect::<Vec<_>>().join(", ") + more
}

/// The folder that the base model of the training in `run` was in, where it was in one of the user's own.
///
/// # Errors
/// The record in the run directory is malformed.
pub fn base_folder(run: &Path) -> Result<Option<PathBuf>> {
    Ok(Sources::read(run)?.and_then(|sources| sources.base_folder))
}

/// A hash of the number and names of some pictures.
pub(crate) fn fingerprint(source: &dyn ImageSource) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for index in 0..source.len() {
        hash.update(source.name(index));
        hash.update([0]);
    }
    hexadecimal(&hash.finalize())
}
