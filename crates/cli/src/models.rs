//! MODEL → a model. The one place that knows what a model's name can mean.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ksom_models::{CIFAR10_KSOM, ModelFiles};
use ksom_vqvae::{Compute, HubModel, HubName, Model, ModelConfig, weights_path};

use crate::hub;
use crate::settings::Settings;

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
    /// In the cache, pulled from the Hub.
    Hub(HubModel),
}

/// A model that was found by its name.
pub struct FoundModel {
    place: Place,
}

/// Finds a model: a path; else the name of a built-in model; else `owner/name[@revision]` on the Hub, which is pulled.
pub fn find(name: &str, settings: &Settings) -> Result<FoundModel> {
    let found = |place| Ok(FoundModel { place });
    if Path::new(name).exists() {
        return found(Place::Directory(PathBuf::from(name)));
    }
    if let Some(files) = BUILT_IN.iter().find(|files| files.name == name) {
        return found(Place::BuiltIn(files));
    }
    if let Ok(hub_name) = name.parse::<HubName>() {
        let pulled = hub::pull(&hub_name, &settings.console)
            .with_context(|| format!("there is no folder {name}, and it cannot be had from the Hub"))?;
        return found(Place::Hub(pulled));
    }
    let known = BUILT_IN.map(|files| files.name).join(", ");
    bail!(
        "model {name:?} is neither a folder that exists, nor a built-in model ({known}), nor owner/name on the Hub: \
         check the path"
    )
}

impl FoundModel {
    /// For inference.
    pub fn load(&self, compute: &Compute) -> Result<Model> {
        Ok(match &self.place {
            Place::BuiltIn(_) => Model::builtin(compute)?,
            Place::Directory(folder) | Place::Hub(HubModel { folder, .. }) => Model::load(folder, compute)?,
        })
    }

    /// To train on from it.
    pub fn load_trainable(&self, compute: &Compute) -> Result<Model> {
        Ok(match &self.place {
            Place::BuiltIn(_) => Model::builtin_trainable(compute)?,
            Place::Directory(folder) | Place::Hub(HubModel { folder, .. }) => Model::load_trainable(folder, compute)?,
        })
    }

    /// The size of its weights in bytes.
    pub fn weights_bytes(&self) -> Result<u64> {
        Ok(match &self.place {
            Place::BuiltIn(files) => files.weights.len() as u64,
            Place::Directory(folder) | Place::Hub(HubModel { folder, .. }) => {
                std::fs::metadata(weights_path(folder))?.len()
            }
        })
    }

    /// Its folder, if it has one.
    pub fn folder(&self) -> Option<&Path> {
        match &self.place {
            Place::BuiltIn(_) => None,
            Place::Directory(folder) | Place::Hub(HubModel { folder, .. }) => Some(folder),
        }
    }

    /// What it is called for the record, and its commit if it came from the Hub.
    pub fn origin(&self) -> (String, Option<String>) {
        match &self.place {
            Place::BuiltIn(files) => (files.name.to_string(), None),
            Place::Directory(folder) => (folder.display().to_string(), None),
            Place::Hub(model) => (model.repository.clone(), Some(model.commit.clone())),
        }
    }

    /// Its folder, if it is the user's own: neither part of this program nor of the cache.
    pub fn own_folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Directory(folder) => Some(folder),
            Place::BuiltIn(_) | Place::Hub(_) => None,
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
    fn the_default_is_built_in() {
        assert!(BUILT_IN.iter().any(|files| files.name == DEFAULT));
    }
}
