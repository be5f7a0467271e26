//! `metrics.jsonl`: one JSON object a line, in the order of steps.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::system::files::{read_bounded, write_atomic};

/// The largest log that is read, in bytes: that of ten million steps with ten a line takes less.
pub(crate) const MAX_METRICS_BYTES: u64 = 256 << 20;

/// The log of a run.
pub(crate) struct MetricsLog {
    path: PathBuf,
    file: File,
}

#[derive(Serialize)]
struct Line<'a, T> {
    kind: &'a str,
    #[serde(flatten)]
    report: &'a T,
}

impl MetricsLog {
    /// Opens the log to go on after `step`: lines of later steps, and a torn last line, are taken back, since those
    /// steps will be taken again.
    pub(crate) fn open(path: &Path, step: u64) -> Result<Self> {
        if path.exists() {
            let text = read_bounded(path, MAX_METRICS_BYTES)?;
            let text = String::from_utf8_lossy(&text);
            let kept: String = text.split_inclusive('\n').filter(|line| is_up_to(line, step)).collect();
            if kept.len() != text.len() {
                write_atomic(path, kept.as_bytes())?;
            }
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|source| Error::io("open", path, source))?;
        Ok(Self { path: path.to_path_buf(), file })
    }

    /// Adds a line.
    pub(crate) fn append(&mut self, kind: &str, report: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_string(&Line { kind, report })
            .map_err(|error| Error::file(&self.path, error.to_string()))?;
        line.push('\n');
        // One write, so that no line is torn by a crash of this program alone.
        self.file.write_all(line.as_bytes()).map_err(|source| Error::io("write", &self.path, source))
    }
}

fn is_up_to(line: &str, step: u64) -> bool {
    line.ends_with('\n')
        && serde_json::from_str::<serde_json::Value>(line)
            .ok()
            .and_then(|line| line.get("step")?.as_u64())
            .is_some_and(|at| at <= step)
}
