//! Curves of trainings, from their run directories.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::figures::chart::{Chart, Curve, CurvePoint};
use crate::record::run_log::RunLog;

/// The most points of a line: more than there are pixels show nothing.
const MAX_POINTS: usize = 2000;

/// The curves of trainings, a line per training: loss of the batches, validation loss (where there are validations),
/// perplexity of each level's codes in the batches.
///
/// # Errors
/// A log cannot be read, or holds nothing yet.
pub fn training_charts(runs: &[(String, PathBuf)]) -> Result<Vec<Chart>> {
    let mut logs = Vec::with_capacity(runs.len());
    for (label, run) in runs {
        let log = RunLog::read(run)?;
        if log.steps.is_empty() && log.validations.is_empty() {
            return Err(Error::file(run, "its log holds no step and no validation yet"));
        }
        logs.push((label, log));
    }
    let levels =
        logs.iter().flat_map(|(_, log)| log.steps.first()).map(|step| step.perplexity.len()).max().unwrap_or(0);
    let chart = |title: &str, y: &str, logarithmic: bool, points: &dyn Fn(&RunLog) -> Vec<CurvePoint>| Chart {
        title: title.to_string(),
        x: "steps".into(),
        y: y.to_string(),
        logarithmic,
        curves: logs
            .iter()
            .map(|(label, log)| Curve { label: label.to_string(), points: thinned(points(log)) })
            .collect(),
    };
    let error = "mean squared error";
    let mut charts = vec![chart("Training loss", error, true, &|log| {
        log.steps.iter().map(|step| CurvePoint::single(step.step as f64, step.reconstruction)).collect()
    })];
    if logs.iter().any(|(_, log)| !log.validations.is_empty()) {
        charts.push(chart("Validation loss", error, true, &|log| {
            log.validations.iter().map(|at| CurvePoint::single(at.step as f64, at.mse)).collect()
        }));
    }
    for level in 0..levels {
        let of = if levels > 1 { format!(", level {}", level + 1) } else { String::new() };
        charts.push(chart(&format!("Perplexity of the batches{of}"), "perplexity", false, &|log| {
            let at_level = log.steps.iter().filter_map(|step| Some((step.step, *step.perplexity.get(level)?)));
            at_level.map(|(step, perplexity)| CurvePoint::single(step as f64, perplexity)).collect()
        }));
    }
    Ok(charts)
}

/// Every n-th point and the last one, so that there are not too many.
fn thinned(points: Vec<CurvePoint>) -> Vec<CurvePoint> {
    let step = points.len().div_ceil(MAX_POINTS).max(1);
    let last = points.len().saturating_sub(1);
    points.into_iter().enumerate().filter(|(at, _)| at % step == 0 || *at == last).map(|(_, point)| point).collect()
}
