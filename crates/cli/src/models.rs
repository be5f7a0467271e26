//! MODEL → a model. The one place that knows what a model's name can mean.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use ksom_models::{CIFAR10_KSOM, ModelFiles};
use ksom_vqvae::{Compute, Model, ModelConfig, weights_path};

/// The model that is used where none is named.
pub const DEFAULT: &str = "cifar10-ksom";

/// The models that are compiled into this program.
pub const BUILT_IN: [&ModelFiles; 1] = [&CIFAR10_KSOM];

/// Where a model lies.
enum Place {
    /// In this program.
    BuiltIn(&'static ModelFiles),
    /// In a folder.
    Directory(PathBuf),
}

/// A model that was found by its name.
pub struct FoundModel {
    place: Place,
}

/// Finds a model: a path; else the name of a built-in model; else `owner/name[@revision]` on the Hub.
pub fn find(name: &str) -> Result<FoundModel> {
    let found = |place| Ok(FoundModel { place });
    if Path::new(name).exists() {
        return found(Place::Directory(PathBuf::from(name)));
    }
    if let Some(files) = BUILT_IN.iter().find(|files| files.name == name) {
        return found(Place::BuiltIn(files));
    }
    let known = BUILT_IN.map(|files| files.name).join(", ");
    if is_hub_name(name) {
        bail!(
            "there is no folder {name}, and this version of ksom does not fetch models from the Hugging Face Hub: \
             download config.json and model.safetensors of {name} into a folder and give its path, \
             or use a built-in model ({known})"
        );
    }
    bail!("model {name:?} is neither a folder that exists nor a built-in model ({known}): check the path")
}

/// Whether `name` could be `owner/name[@revision]`.
fn is_hub_name(name: &str) -> bool {
    let (repository, revision) = name.split_once('@').unwrap_or((name, "main"));
    let word = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    !revision.is_empty() && repository.split_once('/').is_some_and(|(owner, name)| word(owner) && word(name))
}

impl FoundModel {
    /// For inference.
    pub fn load(&self, compute: &Compute) -> Result<Model> {
        Ok(match &self.place {
            Place::BuiltIn(_) => Model::builtin(compute)?,
            Place::Directory(folder) => Model::load(folder, compute)?,
        })
    }

    /// To train on from it.
    pub fn load_trainable(&self, compute: &Compute) -> Result<Model> {
        Ok(match &self.place {
            Place::BuiltIn(files) => {
                let model = Model::builtin(compute)?;
                Model::from_tensors(model.config(), model.state()?, files.name, compute, true)?
            }
            Place::Directory(folder) => Model::load_trainable(folder, compute)?,
        })
    }

    /// The size of its weights in bytes.
    pub fn weights_bytes(&self) -> Result<u64> {
        Ok(match &self.place {
            Place::BuiltIn(files) => files.weights.len() as u64,
            Place::Directory(folder) => std::fs::metadata(weights_path(folder))?.len(),
        })
    }

    /// Its folder, if it has one.
    pub fn folder(&self) -> Option<&Path> {
        match &self.place {
            Place::BuiltIn(_) => None,
            Place::Directory(folder) => Some(folder),
        }
    }
}

/// The configuration of a built-in model.
pub fn built_in_config(files: &ModelFiles) -> Result<ModelConfig> {
    Ok(ModelConfig::parse(files.config, Path::new(files.name))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_hub_are_told_from_paths() {
        for name in ["owner/name", "a-b/c.d_e", "owner/name@v1.0", "owner/name@refs/pr/1"] {
            assert!(is_hub_name(name), "{name}");
        }
        for name in ["name", "./a/b", "../a/b", "/a/b", "a/b/c", "a/", "/b", "a/b@", r"a\b", "C:/b"] {
            assert!(!is_hub_name(name), "{name}");
        }
    }

    #[test]
    fn the_default_is_built_in() {
        assert!(BUILT_IN.iter().any(|files| files.name == DEFAULT));
    }
}
