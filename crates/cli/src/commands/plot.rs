//! `ksom plot`

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use ksom_vqvae::figures::{chart_picture, chart_svg, training_charts};
use ksom_vqvae::system::write_atomic;
use serde::Serialize;

use crate::files::{create_folder_of, is_svg, prepare_picture, write_picture};
use crate::output::{Block, Report};

/// The longest name of a run in the legend, in characters.
const LONGEST_LABEL: usize = 32;

/// Draw the curves of trainings: loss, validation loss, perplexity
#[derive(Args)]
#[command(after_help = "Examples:
  ksom plot runs/ksom runs/ema -o curves.svg
  ksom plot runs/ksom -o curves.png")]
pub struct PlotArgs {
    /// Run directories
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// The drawing, such as curves.svg or curves.png (replaced if it is there)
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
    let svg = is_svg(&args.output);
    if !svg {
        prepare_picture(&args.output)?;
    }
    let runs: Vec<(String, PathBuf)> = args.runs.iter().map(|run| (label(run), run.clone())).collect();
    let charts = training_charts(&runs)?;
    if svg {
        create_folder_of(&args.output)?;
        write_atomic(&args.output, chart_svg(&charts)?.as_bytes())?;
    } else {
        write_picture(&args.output, &chart_picture(&charts)?)?;
    }
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
