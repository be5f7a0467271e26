//! What a run took of time: in files of their own, since no other result depends on the machine.

use crate::error::Result;
use crate::experiment::results::{ConfigurationResult, ExperimentResults};
use crate::experiment::statistics::Spread;
use crate::experiment::text::{csv_line, markdown_table, plus_minus};
use crate::figures::{Chart, Curve, CurvePoint, chart_svg};

impl ConfigurationResult {
    /// Seconds that a training step of its finished runs took, validations and pauses left out.
    pub fn seconds_per_step(&self) -> Option<Spread> {
        Spread::of(self.runs.iter().filter(|run| run.is_finished()).filter_map(|run| run.seconds_per_step))
    }

    /// Minutes that so many of its steps take.
    fn minutes(&self, steps: Option<Spread>) -> Option<Spread> {
        let each = self.seconds_per_step()?.mean;
        steps.map(|steps| steps.scaled(each / 60.0))
    }
}

impl ExperimentResults {
    /// The header and rows of the table of costs; no row of a configuration without a finished run.
    pub fn costs_table(&self) -> (Vec<&'static str>, Vec<Vec<String>>) {
        let row = |configuration: &ConfigurationResult| {
            let each = configuration.seconds_per_step()?;
            Some(vec![
                configuration.label.clone(),
                plus_minus(Some(each), 4),
                plus_minus(configuration.minutes(configuration.best_step), 1),
                plus_minus(configuration.minutes(configuration.per_run_to_baseline.steps), 1),
            ])
        };
        let header = ["configuration", "seconds per step", "minutes to the best", "minutes to 1.1 × baseline"];
        (header.to_vec(), self.configurations.iter().filter_map(row).collect())
    }

    /// `costs.md`, `costs.csv`, and the error over the time of training for each group of configurations.
    pub(super) fn cost_files(&self) -> Result<Vec<(String, String)>> {
        let table = self.costs_table();
        if table.1.is_empty() {
            return Ok(Vec::new());
        }
        let mut markdown = format!("# {}: what it took\n\n", self.name);
        markdown += "Time of training alone, validations and pauses left out, on the machine that ran it, with all that ran \
                     beside it.\n\n";
        markdown += &markdown_table(&table);
        let mut csv = String::from("configuration,seconds_per_step,seconds_per_step_std\n");
        for configuration in &self.configurations {
            if let Some(Spread { mean, std }) = configuration.seconds_per_step() {
                let std = std.map(|std| std.to_string()).unwrap_or_default();
                csv += &csv_line(&[configuration.name.clone(), mean.to_string(), std]);
            }
        }
        let mut files = vec![("costs.md".to_string(), markdown), ("costs.csv".to_string(), csv)];
        for figure in &self.figures {
            let shown = figure.configurations.iter().filter_map(|&number| self.configurations.get(number));
            let curves: Vec<Curve> = shown.filter_map(by_time).collect();
            if curves.is_empty() {
                continue;
            }
            let chart = Chart {
                title: format!("{}: validation loss", self.name),
                x: "minutes of training".into(),
                y: "mean squared error".into(),
                logarithmic: true,
                curves,
            };
            files.push((format!("{}-loss-by-time.svg", figure.name), chart_svg(&[chart])?));
        }
        Ok(files)
    }
}

/// A configuration's curve over the time that its steps took.
fn by_time(configuration: &ConfigurationResult) -> Option<Curve> {
    let each = configuration.seconds_per_step()?.mean;
    let mut curve = super::curves::curve(configuration, &|at| Some(at.mse));
    for CurvePoint { x, .. } in &mut curve.points {
        *x *= each / 60.0;
    }
    Some(curve)
}
