//! Experiments: configurations × seeds, trained one by one, and what came of them in tables and curves.
//!
//! ```no_run
//! use std::num::NonZeroUsize;
//! use std::path::Path;
//!
//! use ksom_vqvae::experiment::{Experiment, ExperimentOptions};
//! use ksom_vqvae::{Compute, Flow};
//! use ksom_vqvae::training::DataAccess;
//!
//! let experiment = Experiment::find(Path::new("experiments/cifar10-cpu.toml"), None)?;
//! let options = ExperimentOptions { jobs: NonZeroUsize::MIN, access: DataAccess::default() };
//! let dir = Path::new("runs/cifar10-cpu");
//! let results = experiment.run(dir, &options, &Compute::cpu(), &|_, _| Flow::Continue)?;
//! results.write(dir)?;
//! # Ok::<(), ksom_vqvae::Error>(())
//! ```

mod costs;
mod curves;
mod measured;
mod outcome;
mod plan;
mod rates;
mod results;
mod runner;
mod statistics;
mod text;

pub use measured::{Measured, MeasuredLevel};
pub use outcome::{LevelTopology, Outcome};
pub use plan::{Configuration, Experiment, FigureGroup, Method, RunName};
pub use results::{Budget, ConfigurationResult, ExperimentResults, LevelResult, RunResult};
pub use runner::{ExperimentEvent, ExperimentOptions};
pub use statistics::{Spread, first_within, mean_curve, mean_curve_meets};
