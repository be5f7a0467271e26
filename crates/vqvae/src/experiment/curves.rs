//! Curves of an experiment: the mean over seeds, and the lowest and highest of them.

use crate::error::Result;
use crate::experiment::measured::Measured;
use crate::experiment::plan::Method;
use crate::experiment::results::{ConfigurationResult, ExperimentResults};
use crate::figures::{Chart, Curve, CurvePoint, chart_svg};
use crate::record::run_log::LoggedValidation;

impl ExperimentResults {
    /// The plots, by file name: validation error and perplexity of each level over steps, for each group of
    /// configurations that has a finished run.
    ///
    /// # Errors
    /// A plot cannot be drawn.
    pub fn curves(&self) -> Result<Vec<(String, String)>> {
        let mut plots = Vec::new();
        for figure in &self.figures {
            let shown: Vec<&ConfigurationResult> = figure
                .configurations
                .iter()
                .filter_map(|&number| self.configurations.get(number))
                .filter(|configuration| configuration.finished > 0)
                .collect();
            if shown.is_empty() {
                continue;
            }
            let loss = Chart {
                title: format!("{}: validation loss", self.name),
                x: "steps".into(),
                y: "mean squared error".into(),
                logarithmic: true,
                curves: shown.iter().map(|configuration| curve(configuration, &|at| Some(at.mse))).collect(),
            };
            plots.push((format!("{}-loss.svg", figure.name), chart_svg(&[loss])?));
            let levels = shown.iter().map(|configuration| configuration.level_names()).max_by_key(Vec::len);
            let levels = levels.unwrap_or_default();
            let charts = levels.iter().map(|level| {
                let figure =
                    |at: &LoggedValidation| Some(at.levels.iter().find(|logged| logged.name == *level)?.perplexity);
                let of = if levels.len() > 1 { format!(" of {level}") } else { String::new() };
                Chart {
                    title: format!("{}: perplexity{of}", self.name),
                    x: "steps".into(),
                    y: "perplexity".into(),
                    logarithmic: false,
                    curves: shown.iter().map(|configuration| curve(configuration, &figure)).collect(),
                }
            });
            let charts: Vec<Chart> = charts.collect();
            plots.push((format!("{}-perplexity.svg", figure.name), chart_svg(&charts)?));
        }
        plots.extend(self.method_curves()?);
        Ok(plots)
    }

    /// Each method over the number of its codes: how many it uses, and its error by the bits that they take.
    fn method_curves(&self) -> Result<Vec<(String, String)>> {
        let bits = |measured: &Measured| measured.levels.iter().map(|level| (level.num_codes as f64).log2()).sum();
        let used = |measured: &Measured| measured.levels.iter().map(|level| level.codes_in_use).sum();
        type Figure<'a> = &'a dyn Fn(&Measured) -> f64;
        let charts: [(&str, &str, &str, Figure, Figure); 3] = [
            ("use", "bits of a code, log₂ K", "codes used on all validation pictures", &bits, &used),
            ("rate", "bits per pixel", "mean squared error", &|measured| measured.bits_per_pixel, &|measured| {
                measured.mse
            }),
            (
                "entropy",
                "bits per pixel by the entropy of the codes",
                "mean squared error",
                &|measured| measured.entropy_per_pixel,
                &|measured| measured.mse,
            ),
        ];
        let mut plots = Vec::new();
        for (name, x, y, right, up) in charts {
            let curve = |method: &Method| {
                let of = |&number: &usize| {
                    let configuration = self.configurations.get(number)?;
                    let (right, up) = (configuration.measured(right)?, configuration.measured(up)?);
                    let std = up.std.unwrap_or(0.0);
                    Some(CurvePoint { x: right.mean, mean: up.mean, low: up.mean - std, high: up.mean + std })
                };
                Curve { label: method.label.clone(), points: method.configurations.iter().filter_map(of).collect() }
            };
            let curves: Vec<Curve> = self.methods.iter().map(curve).filter(|curve| !curve.points.is_empty()).collect();
            if curves.is_empty() {
                continue;
            }
            let title = format!("{}: {y}", self.name);
            let chart = Chart { title, x: x.into(), y: y.into(), logarithmic: true, curves };
            plots.push((format!("methods-{name}.svg"), chart_svg(&[chart])?));
        }
        Ok(plots)
    }
}

/// A configuration's mean over its finished runs, at the steps that all of them validated.
pub(super) fn curve(configuration: &ConfigurationResult, figure: &dyn Fn(&LoggedValidation) -> Option<f64>) -> Curve {
    let runs: Vec<&[LoggedValidation]> =
        configuration.runs.iter().filter(|run| run.is_finished()).map(|run| &run.validations[..]).collect();
    let at_step = |step: u64| -> Option<CurvePoint> {
        let values: Option<Vec<f64>> =
            runs.iter().map(|run| figure(run.iter().find(|validation| validation.step == step)?)).collect();
        let values = values?;
        Some(CurvePoint {
            x: step as f64,
            mean: values.iter().sum::<f64>() / values.len() as f64,
            low: values.iter().copied().fold(f64::INFINITY, f64::min),
            high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    };
    let steps = runs.first().into_iter().flat_map(|run| run.iter().map(|validation| validation.step));
    Curve { label: configuration.label.clone(), points: steps.filter_map(at_step).collect() }
}
