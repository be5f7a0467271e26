//! Results of an experiment as files: Markdown and CSV for people and programs, JSON with everything.

use std::path::Path;

use crate::error::{Error, Result};
use crate::experiment::results::{Budget, ConfigurationResult, ExperimentResults, LevelResult};
use crate::experiment::statistics::Spread;
use crate::system::files::write_atomic;

/// Stands for a number that there is not.
pub(super) const NONE: &str = "–";

/// The header of the table of results.
const HEADER: [&str; 10] = [
    "configuration",
    "best loss × 10³",
    "steps to 1.1 × best",
    "steps to 1.2 × best",
    "K: mean curve to 1.1 × baseline's",
    "per-run mean of steps to 1.1 × baseline",
    "codes in use",
    "perplexity",
    "runs",
    "failed",
];

impl ExperimentResults {
    /// Writes `results.md`, `results.csv`, `results.json`, `runs.csv`, the curves and what it took of time into `dir`; gives
    /// the files' names.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<Vec<String>> {
        let json = serde_json::to_string_pretty(self).map_err(|error| Error::file(dir, error.to_string()))? + "\n";
        let texts = [
            ("results.md", self.markdown()),
            ("results.csv", self.csv()),
            ("results.json", json),
            ("runs.csv", self.runs_csv()),
        ];
        let texts = texts.map(|(name, text)| (name.to_string(), text));
        let mut names = Vec::new();
        for (name, text) in texts.into_iter().chain(self.curves()?).chain(self.cost_files()?) {
            write_atomic(&dir.join(&name), text.as_bytes())?;
            names.push(name);
        }
        Ok(names)
    }

    /// The header and rows of the table of results: a row per configuration, mean ± standard deviation (n − 1).
    pub fn table(&self) -> (Vec<&'static str>, Vec<Vec<String>>) {
        let row = |configuration: &ConfigurationResult| {
            let steps = |spread: Option<Spread>| plus_minus(spread, 0);
            let levels = |figure: fn(&LevelResult) -> Spread| {
                let cells: Vec<String> =
                    configuration.levels.iter().map(|level| plus_minus(Some(figure(level)), 1)).collect();
                if cells.is_empty() { NONE.to_string() } else { cells.join(" / ") }
            };
            vec![
                configuration.label.clone(),
                plus_minus(configuration.best_mse.map(|spread| spread.scaled(1e3)), 2),
                steps(configuration.steps_to_1_1),
                steps(configuration.steps_to_1_2),
                configuration.mean_curve_to_baseline.map_or(NONE.to_string(), |step| step.to_string()),
                budget(&configuration.per_run_to_baseline),
                levels(|level| level.codes_in_use),
                levels(|level| level.perplexity),
                configuration.finished.to_string(),
                configuration.failed.to_string(),
            ]
        };
        (HEADER.to_vec(), self.configurations.iter().map(row).collect())
    }

    /// Failed runs: configuration, seed and reason.
    pub fn failures(&self) -> Vec<(&str, u64, &str)> {
        self.configurations
            .iter()
            .flat_map(|configuration| configuration.runs.iter().map(move |run| (configuration, run)))
            .filter_map(|(configuration, run)| Some((configuration.label.as_str(), run.seed, run.failure()?)))
            .collect()
    }

    /// The header and rows of the table of topology measures, a row per run and level; no row where none were taken.
    pub fn topology_table(&self) -> (Vec<&'static str>, Vec<Vec<String>>) {
        let number = |value: Option<f64>| value.map_or(NONE.to_string(), |value| format!("{value:.3}"));
        let mut rows = Vec::new();
        for configuration in &self.configurations {
            for run in &configuration.runs {
                for level in run.topology() {
                    rows.push(vec![
                        configuration.label.clone(),
                        run.seed.to_string(),
                        level.level.clone(),
                        number(Some(level.topographic_error)),
                        number(level.correlation),
                        number(level.p_value),
                    ]);
                }
            }
        }
        (vec!["configuration", "seed", "level", "topographic error", "rank correlation", "p"], rows)
    }

    fn markdown(&self) -> String {
        let seeds: Vec<String> = self.seeds.iter().map(ToString::to_string).collect();
        let (ended, all) = self.ended();
        let mut text = format!("# {}\n\n", self.name);
        text += &format!("Recipe {}; seeds {}; {ended} of {all} runs have ended.", self.recipe, seeds.join(", "));
        if let Some(data) = &self.data {
            text += &format!(" Data: {data}.");
        }
        let baseline = self.configurations.iter().find(|configuration| configuration.name == self.baseline);
        let baseline = baseline.map_or(self.baseline.as_str(), |configuration| configuration.label.as_str());
        text += &format!(
            "\n\nMean ± standard deviation (n − 1) over the finished runs. The loss is the mean squared error of the \
             reconstruction of validation pictures, in normalized units. \"Steps to\" are those of the first validation at \
             most 1.1 or 1.2 times the run's own best. K is the first step at which the mean curve over the seeds is at \
             most 1.1 times the lowest point of the mean curve of the baseline, {baseline}, as the paper counts; beside \
             it stands the mean over the runs of each one's first validation at most 1.1 times the mean best of the \
             baseline; {NONE} and a count where not every run comes to it. Codes in use and perplexity are those at the \
             best. \
             Curves are means over the seeds, their bands go from the lowest to the highest.\n\n"
        );
        text += &markdown_table(&self.table());
        let measured = self.measured_table();
        if !measured.1.is_empty() {
            text += "\nThe best weights, on all validation pictures:\n\n";
            text += &markdown_table(&measured);
        }
        let unfinished = self.unfinished_table();
        if !unfinished.1.is_empty() {
            text += "\nRuns under way:\n\n";
            text += &markdown_table(&unfinished);
        }
        let topology = self.topology_table();
        if !topology.1.is_empty() {
            text += "\nThe maps of the best weights, on the validation pictures:\n\n";
            text += &markdown_table(&topology);
        }
        let failures = self.failures();
        if !failures.is_empty() {
            text += "\nRuns that failed:\n\n";
            for (label, seed, reason) in failures {
                text += &format!("- {label}, seed {seed}: {}\n", reason.replace('\n', " "));
            }
        }
        text
    }

    fn csv(&self) -> String {
        let mut text = String::from(
            "configuration,label,finished,failed,best_mse,best_mse_std,steps_to_1.1,steps_to_1.1_std,steps_to_1.2,\
             steps_to_1.2_std,mean_curve_to_baseline,per_run_to_baseline,per_run_to_baseline_std,baseline_reached,codes_in_use,perplexity\n",
        );
        for configuration in &self.configurations {
            let levels = |figure: fn(&LevelResult) -> Spread| {
                let cells: Vec<String> =
                    configuration.levels.iter().map(|level| figure(level).mean.to_string()).collect();
                cells.join("/")
            };
            let mut cells = vec![
                configuration.name.clone(),
                configuration.label.clone(),
                configuration.finished.to_string(),
                configuration.failed.to_string(),
            ];
            let spread_cells = |spread: Option<Spread>| {
                let mean = spread.map(|spread| spread.mean.to_string()).unwrap_or_default();
                [mean, spread.and_then(|spread| spread.std).map(|std| std.to_string()).unwrap_or_default()]
            };
            for spread in [configuration.best_mse, configuration.steps_to_1_1, configuration.steps_to_1_2] {
                cells.extend(spread_cells(spread));
            }
            cells.push(configuration.mean_curve_to_baseline.map(|step| step.to_string()).unwrap_or_default());
            cells.extend(spread_cells(configuration.per_run_to_baseline.steps));
            cells.push(configuration.per_run_to_baseline.reached.to_string());
            cells.push(levels(|level| level.codes_in_use));
            cells.push(levels(|level| level.perplexity));
            text += &csv_line(&cells);
        }
        text
    }

    /// Every validation of every run, those of runs that failed or have not ended included.
    fn runs_csv(&self) -> String {
        let mut text = String::from("configuration,seed,step,mse,perplexity,codes_in_use\n");
        for configuration in &self.configurations {
            for run in &configuration.runs {
                for validation in &run.validations {
                    let levels = |figure: &dyn Fn(usize) -> String| {
                        (0..validation.levels.len()).map(figure).collect::<Vec<_>>().join("/")
                    };
                    text += &csv_line(&[
                        configuration.name.clone(),
                        run.seed.to_string(),
                        validation.step.to_string(),
                        validation.mse.to_string(),
                        levels(&|level| format!("{:.3}", validation.levels[level].perplexity)),
                        levels(&|level| validation.levels[level].codes_in_use.to_string()),
                    ]);
                }
            }
        }
        text
    }
}

/// `mean ± std` with so many decimals.
pub(super) fn plus_minus(spread: Option<Spread>, decimals: usize) -> String {
    match spread {
        None => NONE.to_string(),
        Some(Spread { mean, std: None }) => format!("{mean:.decimals$}"),
        Some(Spread { mean, std: Some(std) }) => format!("{mean:.decimals$} ± {std:.decimals$}"),
    }
}

fn budget(budget: &Budget) -> String {
    match budget {
        Budget { of: 0, .. } => NONE.to_string(),
        Budget { steps, reached, of } if reached == of => plus_minus(*steps, 0),
        Budget { reached, of, .. } => format!("{NONE} ({reached} of {of})"),
    }
}

pub(super) fn markdown_table((header, rows): &(Vec<&'static str>, Vec<Vec<String>>)) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let escaped = |cell: &String| cell.replace('|', "\\|");
    let mut text = line(header.iter().map(ToString::to_string).collect());
    text += &line(header.iter().map(|_| "---".to_string()).collect());
    text.extend(rows.iter().map(|row| line(row.iter().map(escaped).collect())));
    text
}

pub(super) fn csv_line(cells: &[String]) -> String {
    let quoted = |cell: &String| {
        if cell.contains([',', '"', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() }
    };
    cells.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_say_what_is_missing() {
        let steps = Some(Spread { mean: 120.0, std: Some(7.4) });
        assert_eq!(budget(&Budget { steps, reached: 2, of: 2 }), "120 ± 7");
        assert_eq!(budget(&Budget { steps, reached: 2, of: 3 }), "– (2 of 3)");
        assert_eq!(budget(&Budget::default()), "–");
        assert_eq!(plus_minus(Some(Spread { mean: 1.25, std: None }), 1), "1.2");
    }

    #[test]
    fn commas_and_bars_stay_inside_their_cells() {
        assert_eq!(csv_line(&["a,b".into(), "say \"x\"".into(), "c".into()]), "\"a,b\",\"say \"\"x\"\"\",c\n");
        let table = markdown_table(&(vec!["x"], vec![vec!["a|b".into()]]));
        assert_eq!(table, "| x |\n| --- |\n| a\\|b |\n");
    }
}
