//! `ksom experiment`

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use ksom_datasets::sets::OnUnreadable;
use ksom_datasets::{DataOptions, DataSpec, open};
use ksom_vqvae::Flow;
use ksom_vqvae::experiment::{Experiment, ExperimentOptions, ExperimentResults, Outcome};
use ksom_vqvae::training::DataAccess;
use serde::Serialize;

use crate::arguments::data_spec;
use crate::data::fetched;
use crate::experiment_progress::ExperimentProgress;
use crate::failure::FAILED;
use crate::interrupt::{ENDED_WITH_OTHERS, Interrupt};
use crate::left_out::tell_left_out;
use crate::output::{Block, Report, duration, table};
use crate::settings::Settings;
use crate::training::shell_word;

/// Train a grid of configurations and seeds from one file, and compare them in tables and curves
#[derive(Args)]
#[command(after_help = "A file for 6 runs, each trained as by `ksom train` with these values of --set:
  name = \"Mine\"
  recipe = \"cifar10\"               # or a recipe file beside this one
  data = \"folder:photos\"           # unless --data says so
  seeds = [0, 1, 2]
  set = [\"steps=2000\", \"validate_every=100\"]
  baseline = \"ema\"                 # the others are compared with it
  topology = true                  # measure the maps too
  [[configurations]]
  name = \"ema\"
  label = \"EMA-VQ\"
  set = [\"neighborhood=none\"]
  [[configurations]]
  name = \"ksom\"
  [[figures]]                      # which share a plot; all where nothing is said
  name = \"both\"
  configurations = [\"ema\", \"ksom\"]

Examples:
  ksom experiment experiments/cifar10-cpu.toml --data cifar10:data/cifar-10-batches-bin --out runs/cifar10-cpu
  ksom experiment experiments/cifar10.toml --out runs/cifar10 --jobs 4")]
pub struct ExperimentArgs {
    /// The experiment: configurations, seeds and what they have in common, in TOML
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The folder for the runs (DIR/CONFIGURATION/seed-N) and the results; the same command goes on where it was
    /// stopped, and on a finished folder only writes the results anew
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The pictures, instead of the file's: a path, or KIND:PATH as for `ksom train`
    #[arg(long, value_name = "DATA", value_parser = data_spec())]
    data: Option<DataSpec>,
    /// Trainings at a time, each with its share of the threads; results do not depend on it
    #[arg(long, value_name = "N", default_value = "1")]
    jobs: NonZeroUsize,
    /// Leave out pictures that cannot be read (all are tried once first), instead of stopping
    #[arg(long)]
    skip_unreadable: bool,
}

/// What came of the experiment.
#[derive(Serialize)]
pub struct ExperimentReport {
    out: PathBuf,
    /// Runs that have ended, and all runs.
    ended: usize,
    runs: usize,
    /// The files of results in `out`.
    files: Vec<String>,
    /// Time of this call in seconds.
    seconds: f64,
    #[serde(flatten)]
    results: ExperimentResults,
    /// What stopped it early, as an exit code.
    #[serde(skip)]
    stopped: Option<u8>,
    /// The command that goes on.
    #[serde(skip)]
    command: String,
}

pub fn run(args: ExperimentArgs, settings: &Settings) -> Result<ExperimentReport> {
    let mut experiment = Experiment::find(&args.file, args.data.as_ref())?;
    experiment.data = fetched(&experiment.data, &settings.console)?;
    let compute = settings.compute_for_training()?;
    let on_unreadable = if args.skip_unreadable { OnUnreadable::Skip } else { OnUnreadable::Fail };
    let access = DataAccess { options: DataOptions { on_unreadable, ..DataOptions::default() }, cache: None };
    let options = ExperimentOptions { jobs: args.jobs, access };
    // What is wrong with data that cannot be opened is for the experiment to say.
    if let Ok(data) = open(&experiment.data, &options.access.options) {
        tell_left_out(&data, &settings.console);
    }
    let before = ExperimentResults::collect(&experiment, &args.out)?;
    let interrupt = Interrupt::listen()?;
    let progress = ExperimentProgress::new(&experiment, &before, &settings.console);
    let started = Instant::now();
    let results = experiment.run(&args.out, &options, &compute, &|run, event| {
        progress.tell(run, &event);
        if interrupt.exit_code().is_none() {
            return Flow::Continue;
        }
        progress.stopping();
        Flow::Stop
    })?;
    drop(progress);
    // Where this process was not told to stop, another one was.
    let elsewhere = (!settings.team.is_alone()).then_some(ENDED_WITH_OTHERS);
    let (ended, runs) = results.ended();
    let files = match settings.team.leads() {
        true => results.write(&args.out).context("the runs are safe, but the results could not be written")?,
        false => Vec::new(),
    };
    // The line is to work in every folder.
    let word = |path: &Path| {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        shell_word(&absolute.display().to_string())
    };
    let data = shell_word(&experiment.data.absolute().to_string());
    let mut command = format!("ksom experiment {} --out {} --data {data}", word(&args.file), word(&args.out));
    if args.skip_unreadable {
        command += " --skip-unreadable";
    }
    Ok(ExperimentReport {
        out: args.out,
        ended,
        runs,
        files,
        seconds: started.elapsed().as_secs_f64(),
        results,
        stopped: if ended < runs { interrupt.exit_code().or(elsewhere) } else { None },
        command,
    })
}

impl ExperimentReport {
    /// Whether a run failed in a way that may not come again: a full disk, a picture that was missing.
    fn may_be_tried_again(&self) -> bool {
        let outcomes = self.results.configurations.iter().flat_map(|configuration| &configuration.runs);
        outcomes
            .filter_map(|run| run.outcome.as_ref())
            .any(|outcome| matches!(outcome, Outcome::Failed { certain: false, .. }))
    }
}

impl Report for ExperimentReport {
    fn blocks(&self) -> Vec<Block> {
        let time = duration(self.seconds);
        let (ended, runs) = (self.ended, self.runs);
        let headline = match self.stopped {
            Some(_) => format!("stopped: {ended} of {runs} runs have ended ({time})"),
            None => format!("{ended} of {runs} runs have ended ({time})"),
        };
        let (header, rows) = self.results.table();
        let mut blocks = vec![Block::Line(headline), table(&header, rows)];
        let (header, rows) = self.results.topology_table();
        if !rows.is_empty() {
            blocks.push(Block::Line(String::new()));
            blocks.push(table(&header, rows));
        }
        for (label, seed, reason) in self.results.failures() {
            blocks.push(Block::Line(format!("failed: {label}, seed {seed}: {reason}")));
        }
        blocks.push(Block::Line(format!("written to {}: {}", self.out.display(), self.files.join(", "))));
        if self.stopped.is_some() || self.may_be_tried_again() {
            blocks.push(Block::Line(format!("next: {}", self.command)));
        }
        blocks
    }

    fn exit_code(&self) -> u8 {
        match self.stopped {
            Some(code) => code,
            None if self.may_be_tried_again() => FAILED,
            None => 0,
        }
    }
}
