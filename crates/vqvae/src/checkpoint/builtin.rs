//! Models of the zoo, which are compiled in.

use std::path::PathBuf;

use ksom_models::ModelFiles;

use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::config::{ModelConfig, config_path};
use crate::system::compute::Compute;
use crate::system::files::TensorFile;

impl Model {
    /// A model of the [`zoo`](crate::zoo), compiled into this crate.
    ///
    /// # Errors
    /// The zoo has no model of that name (the message lists those it has), or the device does not take the weights.
    pub fn builtin(name: &str, compute: &Compute) -> Result<Self> {
        builtin(name, compute, false)
    }

    /// The same, for training on from it.
    ///
    /// # Errors
    /// As [`Model::builtin`].
    pub fn builtin_trainable(name: &str, compute: &Compute) -> Result<Self> {
        builtin(name, compute, true)
    }
}

fn builtin(name: &str, compute: &Compute, trainable: bool) -> Result<Model> {
    let Some(ModelFiles { config, weights, .. }) = ksom_models::find(name) else {
        let known = ksom_models::names();
        let message = format!("there is no such built-in model; there are {known}");
        return Err(Error::NoModel { name: name.to_string(), message });
    };
    let path = PathBuf::from(name);
    let config = ModelConfig::parse(config, &config_path(&path))?;
    let tensors = TensorFile::from_bytes(weights.to_vec(), &path)?.tensors(&path)?;
    Model::from_tensors(&config, tensors, name, compute, trainable)
}
