//! Progress of an experiment on stderr: one bar over the steps of all runs, or now and then a line.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use indicatif::ProgressBar;
use ksom_vqvae::Event;
use ksom_vqvae::experiment::{Experiment, ExperimentEvent, ExperimentResults, Outcome, RunName};

use crate::console::{Console, say};
use crate::output::{duration, significant};
use crate::progress::{Pace, bar};

/// The progress of an experiment; told by several threads.
pub struct ExperimentProgress<'a> {
    experiment: &'a Experiment,
    console: Console,
    bar: Option<ProgressBar>,
    /// Steps of all runs.
    total: u64,
    started: Instant,
    state: Mutex<State>,
}

struct State {
    pace: Pace,
    /// Runs that have ended.
    ended: usize,
    /// Steps of all runs that need not be taken any more, and those of them taken in this call.
    done: u64,
    taken: u64,
    /// The step that a run has come to, and its best validation in this call.
    runs: HashMap<RunName, (u64, Option<f64>)>,
    stopping: bool,
}

impl<'a> ExperimentProgress<'a> {
    /// Of an experiment some of which may be done already.
    pub fn new(experiment: &'a Experiment, before: &ExperimentResults, console: &Console) -> Self {
        let steps = |sum: u64, run| sum.saturating_add(experiment.recipe_of(run).training.steps);
        let total = experiment.run_names().fold(0, steps);
        let outcome = |run: &RunName| before.configurations[run.configuration].runs[run.seed].outcome.as_ref();
        let has_ended = |run: &RunName| outcome(run).is_some_and(|outcome| outcome.is_settled(experiment));
        let ended: Vec<RunName> = experiment.run_names().filter(has_ended).collect();
        let done = ended.iter().copied().fold(0, steps);
        let bar = bar(console, total, "{bar:10} {wide_msg}");
        if let Some(bar) = &bar {
            bar.set_position(done);
        }
        let state = State {
            pace: Pace::new(console),
            ended: ended.len(),
            done,
            taken: 0,
            runs: HashMap::new(),
            stopping: false,
        };
        Self { experiment, console: *console, bar, total, started: Instant::now(), state: Mutex::new(state) }
    }

    /// Something happened to a run.
    pub fn tell(&self, run: RunName, event: &ExperimentEvent) {
        let mut state = self.state();
        match event {
            ExperimentEvent::Started { step } => {
                state.runs.insert(run, (*step, None));
                state.done = state.done.saturating_add(*step);
                let from = if *step > 0 { format!("continuing after step {step}") } else { "started".to_string() };
                self.line(&format!("{}: {from}", self.name(run)));
            }
            ExperimentEvent::Training(Event::Step(report)) => {
                let (step, _) = state.runs.entry(run).or_default();
                let taken = report.step.saturating_sub(*step);
                *step = report.step;
                state.done = state.done.saturating_add(taken);
                state.taken += taken;
                let loss = report.reconstruction + report.quantizer_loss;
                self.step(&state, run, report.step, loss);
            }
            ExperimentEvent::Training(Event::Validated(report)) if report.best => {
                state.runs.entry(run).or_default().1 = Some(report.mse);
            }
            ExperimentEvent::Training(_) | ExperimentEvent::Measuring => {}
            ExperimentEvent::Ended(outcome) => {
                let (step, best) = state.runs.remove(&run).unwrap_or_default();
                state.ended += 1;
                // What is left of a run that failed or ended early will not be done.
                let left = self.experiment.recipe_of(run).training.steps.saturating_sub(step);
                state.done = state.done.saturating_add(left);
                let ended = format!("{} ({} of {} runs)", self.name(run), state.ended, self.experiment.runs());
                match (outcome, best) {
                    (Outcome::Failed { reason, .. }, _) => self.warn(&format!("{ended} failed: {reason}")),
                    (_, Some(best)) => self.line(&format!("{ended}: best validation mse {}", significant(best))),
                    (_, None) => self.line(&format!("{ended}: done")),
                }
            }
        }
    }

    /// Somebody asked to stop.
    pub fn stopping(&self) {
        let mut state = self.state();
        if !state.stopping {
            state.stopping = true;
            self.line("stopping with a checkpoint after this step (once more stops at once)");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What it holds is right even if a thread panicked.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn step(&self, state: &State, run: RunName, step: u64, loss: f64) {
        if self.bar.is_none() && !state.pace.is_due() {
            return;
        }
        let seconds = self.started.elapsed().as_secs_f64() / state.taken.max(1) as f64;
        let left = duration(seconds * self.total.saturating_sub(state.done) as f64);
        let text = format!(
            "{} of {} runs done; {}: step {step}/{}, loss {}; {left} left in all",
            state.ended,
            self.experiment.runs(),
            self.name(run),
            self.experiment.recipe_of(run).training.steps,
            significant(loss)
        );
        match &self.bar {
            Some(bar) => {
                bar.set_position(state.done);
                bar.set_message(text);
            }
            None => say(&text),
        }
    }

    fn name(&self, run: RunName) -> String {
        let configuration = &self.experiment.configurations[run.configuration];
        format!("{}, seed {}", configuration.label, self.experiment.seed_of(run))
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None => self.console.note(text),
        }
    }

    fn warn(&self, text: &str) {
        self.console.warn(text, self.bar.as_ref());
    }
}

impl Drop for ExperimentProgress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
