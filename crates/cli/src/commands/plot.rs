//! `ksom plot`

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use ksom_vqvae::figures::training_curves_svg;
use ksom_vqvae::system::write_atomic;
use serde::Serialize;

use crate::failure::Usage;
use crate::files::{create_folder_of, is_svg};
use crate::output::{Block, Report};

/// The longest name of a run in the legend, in characters.
const LONGEST_LABEL: usize = 32;

/// Draw the curves of trainings: loss, validation loss, perplexity
#[derive(Args)]
#[command(after_help = "Example:
  ksom plot runs/ksom runs/ema -o curves.svg")]
pub struct PlotArgs {
    /// Run directories
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// The drawing, such as curves.svg (replaced if it is there)
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// What was drawn.
#[derive(Serialize)]
pub struct PlotReport {
    output: PathBuf,
    runs: Vec<PathBuf>,
}

pub fn run(args: PlotArgs) -> Result<PlotReport> {
    if !is_svg(&args.output) {
        bail!(Usage(format!("{} should end in .svg", args.output.display())));
    }
    let runs: Vec<(String, PathBuf)> = args.runs.iter().map(|run| (label(run), run.clone())).collect();
    let svg = training_curves_svg(&runs)?;
    create_folder_of(&args.output)?;
    write_atomic(&args.output, svg.as_bytes())?;
    Ok(PlotReport { output: args.output, runs: args.runs })
}

/// A run's name in the legend: the end of its path.
fn label(run: &Path) -> String {
    let text = run.display().to_string();
    let surplus = text.chars().count().saturating_sub(LONGEST_LABEL);
    if surplus == 0 { text } else { format!("…{}", text.chars().skip(surplus + 1).collect::<String>()) }
}

impl Report for PlotReport {
    fn blocks(&self) -> Vec<Block> {
        let count = self.runs.len();
        let runs = if count == 1 { "1 run".to_string() } else { format!("{count} runs") };
        vec![Block::Line(format!("curves of {runs} in {}", self.output.display()))]
    }
}
