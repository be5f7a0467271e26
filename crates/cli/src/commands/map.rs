//! `ksom map`

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use ksom_vqvae::figures::{Framed, GridLayout, MapOptions, code_map, most_used_code};
use ksom_vqvae::zoo;
use serde::Serialize;

use crate::failure::Usage;
use crate::files::{prepare_picture, write_picture};
use crate::models;
use crate::output::{Block, Report, sides};
use crate::progress::Counter;
use crate::settings::Settings;

/// Draw what each code looks like, in its place on the grid
#[derive(Args)]
#[command(
    after_help = "Each code is decoded alone, as a field so large that its borders cannot be seen in the middle, of
which 2 × 2 steps of the model's stride are shown (8 × 8 pixels of a VQ-VAE). The grid's first axis
runs to the right, the second downwards: code k lies at (k mod W, k div W) on a grid of W×H. Slices
along a third axis stand side by side; a grid of one axis is wrapped into lines. The numbers at the
sides are places along the axes, or the first code of each line.

Examples:
  ksom map cifar10-ksom -o map.png
  ksom map runs/faces -o map.png --level top --fixed 17"
)]
pub struct MapArgs {
    /// A model directory, the name of a built-in model (`ksom list`), or owner/name[@revision] on the Hub
    #[arg(value_name = "MODEL", default_value = zoo::DEFAULT)]
    model: String,
    /// The picture, such as map.png (replaced if it is there)
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Of a VQ-VAE-2: the level whose codes are shown [default: bottom, whose codes say what things
    /// look like; those of the top level only tint them]
    #[arg(long, value_enum)]
    level: Option<LevelName>,
    /// Of a VQ-VAE-2: the code that fills the other level [default: the one that training has used most]
    #[arg(long, value_name = "CODE")]
    fixed: Option<usize>,
    /// Each pixel of a tile becomes a square of so many
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    enlarge: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LevelName {
    Top,
    Bottom,
}

/// What was drawn.
#[derive(Serialize)]
pub struct MapReport {
    model: String,
    output: PathBuf,
    level: &'static str,
    grid: Vec<usize>,
    /// The code that fills the other level, where there is one.
    fixed: Option<usize>,
    /// Where the map begins on the picture, its sides, and pixels of a code's side.
    left: u32,
    top: u32,
    width: u32,
    height: u32,
    cell: u32,
}

pub fn run(args: MapArgs, settings: &Settings) -> Result<MapReport> {
    prepare_picture(&args.output)?;
    let model = models::find(&args.model, settings)?.load(&settings.compute()?)?;
    let architecture = model.config().architecture.clone();
    let levels = architecture.levels();
    if architecture.stages > 1 {
        bail!("{}: a map shows each code alone, but here {} of them add up", args.model, architecture.stages);
    }
    if levels.len() == 1 && (args.level.is_some() || args.fixed.is_some()) {
        bail!(Usage(format!("{} has one level of codes: leave out --level and --fixed", args.model)));
    }
    let level = match args.level {
        Some(LevelName::Top) => 0,
        Some(LevelName::Bottom) => 1,
        None => levels.len() - 1,
    };
    let fixed = match (levels.len(), args.fixed) {
        (1, _) => None,
        (_, Some(code)) => Some(code),
        (_, None) => Some(most_used_code(&model, 1 - level)?),
    };
    let quantizer = &model.config().quantizer;
    let counter = Counter::new(&settings.console, quantizer.num_codes, "codes");
    let options = MapOptions { level, fixed: fixed.unwrap_or(0), enlarge: args.enlarge };
    let map = code_map(&model, &options, &mut |codes| counter.set(codes))?;
    let cell = options.cell(&model);
    let (across, down) = match model.quantizers().get(level) {
        Some(quantizer) => GridLayout::new(quantizer.grid(), cell).marks(),
        None => Default::default(),
    };
    let scale = if args.enlarge > 1 { format!(", ×{}", args.enlarge) } else { String::new() };
    let fill = fixed.map(|code| format!("; the other level is filled with code {code}")).unwrap_or_default();
    let notes = vec![format!(
        "codes{} on their grid of {}, each decoded alone, {} pixels{scale}{fill}",
        ["", " of the top level", " of the bottom level"][if levels.len() == 1 { 0 } else { level + 1 }],
        sides(&quantizer.grid),
        sides(&[2 * architecture.stride(); 2]),
    )];
    let (picture, (left, top)) = Framed { title: args.model.clone(), notes, across, down }.draw(&map)?;
    write_picture(&args.output, &picture)?;
    Ok(MapReport {
        left,
        top,
        level: levels[level].name,
        grid: quantizer.grid.clone(),
        fixed,
        width: map.width(),
        height: map.height(),
        cell,
        model: args.model,
        output: args.output,
    })
}

impl Report for MapReport {
    fn blocks(&self) -> Vec<Block> {
        let fixed = self.fixed.map(|code| format!(", the other level filled with code {code}")).unwrap_or_default();
        vec![Block::Line(format!(
            "{} of {} on their grid of {}, {} pixels each{fixed}, in {}",
            self.level,
            self.model,
            sides(&self.grid),
            sides(&[self.cell; 2]),
            self.output.display()
        ))]
    }
}
