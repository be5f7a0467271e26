//! Experiments: configurations × seeds, trained one by one, and what came of them in tables and curves.

mod curves;
mod outcome;
mod plan;
mod results;
mod runner;
mod statistics;
mod text;

pub use outcome::{LevelTopology, Outcome};
pub use plan::{Configuration, Experiment, FigureGroup};
pub use results::{Budget, ConfigurationResult, ExperimentResults, LevelResult, RunResult};
pub use runner::{ExperimentEvent, ExperimentOptions, RunName};
pub use statistics::{Spread, first_within};
