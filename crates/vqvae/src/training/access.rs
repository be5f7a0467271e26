//! How a training reads its pictures.

use std::path::PathBuf;

use ksom_datasets::{DataOptions, DataSet, DataSpec, Preprocess};

use crate::error::Result;
use crate::model::config::ModelConfig;
use crate::system::memory;
use crate::team::members::Team;
use crate::training::fitting::prepare;
use crate::training::recipe::Recipe;

/// How a training reads its pictures; none of it changes what is learned.
#[derive(Clone, Debug, Default)]
pub struct DataAccess {
    /// Decoding, unreadable files, memory. (Seed and split are the recipe's.)
    pub options: DataOptions,
    /// A folder for decoded pixels in memory-mapped files, written first where they are missing or stale: for sets of
    /// large pictures that do not fit in memory.
    pub cache: Option<PathBuf>,
}

impl DataAccess {
    /// The data set as it is.
    pub(crate) fn open(&self, spec: &DataSpec, recipe: &Recipe) -> Result<DataSet> {
        Ok(ksom_datasets::open(spec, &recipe.data_options(&self.options))?)
    }

    /// An open data set as training takes it, what is left to do to each picture, and how many are enlarged; `base` is
    /// the model to train on from. The first process of a team writes the files of a cache before the others look.
    pub(crate) fn prepare(
        &self,
        mut data: DataSet,
        recipe: &mut Recipe,
        base: Option<&ModelConfig>,
        team: &Team,
    ) -> Result<(DataSet, Preprocess, usize)> {
        let enlarged = prepare(&mut data, recipe, base)?;
        let preprocess = recipe.data.preprocess();
        match &self.cache {
            None => Ok((data, preprocess, enlarged)),
            Some(folder) => {
                if let Some(size) = preprocess.size() {
                    memory::require_for_pictures(1, size)?;
                }
                if !team.leads() {
                    team.wait_for_all()?;
                }
                let cached = data.cached(&preprocess, folder)?;
                if team.leads() {
                    team.wait_for_all()?;
                }
                Ok((cached, preprocess.remaining(), enlarged))
            }
        }
    }
}
