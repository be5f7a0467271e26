//! Reading `metrics.jsonl`: how a training went.

use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::record::recorded::METRICS_FILE;
use crate::record::writer::MAX_METRICS_BYTES;
use crate::system::files::read_text;

/// How a training went, from its run directory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunLog {
    /// Training steps that were logged, in order.
    pub steps: Vec<LoggedStep>,
    /// Validations, in order.
    pub validations: Vec<LoggedValidation>,
}

/// One training step.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct LoggedStep {
    /// Steps done, this one included.
    pub step: u64,
    /// Mean squared error of the reconstruction, in normalized units.
    pub reconstruction: f64,
    /// Perplexity of each level's codes in the batch.
    pub perplexity: Vec<f64>,
    /// Training speed since the step logged before, pauses for validation left out.
    #[serde(default)]
    pub images_per_s: Option<f64>,
}

/// One validation. Where several sets are validated, figures are the means of theirs.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedValidation {
    /// Steps done.
    pub step: u64,
    /// Mean squared error of the reconstruction in normalized units.
    pub mse: f64,
    /// Use of the codes at each level.
    pub levels: Vec<LoggedLevel>,
}

/// Use of one level's codes in a validation.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct LoggedLevel {
    /// The level's name.
    pub name: String,
    /// Codes that were chosen at least once.
    pub codes_in_use: f64,
    /// exp of the entropy of the code frequencies.
    pub perplexity: f64,
}

/// A line of the log.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line {
    Train(LoggedStep),
    Valid {
        step: u64,
        mse: f64,
        sets: Vec<(String, SetLine)>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct SetLine {
    levels: Vec<LoggedLevel>,
}

impl RunLog {
    /// Reads the log in the run directory `run`. A torn last line is left out.
    ///
    /// # Errors
    /// There is no log, it is larger than 256 MiB, or a line is malformed.
    pub fn read(run: &Path) -> Result<Self> {
        let path = run.join(METRICS_FILE);
        let text = read_text(&path, MAX_METRICS_BYTES)?;
        let mut log = Self::default();
        for (number, line) in text.split_inclusive('\n').enumerate().filter(|(_, line)| line.ends_with('\n')) {
            let parsed: Line = serde_json::from_str(line)
                .map_err(|error| Error::file(&path, format!("line {} is no line of metrics: {error}", number + 1)))?;
            match parsed {
                Line::Train(step) => log.steps.push(step),
                Line::Valid { step, mse, sets } => {
                    let levels = mean_levels(sets.into_iter().map(|(_, set)| set.levels).collect());
                    log.validations.push(LoggedValidation { step, mse, levels });
                }
                Line::Other => {}
            }
        }
        Ok(log)
    }
}

impl LoggedValidation {
    /// The first of the validations with the lowest error, if there are any.
    pub fn best(validations: &[Self]) -> Option<&Self> {
        // `min_by` gives the first of equals.
        validations.iter().min_by(|a, b| a.mse.total_cmp(&b.mse))
    }
}

/// The mean over sets of each level's figures.
fn mean_levels(sets: Vec<Vec<LoggedLevel>>) -> Vec<LoggedLevel> {
    let count = sets.len() as f64;
    let mut sets = sets.into_iter();
    let mut sums = sets.next().unwrap_or_default();
    for levels in sets {
        for (sum, level) in sums.iter_mut().zip(levels) {
            sum.codes_in_use += level.codes_in_use;
            sum.perplexity += level.perplexity;
        }
    }
    for sum in &mut sums {
        sum.codes_in_use /= count;
        sum.perplexity /= count;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_read_and_wrong_lines_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(folder.path().join(METRICS_FILE), text).unwrap();
        let set = |codes: u32| {
            format!(r#"["s",{{"mse":1.0,"levels":[{{"name":"codes","codes_in_use":{codes},"perplexity":2.0}}]}}]"#)
        };
        let valid = |step: u64, mse: f64| {
            format!("{{\"kind\":\"valid\",\"step\":{step},\"mse\":{mse},\"sets\":[{},{}]}}\n", set(4), set(5))
        };
        let train = "{\"kind\":\"train\",\"step\":1,\"reconstruction\":0.5,\"perplexity\":[3.0],\"grad_norm\":null}\n";
        let text = train.to_string() + &valid(1, 0.4) + "{\"kind\":\"eval\"}\n" + &valid(2, 0.3) + &valid(3, 0.3);
        write(&(text.clone() + "{\"kind\":\"tr"));
        let log = RunLog::read(folder.path()).unwrap();
        assert_eq!((log.steps.len(), log.validations.len()), (1, 3));
        assert_eq!(log.validations[0].levels[0].codes_in_use, 4.5);
        assert_eq!(LoggedValidation::best(&log.validations).unwrap().step, 2);
        write(&(text + "[]\n"));
        let error = RunLog::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains(METRICS_FILE) && error.contains("line 6"), "{error}");
    }
}
