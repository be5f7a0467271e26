//! MODEL → a model. The one place that knows what a model's name can mean.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ksom_datasets::{DataOptions, DataSpec};
use ksom_vqvae::checkpoint::weights_path;
use ksom_vqvae::hub::{HubModel, HubName, PackOptions, Package};
use ksom_vqvae::system::write_atomic;
use ksom_vqvae::zoo::{self, ModelFiles};
use ksom_vqvae::{Compute, Model, ModelConfig};

use crate::hub;
use crate::settings::Settings;

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
    /// Its name, as it was asked for.
    pub name: String,
    place: Place,
}

/// Finds a model: a path; else the name of a built-in model; else `owner/name[@revision]` on the Hub, which is pulled.
pub fn find(name: &str, settings: &Settings) -> Result<FoundModel> {
    let found = |place| Ok(FoundModel { name: name.to_string(), place });
    if Path::new(name).exists() {
        warn_of_untrained(Path::new(name), settings);
        return found(Place::Directory(PathBuf::from(name)));
    }
    if let Some(files) = zoo::find(name) {
        return Ok(built_in(files));
    }
    if let Ok(hub_name) = name.parse::<HubName>() {
        hub::check_meant(&hub_name, &settings.console)?;
        let pulled = hub::pull(&hub_name, &settings.console)
            .with_context(|| format!("there is no folder {name}, and it could not be read from the Hub"))?;
        return found(Place::Hub(pulled));
    }
    let known = zoo::names();
    bail!(
        "model {name:?} is neither a folder that exists, nor a built-in model ({known}), nor owner/name on the Hub: \
         check the path"
    )
}

/// Says so where a folder holds the weights that a training began with. (That it holds no model at all is told when it is
/// loaded.)
fn warn_of_untrained(folder: &Path, settings: &Settings) {
    let untrained = ModelConfig::read(&folder.join("config.json")).is_ok_and(|config| config.is_untrained());
    if !untrained {
        return;
    }
    let (last, folder) = (folder.join("last"), folder.display());
    let stopped = match last.is_dir() {
        true => format!(", or use {}, the model as it stood when it was stopped", last.display()),
        false => String::new(),
    };
    settings.console.warn(
        &format!(
            "{folder} holds an untrained model: its training was stopped before the first validation. Go on with `ksom \
             train --out {folder} --resume`{stopped}"
        ),
        None,
    );
}

/// Finds the model that was asked for; where none was, that of the zoo which fits pictures of the size of the first.
pub fn find_fitting(
    asked: Option<&str>,
    size: impl FnOnce() -> Option<(u32, u32)>,
    settings: &Settings,
) -> Result<FoundModel> {
    if let Some(name) = asked {
        return find(name, settings);
    }
    let Some((width, height)) = size() else { return Ok(built_in(zoo::default())) };
    let files = zoo::default_for(width, height);
    let name = files.name;
    settings.console.note(&format!("model: {name}, which fits a picture of {width}×{height}, as the first is"));
    Ok(built_in(files))
}

/// The model in a folder, by the name that it is known by.
pub fn in_folder(name: &str, folder: PathBuf) -> FoundModel {
    FoundModel { name: name.to_string(), place: Place::Directory(folder) }
}

/// A model of the zoo.
pub fn built_in(files: &'static ModelFiles) -> FoundModel {
    FoundModel { name: files.name.to_string(), place: Place::BuiltIn(files) }
}

/// The size of a data set's first picture; nothing where it cannot be read, which using the data set will tell.
pub fn first_size_in(data: &DataSpec) -> Option<(u32, u32)> {
    let set = ksom_datasets::open(data, &DataOptions { valid_fraction: 0.0, ..DataOptions::default() }).ok()?;
    let sources = std::iter::once(&set.train).chain(set.valid.iter().chain(&set.test).map(|(_, source)| source));
    let source = sources.into_iter().find(|source| !source.is_empty())?;
    Some(source.image(0).ok()?.dimensions())
}

impl FoundModel {
    /// For inference.
    pub fn load(&self, compute: &Compute) -> Result<Model> {
        Ok(match &self.place {
            Place::BuiltIn(files) => Model::builtin(files.name, compute)?,
            Place::Directory(folder) | Place::Hub(HubModel { folder, .. }) => Model::load(folder, compute)?,
        })
    }

    /// To train on from it.
    pub fn load_trainable(&self, compute: &Compute) -> Result<Model> {
        Ok(match &self.place {
            Place::BuiltIn(files) => Model::builtin_trainable(files.name, compute)?,
            Place::Directory(folder) | Place::Hub(HubModel { folder, .. }) => Model::load_trainable(folder, compute)?,
        })
    }

    /// Whether it is one of the zoo.
    #[cfg(feature = "explore")]
    pub fn is_built_in(&self) -> bool {
        matches!(self.place, Place::BuiltIn(_))
    }

    /// What it is called where others see it: of a folder the name alone, without those above it.
    #[cfg(feature = "explore")]
    pub fn public_name(&self) -> String {
        match &self.place {
            Place::Directory(folder) => {
                let whole = folder.canonicalize().unwrap_or_else(|_| folder.clone());
                whole.file_name().map_or_else(|| "model".to_string(), |name| name.to_string_lossy().into_owned())
            }
            Place::BuiltIn(_) | Place::Hub(_) => self.name.clone(),
        }
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

    /// Writes what is recorded of its training into another folder with the same model.
    pub fn copy_records(&self, to: &Path) -> Result<()> {
        match &self.place {
            Place::BuiltIn(files) => write_atomic(&to.join("metrics.jsonl"), files.metrics.as_bytes())?,
            Place::Directory(folder) | Place::Hub(HubModel { folder, .. }) => {
                for name in ["metrics.jsonl", "recipe.toml"] {
                    let from = folder.join(name);
                    if from.is_file() {
                        let read = std::fs::read(&from);
                        let record = read.with_context(|| format!("cannot read {}", from.display()))?;
                        write_atomic(&to.join(name), &record)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Its files as they go to the Hub under another name.
    pub fn pack(&self, name: &HubName, options: &PackOptions) -> Result<Package> {
        Ok(match &self.place {
            Place::BuiltIn(files) => {
                Package::of_contents(files.name, name, options, (files.config, files.weights, files.metrics))?
            }
            Place::Directory(folder) | Place::Hub(HubModel { folder, .. }) => Package::new(folder, name, options)?,
        })
    }

    /// What it is called for the record, and its commit if it came from the Hub.
    pub fn origin(&self) -> (String, Option<String>) {
        match &self.place {
            Place::BuiltIn(files) => (files.name.to_string(), None),
            Place::Directory(_) => (self.name.clone(), None),
            Place::Hub(model) => (model.repository.clone(), Some(model.commit.clone())),
        }
    }

    /// What it is called in files that go elsewhere: of a folder of the user's own the last part alone.
    pub fn last_name(&self) -> String {
        let Some(folder) = self.own_folder() else { return self.name.clone() };
        let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
        whole.file_name().map_or_else(|| self.name.clone(), |name| name.to_string_lossy().into_owned())
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
