//! How a run ended, in `outcome.json` of its run directory.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::experiment::measured::Measured;
use crate::experiment::plan::Experiment;
use crate::system::files::{read_text, write_atomic};

/// The largest outcome that is read, in bytes.
const MAX_OUTCOME_BYTES: u64 = 1 << 20;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Outcome {
    /// It took all its steps.
    Finished {
        /// How many.
        steps: u64,
        /// How good its maps are, where that was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        topology: Option<Vec<LevelTopology>>,
        /// What its best weights make of all validation pictures, where that was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        measured: Option<Measured>,
    },
    /// It could not go on.
    Failed {
        /// Why.
        reason: String,
        /// Whether it would fail so again: its loss was not finite.
        certain: bool,
    },
}

/// How good a map a level's codebook is, of the best weights on the validation pictures; means over sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelTopology {
    /// The level's name.
    pub level: String,
    /// Share of encoder outputs whose two nearest codes are not neighbors on the grid.
    pub topographic_error: f64,
    /// Rank correlation of distances on the grid and in the codebook; none where that is undefined.
    pub correlation: Option<f64>,
    /// Its significance, by permutations; the largest of the sets'.
    pub p_value: Option<f64>,
}

impl Outcome {
    /// Of a run that ended with `error`.
    pub(super) fn failed(error: &Error) -> Self {
        match error {
            // Without the paths of this machine: the reason goes into tables.
            Error::NotFinite { step, what, value, .. } => {
                Self::Failed { reason: format!("the {what} was {value} at step {step}"), certain: true }
            }
            other => Self::Failed { reason: other.to_string(), certain: false },
        }
    }

    /// Whether nothing is left to do for the experiment.
    pub fn is_settled(&self, experiment: &Experiment) -> bool {
        match self {
            Self::Finished { topology, measured, .. } => {
                (topology.is_some() || !experiment.topology) && (measured.is_some() || !experiment.full_validation)
            }
            Self::Failed { certain, .. } => *certain,
        }
    }

    /// The outcome in `run`; nothing where it has not ended.
    pub(super) fn read(run: &Path) -> Result<Option<Self>> {
        let path = outcome_path(run);
        if !path.exists() {
            return Ok(None);
        }
        let text = read_text(&path, MAX_OUTCOME_BYTES)?;
        let outcome = serde_json::from_str(&text)
            .map_err(|error| Error::file(&path, format!("expected the outcome of a run: {error}")))?;
        Ok(Some(outcome))
    }

    pub(super) fn write(&self, run: &Path) -> Result<()> {
        let path = outcome_path(run);
        std::fs::create_dir_all(run).map_err(|source| Error::io("create", run, source))?;
        let mut text = serde_json::to_string_pretty(self).map_err(|error| Error::file(&path, error.to_string()))?;
        text.push('\n');
        write_atomic(&path, text.as_bytes())
    }
}

fn outcome_path(run: &Path) -> PathBuf {
    run.join("outcome.json")
}
