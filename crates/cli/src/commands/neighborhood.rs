//! `ksom neighborhood`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use ksom_quantizers::QuantizerConfig;
use ksom_vqvae::Recipe;
use ksom_vqvae::figures::{neighborhood_picture, neighborhood_svg};
use ksom_vqvae::system::write_atomic;
use serde::Serialize;

use crate::files::{create_folder_of, is_svg, prepare_picture, write_picture};
use crate::models;
use crate::output::{Block, Report};
use crate::settings::Settings;
use crate::training::key_value;

/// Pixels of a code's side.
const CELL: u32 = 8;

/// Draw the shapes of hard and gaussian neighborhoods, early and late in training
#[derive(Args)]
#[command(
    after_help = "As .svg: how much a code learns over its distance on the grid, a line for each step. As .png: the
neighborhood of the code in the middle of the grid, hard above gaussian, steps from left to right.

Examples:
  ksom neighborhood -o shapes.svg
  ksom neighborhood --model runs/ksom --steps 0,100,10000 -o shapes.png"
)]
pub struct NeighborhoodArgs {
    /// The recipe whose grid and shrinking are drawn: a name (cifar10, photos, imagenet, faces, finetune) or a file
    #[arg(long, value_name = "RECIPE", default_value = "cifar10", conflicts_with = "model")]
    recipe: String,
    /// Another value for a field of the recipe, such as shrink_step=1; can be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, conflicts_with = "model")]
    set: Vec<String>,
    /// A model instead of a recipe
    #[arg(long, short, value_name = "MODEL")]
    model: Option<String>,
    /// Training steps, separated by commas
    #[arg(long, value_name = "STEPS", value_delimiter = ',', num_args = 1, default_value = "0,10,100,1000")]
    steps: Vec<u64>,
    /// The drawing, such as shapes.svg or shapes.png (replaced if it is there)
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// What was drawn.
#[derive(Serialize)]
pub struct NeighborhoodReport {
    output: PathBuf,
    steps: Vec<u64>,
    shrink_step: f64,
    gaussian_base: f64,
}

pub fn run(args: NeighborhoodArgs, settings: &Settings) -> Result<NeighborhoodReport> {
    let config: QuantizerConfig = match &args.model {
        Some(name) => models::find(name, settings)?.load(&settings.compute()?)?.config().quantizer.clone(),
        None => Recipe::find(&args.recipe, &args.set)?.quantizer,
    };
    if is_svg(&args.output) {
        let svg = neighborhood_svg(&config, &args.steps)?;
        create_folder_of(&args.output)?;
        write_atomic(&args.output, svg.as_bytes())?;
    } else {
        prepare_picture(&args.output)?;
        write_picture(&args.output, &neighborhood_picture(&config, &args.steps, CELL)?)?;
    }
    let QuantizerConfig { shrink_step, gaussian_base, .. } = config;
    Ok(NeighborhoodReport { output: args.output, steps: args.steps, shrink_step, gaussian_base })
}

impl Report for NeighborhoodReport {
    fn blocks(&self) -> Vec<Block> {
        let steps: Vec<String> = self.steps.iter().map(ToString::to_string).collect();
        vec![Block::Line(format!(
            "neighborhoods at steps {} (shrink step {}, gaussian base {}) in {}",
            steps.join(", "),
            self.shrink_step,
            self.gaussian_base,
            self.output.display()
        ))]
    }
}
