//! What came of an experiment: per run, and per configuration over its seeds.

use std::path::Path;

use serde::Serialize;

use crate::error::Result;
use crate::experiment::measured::Measured;
use crate::experiment::outcome::{LevelTopology, Outcome};
use crate::experiment::plan::{Experiment, FigureGroup, Method, RunName};
use crate::experiment::statistics::{Spread, first_within, mean_curve, mean_curve_meets};
use crate::model::config::{ModelConfig, config_path};
use crate::record::run_log::{LoggedLevel, LoggedValidation, RunLog};

/// Factors of the best error within which a training counts as nearly done.
const NEAR: f64 = 1.1;
const FAIRLY_NEAR: f64 = 1.2;

/// The results of an experiment.
#[derive(Clone, Debug, Serialize)]
pub struct ExperimentResults {
    /// The experiment's name.
    pub name: String,
    /// The recipe that all configurations begin with.
    pub recipe: String,
    /// The pictures in words, once a run has been started.
    pub data: Option<String>,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The name of the configuration that the others are measured by.
    pub baseline: String,
    /// In the experiment's order.
    pub configurations: Vec<ConfigurationResult>,
    /// Which configurations share a plot.
    #[serde(skip)]
    pub(super) figures: Vec<FigureGroup>,
    /// What is compared over the number of codes.
    #[serde(skip)]
    pub(super) methods: Vec<Method>,
}

/// What came of a configuration. Means are over its finished runs.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigurationResult {
    /// Its name.
    pub name: String,
    /// What it is called in tables and plots.
    pub label: String,
    /// Runs that finished.
    pub finished: usize,
    /// Runs that failed.
    pub failed: usize,
    /// Best validation error.
    pub best_mse: Option<Spread>,
    /// The step of it.
    pub best_step: Option<Spread>,
    /// First validated step within 1.1 times the run's own best.
    pub steps_to_1_1: Option<Spread>,
    /// First validated step within 1.2 times the run's own best.
    pub steps_to_1_2: Option<Spread>,
    /// The first step at which its mean curve over the seeds is within 1.1 times the lowest point of the baseline's mean
    /// curve: column "K" of the paper.
    pub mean_curve_to_baseline: Option<u64>,
    /// The mean over the runs of each run's first validated step within 1.1 times the baseline's mean best.
    pub per_run_to_baseline: Budget,
    /// Use of the codes at the best, by level.
    pub levels: Vec<LevelResult>,
    /// Its runs, in the order of the seeds.
    pub runs: Vec<RunResult>,
}

/// Steps to an error that not every run may come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Budget {
    /// The steps of those that came to it.
    pub steps: Option<Spread>,
    /// How many came to it.
    pub reached: usize,
    /// Of how many.
    pub of: usize,
}

/// Use of a level's codes.
#[derive(Clone, Debug, Serialize)]
pub struct LevelResult {
    /// The level's name.
    pub level: String,
    /// Codes in use on the validation pictures.
    pub codes_in_use: Spread,
    /// Their perplexity.
    pub perplexity: Spread,
}

/// What came of a run.
#[derive(Clone, Debug, Serialize)]
pub struct RunResult {
    /// Its seed.
    pub seed: u64,
    /// How it ended, if it has.
    pub outcome: Option<Outcome>,
    /// Its best validation error; of a run that failed, the best before that.
    pub best_mse: Option<f64>,
    /// The step of it.
    pub best_step: Option<u64>,
    /// First validated step within 1.1 times its best.
    pub steps_to_1_1: Option<u64>,
    /// First validated step within 1.2 times its best.
    pub steps_to_1_2: Option<u64>,
    /// Its first validated step within 1.1 times the baseline's mean best.
    pub steps_to_baseline: Option<u64>,
    /// Seconds that a training step took, the mean over those that were logged. Not among the results that are compared: it
    /// depends on the machine.
    #[serde(skip)]
    pub seconds_per_step: Option<f64>,
    /// Its validations.
    #[serde(skip)]
    pub validations: Vec<LoggedValidation>,
}

impl RunResult {
    /// Whether it took all its steps.
    pub fn is_finished(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Finished { .. }))
    }

    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<&str> {
        match &self.outcome {
            Some(Outcome::Failed { reason, .. }) => Some(reason),
            _ => None,
        }
    }

    /// How good its maps are, where that was measured.
    pub fn topology(&self) -> &[LevelTopology] {
        match &self.outcome {
            Some(Outcome::Finished { topology: Some(levels), .. }) => levels,
            _ => &[],
        }
    }

    /// What its best weights make of all validation pictures, where that was measured.
    pub fn measured(&self) -> Option<&Measured> {
        match &self.outcome {
            Some(Outcome::Finished { measured, .. }) => measured.as_ref(),
            _ => None,
        }
    }

    /// The mean validation error of those of the runs that finished, by step.
    fn mean_curve(runs: &[Self]) -> Vec<(u64, f64)> {
        let finished = runs.iter().filter(|run| run.is_finished());
        mean_curve(&finished.map(|run| &run.validations[..]).collect::<Vec<_>>())
    }

    fn best(&self) -> Option<&LoggedValidation> {
        LoggedValidation::best(&self.validations)
    }
}

impl ExperimentResults {
    /// Collects the results of the runs in the experiment's folder `dir`, as far as they have come.
    ///
    /// # Errors
    /// A run's record is malformed.
    pub fn collect(experiment: &Experiment, dir: &Path) -> Result<Self> {
        let mut runs = Vec::with_capacity(experiment.configurations.len());
        for (configuration, settled) in experiment.configurations.iter().enumerate() {
            let of_seed = |seed| read_run(experiment, dir, RunName { configuration, seed });
            runs.push((0..settled.seeds.len()).map(of_seed).collect::<Result<Vec<_>>>()?);
        }
        let finished = runs[experiment.baseline].iter().filter(|run| run.is_finished());
        let baseline = Spread::of(finished.filter_map(|run| run.best_mse));
        let baseline_curve = RunResult::mean_curve(&runs[experiment.baseline]);
        let configurations = experiment.configurations.iter().zip(runs).map(|(configuration, mut runs)| {
            for run in &mut runs {
                run.steps_to_baseline = baseline.and_then(|best| first_within(&run.validations, NEAR * best.mean));
            }
            ConfigurationResult::of(&configuration.name, &configuration.label, runs, &baseline_curve)
        });
        let started = experiment.run_names().map(|run| config_path(&experiment.run_dir(dir, run)));
        let config = started.filter_map(|path| ModelConfig::read(&path).ok()).next();
        Ok(Self {
            name: experiment.name.clone(),
            recipe: experiment.recipe.clone(),
            data: config.and_then(|config| config.provenance.data),
            seeds: experiment.seeds.clone(),
            baseline: experiment.configurations[experiment.baseline].name.clone(),
            configurations: configurations.collect(),
            figures: experiment.figures.clone(),
            methods: experiment.methods.clone(),
        })
    }

    /// Runs that have ended, and all runs.
    pub fn ended(&self) -> (usize, usize) {
        let ended = self.configurations.iter().map(|configuration| configuration.finished + configuration.failed).sum();
        (ended, self.configurations.iter().map(|configuration| configuration.runs.len()).sum())
    }
}

fn read_run(experiment: &Experiment, dir: &Path, run: RunName) -> Result<RunResult> {
    let run_dir = experiment.run_dir(dir, run);
    let outcome = Outcome::read(&run_dir)?;
    let log = if run_dir.join("metrics.jsonl").exists() { RunLog::read(&run_dir)? } else { RunLog::default() };
    let validations = log.validations;
    let best = LoggedValidation::best(&validations).map(|best| (best.step, best.mse));
    let within = |factor: f64| best.and_then(|(_, mse)| first_within(&validations, factor * mse));
    let speeds: Vec<f64> = log.steps.iter().filter_map(|step| step.images_per_s).filter(|speed| *speed > 0.0).collect();
    let batch = experiment.recipe_of(run).training.batch_size as f64;
    let seconds_per_step = Spread::of(speeds.into_iter().map(|speed| batch / speed)).map(|spread| spread.mean);
    Ok(RunResult {
        seed: experiment.seed_of(run),
        outcome,
        best_mse: best.map(|(_, mse)| mse),
        best_step: best.map(|(step, _)| step),
        steps_to_1_1: within(NEAR),
        steps_to_1_2: within(FAIRLY_NEAR),
        steps_to_baseline: None,
        seconds_per_step,
        validations,
    })
}

impl ConfigurationResult {
    fn of(name: &str, label: &str, runs: Vec<RunResult>, baseline_curve: &[(u64, f64)]) -> Self {
        let finished: Vec<&RunResult> = runs.iter().filter(|run| run.is_finished()).collect();
        let steps = |step: fn(&RunResult) -> Option<u64>| {
            Spread::of(finished.iter().filter_map(|run| step(run)).map(|step| step as f64))
        };
        let budget = Budget {
            steps: steps(|run| run.steps_to_baseline),
            reached: finished.iter().filter(|run| run.steps_to_baseline.is_some()).count(),
            of: finished.len(),
        };
        Self {
            name: name.to_string(),
            label: label.to_string(),
            finished: finished.len(),
            failed: runs.iter().filter(|run| run.failure().is_some()).count(),
            best_mse: Spread::of(finished.iter().filter_map(|run| run.best_mse)),
            best_step: steps(|run| run.best_step),
            steps_to_1_1: steps(|run| run.steps_to_1_1),
            steps_to_1_2: steps(|run| run.steps_to_1_2),
            mean_curve_to_baseline: mean_curve_meets(&RunResult::mean_curve(&runs), baseline_curve, NEAR),
            per_run_to_baseline: budget,
            levels: levels(&finished),
            runs,
        }
    }

    /// The level names of its finished runs.
    pub(super) fn level_names(&self) -> Vec<&str> {
        self.levels.iter().map(|level| level.level.as_str()).collect()
    }
}

/// Use of the codes at each run's best.
fn levels(finished: &[&RunResult]) -> Vec<LevelResult> {
    let best: Vec<&[LoggedLevel]> = finished.iter().filter_map(|run| Some(&run.best()?.levels[..])).collect();
    let Some(first) = best.first() else { return Vec::new() };
    let of_level = |(number, level): (usize, &LoggedLevel)| {
        let spread = |figure: fn(&LoggedLevel) -> f64| {
            Spread::of(best.iter().filter_map(|levels| levels.get(number)).map(figure))
        };
        Some(LevelResult {
            level: level.name.clone(),
            codes_in_use: spread(|level| level.codes_in_use)?,
            perplexity: spread(|level| level.perplexity)?,
        })
    };
    first.iter().enumerate().filter_map(of_level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64, curve: &[(u64, f64)], finished: bool) -> RunResult {
        let levels = vec![LoggedLevel { name: "codes".into(), codes_in_use: 4.0, perplexity: 2.0 + seed as f64 }];
        let validations: Vec<LoggedValidation> =
            curve.iter().map(|&(step, mse)| LoggedValidation { step, mse, levels: levels.clone() }).collect();
        let best = LoggedValidation::best(&validations).unwrap();
        let failed = Outcome::Failed { reason: "why".into(), certain: true };
        RunResult {
            seed,
            outcome: Some(if finished {
                Outcome::Finished { steps: 9, topology: None, measured: None }
            } else {
                failed
            }),
            best_mse: Some(best.mse),
            best_step: Some(best.step),
            steps_to_1_1: first_within(&validations, 1.1 * best.mse),
            steps_to_1_2: None,
            steps_to_baseline: first_within(&validations, 1.0),
            seconds_per_step: None,
            validations,
        }
    }

    #[test]
    fn failed_runs_are_counted_but_not_averaged() {
        let runs = vec![
            run(0, &[(1, 2.0), (2, 1.0), (3, 0.95)], true),
            run(1, &[(1, 3.0), (2, 2.0), (3, 1.05)], true),
            run(2, &[(1, 0.1)], false),
        ];
        let result = ConfigurationResult::of("name", "Label", runs, &[(1, 2.0), (2, 1.4)]);
        assert_eq!((result.finished, result.failed), (2, 1));
        assert_eq!(result.best_mse.unwrap().mean, 1.0);
        assert_eq!(result.steps_to_1_1.unwrap().mean, 2.5);
        let reached = Budget { steps: Some(Spread { mean: 2.0, std: None }), reached: 1, of: 2 };
        assert_eq!(result.per_run_to_baseline, reached);
        // The mean curve of those that finished is 2.5, 1.5, 1.0; 1.1 × 1.4 is met at step 2.
        assert_eq!(result.mean_curve_to_baseline, Some(2));
        assert_eq!(result.levels[0].perplexity.mean, 2.5);
    }
}
