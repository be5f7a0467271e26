//! The figures of a model's weights, as its `metrics.jsonl` records them; and recording them there.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::error::Result;
use crate::evaluation::Evaluation;
use crate::record::writer::{MAX_METRICS_BYTES, MetricsLog};
use crate::system::files::read_text;

/// The name of the record in a model directory.
pub(crate) const METRICS_FILE: &str = "metrics.jsonl";
/// The longest line of it that counts, in bytes.
const MAX_LINE_BYTES: usize = 1 << 20;

/// What was measured of a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RecordedMetrics {
    /// Mean squared error of the reconstruction in normalized units.
    pub mse: Option<f64>,
    /// The same, on the same pictures, of the model that this one was fine-tuned from.
    pub mse_before: Option<f64>,
    /// Peak signal-to-noise ratio in dB, the mean over the pictures.
    pub psnr: Option<f64>,
    /// The PSNR of the mean error.
    pub psnr_of_mean_mse: Option<f64>,
    /// Structural similarity.
    pub ssim: Option<f64>,
    /// Multi-scale structural similarity.
    pub ms_ssim: Option<f64>,
    /// Bits per pixel that the codes take.
    pub bits_per_pixel: Option<f64>,
    /// Pictures that it was measured on.
    pub images: Option<u64>,
    /// The data that they are of, where that was recorded.
    pub measured_on: Option<String>,
    /// Codes in use and codes in all, at each level.
    pub codes: Vec<[u64; 2]>,
    /// Perplexity at each level.
    pub perplexity: Vec<f64>,
    /// Topographic error at each level that has one.
    pub topographic_error: Vec<f64>,
    /// Rank correlation of distances on the grid and in the codebook, at each level that has one.
    pub rank_correlation: Vec<f64>,
}

/// An evaluation, as a line of `metrics.jsonl`.
#[derive(Serialize)]
struct Record<'a> {
    step: u64,
    mse: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mse_before: Option<f64>,
    data: &'a str,
    sets: &'a [(String, Evaluation)],
}

/// Adds an evaluation of the weights of `step` on the sets of `data` to a model directory's `metrics.jsonl`: the model
/// card tells its figures. `mse_before` is the error, on the same pictures, of the model that it was fine-tuned from.
///
/// # Errors
/// The file cannot be written.
pub fn record_evaluation(
    dir: &Path,
    step: u64,
    data: &str,
    sets: &[(String, Evaluation)],
    mse_before: Option<f64>,
) -> Result<()> {
    let mse = sets.iter().map(|(_, set)| set.mse).sum::<f64>() / sets.len().max(1) as f64;
    MetricsLog::open(&dir.join(METRICS_FILE), u64::MAX)?.append("eval", &Record { step, mse, mse_before, data, sets })
}

impl RecordedMetrics {
    /// The figures in a model directory of the weights of `step`; none where nothing is recorded.
    pub fn read(dir: &Path, step: Option<u64>) -> Self {
        let text = read_text(&dir.join(METRICS_FILE), MAX_METRICS_BYTES);
        Self::parse(&text.unwrap_or_default(), step)
    }

    /// The validation error after `step` steps, as the training in the run directory `dir` recorded it.
    pub fn validation_mse(dir: &Path, step: u64) -> Option<f64> {
        let text = read_text(&dir.join(METRICS_FILE), MAX_METRICS_BYTES).ok()?;
        line_of(&text, "valid", step)?["mse"].as_f64()
    }

    /// The same from the text of `metrics.jsonl`. The last evaluation counts, else the validation of that step.
    pub fn parse(text: &str, step: Option<u64>) -> Self {
        let at = |kind: &str, step: u64| line_of(text, kind, step);
        let Some(line) = step.and_then(|step| at("eval", step).or_else(|| at("valid", step))) else {
            return Self::default();
        };
        let sets: Vec<&Value> = line["sets"].as_array().into_iter().flatten().map(|set| &set[1]).collect();
        let mean = |name: &str| {
            let values: Option<Vec<f64>> = sets.iter().map(|set| set[name].as_f64()).collect();
            values.filter(|values| !values.is_empty()).map(|values| values.iter().sum::<f64>() / values.len() as f64)
        };
        // Lines of before `psnr_of_mean_mse` was written say `psnr` and mean that.
        let (psnr, of_mean) = match (mean("psnr"), mean("psnr_of_mean_mse")) {
            (old, None) => (None, old),
            new => new,
        };
        let before = match line["kind"] == "valid" {
            true => at("valid", 0).and_then(|before| before["mse"].as_f64()).filter(|_| step != Some(0)),
            false => line["mse_before"].as_f64(),
        };
        let levels = || sets.first().and_then(|set| set["levels"].as_array()).into_iter().flatten();
        let count = |level: &Value, name: &str| level[name].as_u64().unwrap_or(0);
        Self {
            mse: line["mse"].as_f64(),
            mse_before: before,
            psnr,
            psnr_of_mean_mse: of_mean,
            ssim: mean("ssim"),
            ms_ssim: mean("ms_ssim"),
            bits_per_pixel: mean("bits_per_pixel"),
            images: sets.iter().try_fold(0u64, |sum, set| sum.checked_add(set["images"].as_u64()?)),
            measured_on: line["data"].as_str().map(ToString::to_string),
            codes: levels().map(|level| [count(level, "codes_in_use"), count(level, "num_codes")]).collect(),
            perplexity: levels().filter_map(|level| level["perplexity"].as_f64()).collect(),
            topographic_error: levels().filter_map(|level| level["topographic_error"].as_f64()).collect(),
            rank_correlation: levels().filter_map(|level| level["topology"]["correlation"].as_f64()).collect(),
        }
    }
}

/// The last line of a kind and step.
fn line_of(text: &str, kind: &str, step: u64) -> Option<Value> {
    // A line at a time: parsed, a text takes many times its length.
    text.lines()
        .rev()
        .filter(|line| line.len() <= MAX_LINE_BYTES && line.contains(kind))
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|line| line["kind"] == kind && line["step"] == step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_weights_is_found() {
        let level = r#"{"name":"codes","num_codes":16,"codes_in_use":9,"perplexity":4.5,"topographic_error":0.25,"topology":{"correlation":0.5}}"#;
        let set = |more: &str| {
            format!(r#"["valid",{{"images":7,"mse":0.5,"bits_per_pixel":0.25,"levels":[{level}]{more}}}]"#)
        };
        let line = |kind: &str, step: u64, mse: f64, more: &str| {
            format!(r#"{{"kind":"{kind}","step":{step},"mse":{mse},"sets":[{}]}}"#, set(more)) + "\n"
        };
        let text = line("valid", 0, 0.9, "") + &line("valid", 5, 0.5, "") + &line("valid", 10, 0.6, "") + "{torn";
        let found = RecordedMetrics::parse(&text, Some(5));
        assert_eq!((found.mse, found.mse_before, found.psnr), (Some(0.5), Some(0.9), None));
        assert_eq!((found.images, found.codes, found.perplexity), (Some(7), vec![[9, 16]], vec![4.5]));
        // As it was written before PSNR meant the mean over pictures.
        let text = text.replace("{torn", "") + &line("eval", 5, 0.4, r#","psnr":20.0,"ssim":0.5"#);
        let found = RecordedMetrics::parse(&text, Some(5));
        assert_eq!((found.mse, found.psnr_of_mean_mse, found.ssim), (Some(0.4), Some(20.0), Some(0.5)));
        // The base model's error on other pictures is not the error before.
        assert_eq!((found.psnr, found.mse_before), (None, None));
        assert_eq!((found.topographic_error, found.rank_correlation), (vec![0.25], vec![0.5]));
        let text = text
            + &line("eval", 5, 0.3, r#","psnr":22.0,"psnr_of_mean_mse":21.0"#)
                .replace(r#""sets""#, r#""mse_before":0.35,"data":"d","sets""#);
        let found = RecordedMetrics::parse(&text, Some(5));
        assert_eq!((found.psnr, found.psnr_of_mean_mse, found.mse_before), (Some(22.0), Some(21.0), Some(0.35)));
        assert_eq!(found.measured_on.as_deref(), Some("d"));
        assert_eq!(RecordedMetrics::parse(&text, Some(6)), RecordedMetrics::default());
        assert_eq!(RecordedMetrics::parse(&text, Some(0)).mse_before, None);
    }
}
