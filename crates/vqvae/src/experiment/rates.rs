//! Tables of what the best weights make of all validation pictures, and of how a training still falls at its end.

use crate::experiment::measured::{Measured, MeasuredLevel};
use crate::experiment::results::{ConfigurationResult, ExperimentResults, RunResult};
use crate::experiment::statistics::Spread;
use crate::experiment::text::{NONE, plus_minus};
use crate::record::run_log::LoggedValidation;

/// How much lower, in percent, a training's error falls within 1,000 steps: the slope of its logarithm over the last
/// quarter of the steps. None of fewer than two validations there.
pub(super) fn slope_at_the_end(validations: &[LoggedValidation]) -> Option<f64> {
    let last = validations.last()?.step;
    let points: Vec<(f64, f64)> = validations
        .iter()
        .filter(|validation| 4 * validation.step >= 3 * last && validation.mse > 0.0)
        .map(|validation| (validation.step as f64 / 1000.0, validation.mse.ln()))
        .collect();
    let n = points.len() as f64;
    let mean = |figure: fn(&(f64, f64)) -> f64| points.iter().map(figure).sum::<f64>() / n;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let variance: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    (variance > 0.0).then(|| -100.0 * ((covariance / variance).exp() - 1.0))
}

impl ConfigurationResult {
    /// A figure of the finished runs that were measured.
    pub(super) fn measured(&self, figure: impl Fn(&Measured) -> f64) -> Option<Spread> {
        Spread::of(self.runs.iter().filter_map(RunResult::measured).map(figure))
    }
}

impl ExperimentResults {
    /// The header and rows of the table of what was measured on all validation pictures; no row where nothing was.
    pub fn measured_table(&self) -> (Vec<&'static str>, Vec<Vec<String>>) {
        let header = vec![
            "configuration",
            "runs",
            "loss × 10³",
            "codes used",
            "of",
            "perplexity",
            "bits per pixel",
            "entropy per pixel",
            "still falling, % per 1,000 steps",
        ];
        let row = |configuration: &ConfigurationResult| {
            let first = configuration.runs.iter().find_map(RunResult::measured)?;
            let levels = |figure: fn(&MeasuredLevel) -> f64, decimals| {
                let of = |number: usize| {
                    let figure = |measured: &Measured| measured.levels.get(number).map_or(f64::NAN, figure);
                    plus_minus(configuration.measured(figure), decimals)
                };
                (0..first.levels.len()).map(of).collect::<Vec<_>>().join(" / ")
            };
            let of: Vec<String> = first.levels.iter().map(|level| level.num_codes.to_string()).collect();
            let finished = configuration.runs.iter().filter(|run| run.is_finished());
            let slope = Spread::of(finished.filter_map(|run| slope_at_the_end(&run.validations)));
            Some(vec![
                configuration.label.clone(),
                configuration.runs.iter().filter_map(RunResult::measured).count().to_string(),
                plus_minus(configuration.measured(|measured| 1e3 * measured.mse), 2),
                levels(|level| level.codes_in_use, 0),
                of.join(" / "),
                levels(|level| level.perplexity, 1),
                plus_minus(configuration.measured(|measured| measured.bits_per_pixel), 4),
                plus_minus(configuration.measured(|measured| measured.entropy_per_pixel), 4),
                plus_minus(slope, 2),
            ])
        };
        (header, self.configurations.iter().filter_map(row).collect())
    }

    /// The header and rows of the table of runs under way: how far they have come, and how their error falls.
    pub fn unfinished_table(&self) -> (Vec<&'static str>, Vec<Vec<String>>) {
        let mut rows = Vec::new();
        for configuration in &self.configurations {
            for run in configuration.runs.iter().filter(|run| run.outcome.is_none()) {
                let Some(last) = run.validations.last() else { continue };
                rows.push(vec![
                    configuration.label.clone(),
                    run.seed.to_string(),
                    last.step.to_string(),
                    run.best_mse.map_or(NONE.to_string(), |mse| format!("{:.2}", 1e3 * mse)),
                    slope_at_the_end(&run.validations).map_or(NONE.to_string(), |slope| format!("{slope:.2}")),
                ]);
            }
        }
        (vec!["configuration", "seed", "steps so far", "best loss × 10³", "still falling, % per 1,000 steps"], rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_that_of_the_last_quarter() {
        let at = |step: u64, mse: f64| LoggedValidation { step, mse, levels: Vec::new() };
        // Before, anything; then 2 % less within 1,000 steps.
        let mut validations = vec![at(100, 9.0), at(2000, 1.0)];
        validations.extend((15..=20).map(|hundreds| at(200 * hundreds, 0.5 * 0.98f64.powf(0.2 * hundreds as f64))));
        let slope = slope_at_the_end(&validations).unwrap();
        assert!((slope - 2.0).abs() < 1e-9, "{slope}");
        assert_eq!((slope_at_the_end(&[]), slope_at_the_end(&validations[..1])), (None, None));
    }
}
