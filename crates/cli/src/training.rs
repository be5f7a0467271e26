//! What `train` and `finetune` share: their arguments, the run itself, and its result.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use ksom_datasets::sets::OnUnreadable;
use ksom_datasets::{DataOptions, DataSpec};
use ksom_vqvae::team::Traffic;
use ksom_vqvae::training::{Best, DataAccess};
use ksom_vqvae::{Compute, Event, Flow, Recipe, Team, Trainer};
use serde::Serialize;

use crate::arguments::data_spec;
use crate::console::Console;
use crate::data::fetched;
use crate::interrupt::{ENDED_WITH_OTHERS, Interrupt};
use crate::left_out::{RemarksAtEnd, tell_left_out};
use crate::output::{Block, bytes, duration, significant};
use crate::progress::TrainingProgress;
use crate::settings::Settings;

/// Arguments of every training.
#[derive(Args)]
pub struct TrainingArgs {
    /// Training pictures: a path, or KIND:PATH with kind folder, cifar10, parquet, wds (tar shards), hub
    /// (owner/name[@revision][:config[:split]]), mnist, fashion-mnist, imagenet, celebahq or afhq; several joined by + are
    /// a mixture
    #[arg(long, value_name = "DATA", value_parser = data_spec())]
    pub data: Option<DataSpec>,
    /// The run directory: a new folder for the model, its metrics and its checkpoints
    #[arg(long, value_name = "RUN")]
    pub out: PathBuf,
    /// Optimizer steps, instead of the recipe's number; with --resume, a larger number trains for longer
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,
    /// Seed of weights, split, order and augmentation
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Another value for a field of the recipe, such as decay=0.97; can be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<String>,
    /// Continue the training in RUN from its last checkpoint
    #[arg(long)]
    pub resume: bool,
    /// Leave out pictures that cannot be read (all are tried once first), instead of stopping
    #[arg(long)]
    pub skip_unreadable: bool,
    /// Keep decoded pixels in files in this folder, mapped into memory: for sets of large pictures
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

/// An override of a recipe, `KEY=VALUE`.
pub fn key_value(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.trim().is_empty() => Ok(text.to_string()),
        _ => Err("expected KEY=VALUE, such as lr=3e-4".to_string()),
    }
}

impl TrainingArgs {
    /// `--set`, `--steps` and `--seed` as overrides of a recipe.
    fn overrides(&self) -> Vec<String> {
        let steps = self.steps.map(|steps| format!("training.steps={steps}"));
        let seed = self.seed.map(|seed| format!("training.seed={seed}"));
        self.set.iter().cloned().chain(steps).chain(seed).collect()
    }

    /// The recipe of that name with the overrides.
    pub fn recipe(&self, name: &str) -> Result<Recipe> {
        Ok(Recipe::find(name, &self.overrides())?)
    }

    /// The same for a training from a model, whose architecture and quantizer are its own.
    pub fn recipe_to_tune(&self, name: &str) -> Result<Recipe> {
        Ok(Recipe::find_to_tune(name, &self.overrides())?)
    }

    /// How the data set is opened and read.
    pub fn data_access(&self) -> DataAccess {
        let on_unreadable = if self.skip_unreadable { OnUnreadable::Skip } else { OnUnreadable::Fail };
        DataAccess { options: DataOptions { on_unreadable, ..DataOptions::default() }, cache: self.cache.clone() }
    }

    /// Goes on with the training in the run directory. The same command line as at the start, with `--resume` added,
    /// is welcome, and so are more steps; one that asks for another training is refused.
    pub fn resume(
        &self,
        recipe: Option<&str>,
        num_codes: Option<usize>,
        compute: &Compute,
        console: &Console,
    ) -> Result<Trainer> {
        let data = self.data.as_ref().map(|data| fetched(data, console)).transpose()?;
        let mut trainer = Trainer::resume(&self.out, data.as_ref(), &self.data_access(), compute)?;
        trainer.continue_as(recipe, &self.overrides(), num_codes)?;
        Ok(trainer)
    }
}

/// How a run went, for the result of a command.
#[derive(Serialize)]
pub struct RunReport {
    /// The run directory.
    pub run: PathBuf,
    /// Steps done in all, and steps that the recipe has.
    pub steps: u64,
    pub of: u64,
    /// Whether it ended before that since validation had stopped getting better.
    pub early: bool,
    /// The best validation so far.
    pub best: Option<Best>,
    /// Training time of this call in seconds.
    pub seconds: f64,
    /// How several processes trained together.
    #[serde(flatten)]
    pub together: Option<Together>,
    /// What stopped it early, as an exit code.
    #[serde(skip)]
    pub stopped: Option<u8>,
}

/// Several processes that trained together, and what a step cost them besides computing.
#[derive(Serialize)]
pub struct Together {
    pub processes: usize,
    /// What each process sends, and receives, for a step's sums.
    pub bytes_per_step: u64,
    /// From when a process has its own until it has all: also the time that it waits for slower ones.
    pub sum_ms: f64,
    /// The same of the fastest step.
    pub fastest_sum_ms: f64,
}

impl Together {
    fn of(team: &Team) -> Option<Self> {
        let Traffic { sums, bytes, seconds, fastest } = team.traffic();
        (sums > 0).then(|| Self {
            processes: team.size(),
            bytes_per_step: bytes / sums,
            sum_ms: 1e3 * seconds / sums as f64,
            fastest_sum_ms: 1e3 * fastest,
        })
    }
}

/// Tells what a training is about to do.
pub fn announce(trainer: &Trainer, settings: &Settings) {
    tell_left_out(trainer.data(), &settings.console);
    settings.console.note(&trainer.data().description);
    if trainer.steps_done() > 0 {
        settings.console.note(&format!("continuing after step {}", trainer.steps_done()));
    }
}

/// Trains to the end, or until somebody asks to stop.
pub fn drive(trainer: &mut Trainer, run: PathBuf, settings: &Settings) -> Result<RunReport> {
    let recipe = trainer.recipe().training.clone();
    let interrupt = Interrupt::listen()?;
    let _remarks = RemarksAtEnd::of(trainer.data(), &settings.console);
    let progress = TrainingProgress::new(&settings.console, recipe.steps, trainer.steps_done(), recipe.batch_size);
    let started = Instant::now();
    let mut told = false;
    let summary = trainer.run(&mut |event| {
        match event {
            Event::Step(report) => progress.step(&report),
            Event::Validating { images, of } => progress.validating(images, of),
            Event::Validated(report) => progress.validated(&report),
            Event::Checkpoint { .. } => {}
        }
        if interrupt.exit_code().is_none() {
            return Flow::Continue;
        }
        if !told {
            progress.stopping();
            told = true;
        }
        Flow::Stop
    })?;
    // Another process can have been told to.
    let stopped = summary.stopped.then(|| interrupt.exit_code().unwrap_or(ENDED_WITH_OTHERS));
    let seconds = started.elapsed().as_secs_f64();
    Ok(RunReport {
        run,
        steps: summary.steps,
        of: recipe.steps,
        early: summary.early,
        best: summary.best,
        seconds,
        together: Together::of(&settings.team),
        stopped,
    })
}

impl RunReport {
    /// The result's first line.
    pub fn headline(&self) -> String {
        let time = duration(self.seconds);
        if self.stopped.is_some() {
            format!("stopped after step {} of {} ({time})", self.steps, self.of)
        } else if self.early {
            format!("ended after step {} of {}: validation had stopped getting better ({time})", self.steps, self.of)
        } else {
            format!("trained to step {} ({time})", self.steps)
        }
    }

    /// The best model's line.
    pub fn best_line(&self) -> String {
        match self.best {
            Some(best) => format!(
                "best validation mse {} at step {}: {} holds that model, {} the last one",
                significant(best.mse),
                best.step,
                self.run.display(),
                self.run.join("last").display()
            ),
            None => format!("not validated yet: {} holds the model as it stands", self.run.join("last").display()),
        }
    }

    /// What several processes said to each other, if there were several.
    pub fn together_line(&self) -> Option<Block> {
        let Together { processes, bytes_per_step, sum_ms, .. } = self.together.as_ref()?;
        let each = bytes(*bytes_per_step);
        Some(Block::Hint(format!(
            "{processes} processes, each of which sent {each} and waited {sum_ms:.1} ms per step"
        )))
    }

    /// What to type next: `command` is how to continue, should the run have been stopped. That is part of the result.
    pub fn next_line(&self, command: &str) -> Block {
        let run = shell_word(&self.run.display().to_string());
        if self.stopped.is_some() {
            // The line is to work in every folder.
            let everywhere = std::path::absolute(&self.run).unwrap_or_else(|_| self.run.clone());
            let everywhere = shell_word(&everywhere.display().to_string());
            Block::Line(format!("next: ksom {command} --out {everywhere} --resume"))
        } else {
            Block::Hint(format!("next: ksom reconstruct photo.jpg -o out.png --side-by-side --model {run}"))
        }
    }
}

/// A word for a shell, quoted where it needs to be.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@+=,".contains(c) || (cfg!(windows) && c == '\\');
    if !text.is_empty() && text.chars().all(plain) {
        text.to_string()
    } else if cfg!(windows) {
        format!("\"{text}\"")
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn words_come_back_from_a_shell_as_they_were() {
        for word in ["runs/a", "my runs", "it's", r#"a "b" $HOME `c` \ d"#, "", "ä(1)&*", "-x"] {
            let command = format!("printf %s {}", shell_word(word));
            let output = std::process::Command::new("sh").args(["-c", &command]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
        assert_eq!(shell_word("runs/a"), "runs/a");
    }
}
