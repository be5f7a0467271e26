//! Whether the processes of a team train the same model on the same pictures: where they do not, what comes of it is
//! nobody's model.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::safetensors::load_buffer;
use candle_core::{DType, Device, Tensor};
use ksom_datasets::DataSet;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::model::Model;
use crate::system::digest::hexadecimal;
use crate::team::members::Team;
use crate::training::recipe::Recipe;
use crate::training::sources::fingerprint;

/// The model of the first process, for all: the same seed need not give the same bits on another computer.
pub(super) fn model_of_first(model: Model) -> Result<Model> {
    let team = &model.compute().team.clone();
    if team.is_alone() {
        return Ok(model);
    }
    let refused = |error: String| Error::Team(format!("cannot share out the first process's weights: {error}"));
    let own = match team.leads() {
        true => {
            let state = on_cpu(model.state()?)?;
            safetensors::serialize(&state, None).map_err(|error| refused(error.to_string()))?
        }
        false => Vec::new(),
    };
    let bytes = team.patient().bytes_of_first(own)?;
    if team.leads() {
        return Ok(model);
    }
    let tensors = load_buffer(&bytes, &Device::Cpu).map_err(|error| refused(error.to_string()))?;
    let (config, compute) = (model.config().clone(), model.compute().clone());
    Model::from_tensors(&config, tensors.into_iter().collect(), "the first process", &compute, true)
}

/// What must be the same on all processes.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Common {
    run: String,
    recipe: String,
    pictures: String,
    step: u64,
    weights: String,
}

impl Common {
    /// Of a training after `step` steps; `weights` are all that learns.
    pub(super) fn of(
        (run, recipe): (&Path, &Recipe),
        data: &DataSet,
        step: u64,
        weights: &[BTreeMap<String, Tensor>],
    ) -> Result<Self> {
        let (run, recipe) = (run.display().to_string(), recipe.to_toml());
        let sources = std::iter::once(&data.train).chain(data.valid.iter().map(|(_, source)| source));
        let pictures: Vec<String> = sources.map(|source| fingerprint(source.as_ref())).collect();
        Ok(Self { run, recipe, pictures: pictures.concat(), step, weights: hash(weights)? })
    }

    /// Refuses to go on where a process's differ from those of the first.
    pub(super) fn check(&self, team: &Team) -> Result<()> {
        let all = team.gather(self)?;
        let first = &all[0];
        for (rank, other) in all.iter().enumerate() {
            let what = if other.run != first.run {
                "another run directory than"
            } else if other.recipe != first.recipe {
                "another recipe than"
            } else if other.pictures != first.pictures {
                "other pictures than"
            } else if other.step != first.step {
                "come to another step than"
            } else if other.weights != first.weights {
                "other weights than"
            } else {
                continue;
            };
            return Err(Error::Team(format!(
                "process {rank} of {} has {what} process 0 at step {}: all need the same command, the same files and \
                 processors of one kind",
                team.size(),
                first.step
            )));
        }
        Ok(())
    }
}

/// A hash of named tensors, to the bit.
fn hash(states: &[BTreeMap<String, Tensor>]) -> Result<String> {
    let mut hash = Sha256::new();
    for (name, tensor) in states.iter().flatten() {
        hash.update(name);
        for value in tensor.flatten_all()?.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.to_vec1::<f32>()? {
            hash.update(value.to_le_bytes());
        }
    }
    Ok(hexadecimal(&hash.finalize()))
}

fn on_cpu(state: BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>> {
    state.into_iter().map(|(name, tensor)| Ok((name, tensor.to_device(&Device::Cpu)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::together;

    #[test]
    fn processes_that_have_come_apart_are_told_so() {
        let refusals = |changed: &str| {
            together(3, |team| {
                let own = |what: &str| match (team.rank(), what == changed) {
                    (1, true) => "another".to_string(),
                    _ => "the same".to_string(),
                };
                let step = 7 + u64::from(own("step") == "another");
                let (run, recipe, pictures, weights) = (own("run"), own("recipe"), own("pictures"), own("weights"));
                let found = Common { run, recipe, pictures, step, weights }.check(&team);
                found.err().map(|error| error.to_string())
            })
            .unwrap()
        };
        assert_eq!(refusals("nothing"), [None, None, None]);
        for what in ["run", "recipe", "pictures", "step", "weights"] {
            for refusal in refusals(what) {
                let refusal = refusal.unwrap();
                assert!(refusal.contains("process 1 of 3 has") && refusal.contains(what), "{refusal}");
            }
        }
    }

    #[test]
    fn weights_are_told_apart_by_a_bit() {
        let of = |value: f32| {
            let tensor = Tensor::from_slice(&[0.0, value], 2, &Device::Cpu).unwrap();
            hash(&[BTreeMap::from([("w".to_string(), tensor)])]).unwrap()
        };
        assert_eq!(of(1.0), of(1.0));
        assert_ne!(of(1.0), of(f32::from_bits(1.0f32.to_bits() + 1)));
    }
}
