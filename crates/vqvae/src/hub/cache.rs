//! The folder that pulled files are kept in, laid out as Python's `huggingface_hub` does:
//!
//! ```text
//! models--owner--name/blobs/<name of the contents>
//! models--owner--name/snapshots/<commit>/config.json → ../../blobs/…
//! models--owner--name/refs/main                      the commit that a revision was found to be
//! .locks/models--owner--name/<name of the contents>.lock
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use super::content_name::ContentName;
use super::name::{HubName, is_commit};
use super::package::RepositoryKind;
use super::{Hub, MODEL_FILES};
use crate::error::{Error, HubProblem, Result};
use crate::model::config::ModelConfig;
use crate::system::files::read_text;

const PREFIX: &str = "models--";
/// The longest note of a commit that is read, in bytes.
const MAX_REFERENCE_BYTES: u64 = 1 << 10;

/// A model from the Hub, on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubModel {
    /// `owner/name`.
    pub repository: String,
    /// The commit that these files are of.
    pub commit: String,
    /// The model directory.
    pub folder: PathBuf,
}

/// A model in the cache, as [`Hub::cached_models`] lists it.
#[derive(Clone, Debug)]
pub struct CachedModel {
    /// Which model, and where.
    pub model: HubModel,
    /// Branches and tags that were found to be this commit.
    pub revisions: Vec<String>,
    /// Its configuration.
    pub config: ModelConfig,
    /// The size of its weights.
    pub bytes: u64,
}

/// Why the cache does not hold a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// It never was pulled, or not to its end.
    Unknown,
    /// A file is not what its name says.
    Damaged(PathBuf),
    /// A folder of it leads out of the cache.
    Elsewhere(PathBuf),
}

/// The part of the cache that belongs to one repository.
pub(crate) struct RepositoryCache {
    repository: String,
    pub(super) folder: PathBuf,
}

impl RepositoryCache {
    pub(crate) fn new(cache: &Path, name: &HubName, kind: RepositoryKind) -> Self {
        let folder = format!("{}s--{}--{}", kind.name(), name.owner(), name.name());
        Self { repository: name.repository().to_string(), folder: cache.join(folder) }
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    pub(super) fn reference(&self, revision: &str) -> PathBuf {
        revision.split('/').fold(self.folder.join("refs"), |path, part| path.join(part))
    }

    /// The commit that a revision was last found to be.
    pub(super) fn commit_of(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_string());
        }
        let commit = read_text(&self.reference(revision), MAX_REFERENCE_BYTES).ok()?;
        Some(commit.trim().to_string()).filter(|commit| is_commit(commit))
    }

    /// The model as it lies here. Every file is compared with the name of its contents.
    pub(crate) fn find(&self, revision: &str) -> std::result::Result<HubModel, Absent> {
        if let Some(elsewhere) = self.elsewhere() {
            return Err(Absent::Elsewhere(elsewhere));
        }
        let commit = self.commit_of(revision).ok_or(Absent::Unknown)?;
        let folder = self.snapshot(&commit);
        if let Some(elsewhere) = self.out_of_cache(&folder) {
            return Err(Absent::Elsewhere(elsewhere));
        }
        for file in MODEL_FILES {
            let path = folder.join(file);
            if !path.is_file() {
                return Err(Absent::Unknown);
            }
            if !is_intact(&path) || self.out_of_cache(&path).is_some() {
                return Err(Absent::Damaged(path));
            }
        }
        Ok(HubModel { repository: self.repository.clone(), commit, folder })
    }

    /// The first of the repository's folders that leads out of the cache.
    pub(super) fn elsewhere(&self) -> Option<PathBuf> {
        let below = ["blobs", "snapshots", "refs"].map(|name| self.folder.join(name));
        [self.folder.clone(), self.locks()].into_iter().chain(below).find_map(|folder| self.out_of_cache(&folder))
    }

    /// Where the locks on the repository's files lie.
    pub(super) fn locks(&self) -> PathBuf {
        self.folder.with_file_name(".locks").join(self.folder.file_name().unwrap_or_default())
    }

    /// The part of a path that leads out of the cache by a link. A link of the whole repository is its owner's way to
    /// keep it on another disk, and is followed as Python follows it: what lies there is part of the cache.
    pub(super) fn out_of_cache(&self, path: &Path) -> Option<PathBuf> {
        let cache = self.folder.parent().unwrap_or(&self.folder);
        let existing =
            path.ancestors().take_while(|part| *part != cache).find(|part| part.symlink_metadata().is_ok())?;
        let roots = [cache, &self.folder].map(|root| root.canonicalize().ok());
        let place = existing.canonicalize().ok();
        let inside = place.is_some_and(|place| roots.iter().flatten().any(|root| place.starts_with(root)));
        (!inside).then(|| existing.to_path_buf())
    }

    /// Refuses a path that leaves the cache by a link that somebody put there.
    ///
    /// # Errors
    /// What exists of the path lies elsewhere.
    pub(super) fn check_inside(&self, path: &Path) -> Result<()> {
        self.out_of_cache(path).map_or(Ok(()), |elsewhere| Err(self.leads_out(&elsewhere)))
    }

    /// The same for all of the repository's folders.
    pub(super) fn check_folders(&self) -> Result<()> {
        self.elsewhere().map_or(Ok(()), |elsewhere| Err(self.leads_out(&elsewhere)))
    }

    /// What is said wherever a folder of the cache lies elsewhere.
    fn leads_out(&self, elsewhere: &Path) -> Error {
        let cache = self.folder.parent().unwrap_or(&self.folder).display();
        let message = if elsewhere.exists() {
            format!(
                "leads out of the Hub's cache {cache} and is not used: link the whole folder {} instead, or name the \
                 place of the whole cache by HF_HUB_CACHE",
                self.folder.display()
            )
        } else {
            format!(
                "leads out of the Hub's cache {cache}, and to nothing: attach the disk that it leads to, or remove it to \
                 have the model fetched again"
            )
        };
        Error::file(elsewhere, message)
    }

    /// The model of a commit, there or not.
    pub(crate) fn model(&self, commit: &str) -> HubModel {
        HubModel { repository: self.repository.clone(), commit: commit.to_string(), folder: self.snapshot(commit) }
    }
}

impl Hub {
    /// The model of that name as it lies in the cache; no network is used.
    ///
    /// # Errors
    /// It is not there, or a file of it is damaged: the message says what to run.
    pub fn cached(&self, name: &HubName) -> Result<HubModel> {
        let missing = |problem, message: String| Error::Hub { subject: name.to_string(), problem, message };
        let repository = RepositoryCache::new(&self.cache, name, RepositoryKind::Model);
        repository.find(name.revision()).map_err(|absent| {
            let cache = self.cache.display();
            let again = match self.offline {
                true => format!("HF_HUB_OFFLINE is set: unset it, and `ksom pull {name}` fetches it"),
                false => format!("`ksom pull {name}` fetches it where there is a network"),
            };
            match absent {
                Absent::Unknown => missing(HubProblem::Offline, format!("not in the cache {cache}; {again}")),
                Absent::Damaged(path) => {
                    missing(HubProblem::Damaged, format!("{} in the cache is damaged; {again}", path.display()))
                }
                Absent::Elsewhere(path) => repository.leads_out(&path),
            }
        })
    }

    /// Every model of ours in the cache, by name, or why it is not used. Other programs' repositories are passed over.
    pub fn cached_models(&self) -> Vec<Result<CachedModel>> {
        let mut models = Vec::new();
        for repository in entries(&self.cache) {
            let Some(name) = repository.strip_prefix(PREFIX).and_then(|rest| rest.split_once("--")) else { continue };
            let Ok(name) = format!("{}/{}", name.0, name.1).parse::<HubName>() else { continue };
            let cache = RepositoryCache::new(&self.cache, &name, RepositoryKind::Model);
            if let Err(error) = cache.check_folders() {
                let config = |commit: &String| cache.snapshot(commit).join(MODEL_FILES[0]);
                let of_others = |path: &PathBuf| path.exists() && ModelConfig::read(path).is_err();
                if !entries(&cache.folder.join("snapshots")).iter().map(config).any(|path| of_others(&path)) {
                    models.push(Err(error));
                }
                continue;
            }
            let references = references(&cache.folder.join("refs"), "");
            for commit in entries(&cache.folder.join("snapshots")) {
                let model = cache.model(&commit);
                let [config, weights] = MODEL_FILES.map(|file| model.folder.join(file));
                let (Ok(config), Ok(weights)) = (ModelConfig::read(&config), fs::metadata(weights)) else { continue };
                if let Err(error) = cache.check_inside(&model.folder) {
                    models.push(Err(error));
                    continue;
                }
                let of_commit = |(revision, at): &(String, String)| (*at == commit).then(|| revision.clone());
                let revisions = references.iter().filter_map(of_commit).collect();
                models.push(Ok(CachedModel { model, revisions, config, bytes: weights.len() }));
            }
        }
        models
    }
}

/// Whether a file's contents are those that the cache named it for. Where links are copies, that is not known.
pub(super) fn is_intact(path: &Path) -> bool {
    let Ok(target) = fs::read_link(path) else { return true };
    let named = target.file_name().and_then(|name| ContentName::parse(name.to_str()?));
    named.is_some_and(|name| name.is_of(path).unwrap_or(false))
}

/// The names in a folder, in order.
fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Revisions below a folder `refs`, with their commits. A revision may have slashes.
fn references(folder: &Path, prefix: &str) -> Vec<(String, String)> {
    let of_entry = |name: String| {
        let path = folder.join(&name);
        let revision = format!("{prefix}{name}");
        match read_text(&path, MAX_REFERENCE_BYTES) {
            Ok(commit) => vec![(revision, commit.trim().to_string())],
            Err(_) if path.is_dir() => references(&path, &format!("{revision}/")),
            Err(_) => Vec::new(),
        }
    };
    entries(folder).into_iter().flat_map(of_entry).collect()
}
