//! Progress on stderr: bars on a terminal, now and then a line elsewhere, nothing when quiet.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ksom_vqvae::training::{StepReport, ValidationReport};

use crate::console::{Console, say};
use crate::output::{duration, significant, usage};

/// Off a terminal, steps are told at most this often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// A bar on stderr where somebody watches.
pub fn bar(console: &Console, total: u64, template: &str) -> Option<ProgressBar> {
    if console.quiet || !console.terminal {
        return None;
    }
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    // The templates are those of this file, so the default is never needed.
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    Some(bar)
}

/// Whether it is time for another line off a terminal.
pub struct Pace {
    silent: bool,
    last: Cell<Instant>,
}

impl Pace {
    pub fn new(console: &Console) -> Self {
        Self { silent: console.quiet || console.terminal, last: Cell::new(Instant::now()) }
    }

    pub fn is_due(&self) -> bool {
        let due = !self.silent && self.last.get().elapsed() >= LINE_EVERY;
        if due {
            self.last.set(Instant::now());
        }
        due
    }
}

/// Counts things that are done one after the other.
pub struct Counter {
    bar: Option<ProgressBar>,
    pace: Pace,
    total: usize,
    what: &'static str,
}

impl Counter {
    pub fn new(console: &Console, total: usize, what: &'static str) -> Self {
        let template = format!("{{bar:30}} {{pos}}/{{len}} {what} {{eta}}");
        // A bar for a single thing would only flicker.
        let bar = if total > 1 { bar(console, total as u64, &template) } else { None };
        Self { bar, pace: Pace::new(console), total, what }
    }

    /// So many are done now.
    pub fn set(&self, done: usize) {
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
        } else if self.pace.is_due() {
            say(&format!("{done}/{} {}", self.total, self.what));
        }
    }

    pub fn bar(&self) -> Option<&ProgressBar> {
        self.bar.as_ref()
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The progress of a training.
pub struct TrainingProgress {
    bar: Option<ProgressBar>,
    pace: Pace,
    console: Console,
    steps: u64,
    batch_size: usize,
}

impl TrainingProgress {
    /// A training of `steps` in all, of which `done` are done.
    pub fn new(console: &Console, steps: u64, done: u64, batch_size: usize) -> Self {
        let bar = bar(console, steps, "{bar:10} {pos}/{len} {wide_msg}");
        if let Some(bar) = &bar {
            bar.set_position(done);
        }
        Self { bar, pace: Pace::new(console), console: *console, steps, batch_size }
    }

    /// A step is done.
    pub fn step(&self, report: &StepReport) {
        if self.bar.is_none() && !self.pace.is_due() {
            return;
        }
        let perplexity: Vec<String> = report.perplexity.iter().map(|p| format!("{p:.1}")).collect();
        let left = (self.steps - report.step) as f64 * self.batch_size as f64 / report.images_per_s.max(1e-9);
        let text = format!(
            "loss {}, perplexity {}, {:.0} images/s, {} left",
            significant(report.reconstruction + report.quantizer_loss),
            perplexity.join("/"),
            report.images_per_s,
            duration(left)
        );
        match &self.bar {
            Some(bar) => {
                bar.set_position(report.step);
                bar.set_message(text);
            }
            None => say(&format!("step {}/{}: {text}", report.step, self.steps)),
        }
    }

    /// Pictures of the validation seen so far.
    pub fn validating(&self, images: usize, of: usize) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("validating {images}/{of}"));
        }
    }

    /// A validation is done.
    pub fn validated(&self, report: &ValidationReport) {
        let best = if report.best { " (best so far)" } else { "" };
        let mut text = format!("step {}/{}: validation mse {}{best}", report.step, self.steps, significant(report.mse));
        for (name, evaluation) in &report.sets {
            for level in &evaluation.levels {
                let set = if report.sets.len() > 1 { format!("{name} ") } else { String::new() };
                text += &format!("; {set}{}: {}", level.name, usage(level));
            }
        }
        self.line(&text);
    }

    /// Somebody asked to stop.
    pub fn stopping(&self) {
        self.line("stopping with a checkpoint after this step (once more stops at once)");
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None => self.console.note(text),
        }
    }
}

impl Drop for TrainingProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
