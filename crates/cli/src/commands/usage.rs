//! `ksom usage`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use ksom_datasets::DataSpec;
use ksom_vqvae::figures::{GridLayout, Sheet, SheetCell, SheetRow, count_codes, outlined, usage_map, usage_scale};
use ksom_vqvae::image::RgbImage;
use ksom_vqvae::{Model, zoo};
use serde::Serialize;

use crate::data::fetched;
use crate::evaluated::{Chosen, PartArgs, PartName, advised};
use crate::files::{prepare_picture, write_picture};
use crate::models;
use crate::output::{Block, Report, grouped, sides, table};
use crate::progress::Counter;
use crate::settings::Settings;

/// Draw how often a data set uses each code, on the grid
#[derive(Args)]
#[command(
    after_help = "The darker a code's cell, the more often it is used, by the square root of its share of the most
frequent code's; gray cells are never used. Cells lie as in `ksom map`; levels stand side by side.

Example:
  ksom usage cifar10-ksom --data cifar10:data/cifar-10-batches-bin -o usage.png"
)]
pub struct UsageArgs {
    /// A model directory, the name of a built-in model (`ksom list`), or owner/name[@revision] on the Hub
    #[arg(value_name = "MODEL", default_value = zoo::DEFAULT)]
    model: String,
    #[command(flatten)]
    pictures: PartArgs,
    /// The picture, such as usage.png (replaced if it is there)
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Pixels of a code's side
    #[arg(long, value_name = "PIXELS", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    cell: u32,
}

/// What was counted and drawn.
#[derive(Serialize)]
pub struct UsageReport {
    model: String,
    data: DataSpec,
    part: PartName,
    /// Which pictures these are, of how many.
    pictures: String,
    output: PathBuf,
    images: usize,
    levels: Vec<LevelUsage>,
}

#[derive(Serialize)]
struct LevelUsage {
    level: &'static str,
    codes_in_use: usize,
    perplexity: f64,
    /// The most frequent code, and its share of all.
    most_used: usize,
    share: f64,
    /// How often each code was chosen.
    counts: Vec<u64>,
}

pub fn run(mut args: UsageArgs, settings: &Settings) -> Result<UsageReport> {
    args.pictures.data = fetched(&args.pictures.data, &settings.console)?;
    prepare_picture(&args.output)?;
    let found = models::find(&args.model, settings)?;
    let model = found.load(&settings.compute()?)?;
    let Chosen { part, sources, preprocess, taken, _remarks } =
        args.pictures.choose(&found, &model, &settings.console)?;
    let images = sources.iter().map(|(_, source)| source.len()).sum();
    let counter = Counter::new(&settings.console, images, "pictures");
    let mut done = 0;
    let mut counts: Vec<Vec<u64>> = model.quantizers().iter().map(|q| vec![0; q.grid().len()]).collect();
    for (set, source) in &sources {
        let batch_size = args.pictures.batch_size.into();
        let of_set = count_codes(&model, source, preprocess, batch_size, &mut |images| counter.set(done + images))
            .map_err(|error| advised(error, format!("cannot encode {set}")))?;
        done += source.len();
        for (sum, count) in counts.iter_mut().flatten().zip(of_set.iter().flatten()) {
            *sum += count;
        }
    }
    let levels: Vec<LevelUsage> = model
        .config()
        .architecture
        .levels()
        .iter()
        .zip(counts)
        .map(|(level, counts)| LevelUsage::of(level.name, counts))
        .collect();
    let manner = args.pictures.manner();
    let note = format!("how often {} uses each code: {taken}; {manner}", args.pictures.name());
    write_picture(&args.output, &draw(&model, &levels, args.cell, &args.model, note)?)?;
    Ok(UsageReport {
        levels,
        pictures: taken,
        model: args.model,
        data: args.pictures.data,
        part,
        output: args.output,
        images,
    })
}

/// The levels' grids beside each other, each with its scale below it.
fn draw(model: &Model, levels: &[LevelUsage], cell: u32, name: &str, note: String) -> Result<RgbImage> {
    const SCALE_HEIGHT: u32 = 12;
    let (mut maps, mut scales, mut columns) = (Vec::new(), Vec::new(), Vec::new());
    for (level, quantizer) in levels.iter().zip(model.quantizers()) {
        let picture = usage_map(quantizer.grid(), &level.counts, cell)?;
        let used = format!("{} of {} used, perplexity {:.1}", level.codes_in_use, level.counts.len(), level.perplexity);
        columns.push(format!("{}, grid {}", level.level, sides(quantizer.grid().shape())));
        let width = GridLayout::new(quantizer.grid(), cell).size().0.clamp(64, 256);
        let most = level.counts.get(level.most_used).copied().unwrap_or(0);
        let most = format!("gray: never; up to {} times (code {})", grouped(most as usize), level.most_used);
        maps.push(SheetCell { picture, caption: used });
        scales.push(SheetCell { picture: outlined(usage_scale(width, SCALE_HEIGHT)), caption: most });
    }
    let rows = [maps, scales].map(|cells| SheetRow { title: String::new(), cells }).into();
    Ok(Sheet { title: name.to_string(), notes: vec![note], columns, rows }.draw()?)
}

impl LevelUsage {
    fn of(level: &'static str, counts: Vec<u64>) -> Self {
        let total = counts.iter().sum::<u64>().max(1) as f64;
        let shares = counts.iter().filter(|&&count| count > 0).map(|&count| count as f64 / total);
        let entropy: f64 = shares.map(|share| -share * share.ln()).sum();
        let most_used = (0..counts.len()).rev().max_by_key(|&code| counts[code]).unwrap_or(0);
        Self {
            level,
            codes_in_use: counts.iter().filter(|&&count| count > 0).count(),
            perplexity: entropy.exp(),
            most_used,
            share: counts.get(most_used).copied().unwrap_or(0) as f64 / total,
            counts,
        }
    }
}

impl Report for UsageReport {
    fn blocks(&self) -> Vec<Block> {
        let rows = self.levels.iter().map(|level| {
            vec![
                level.level.to_string(),
                level.codes_in_use.to_string(),
                level.counts.len().to_string(),
                format!("{:.1}", level.perplexity),
                level.most_used.to_string(),
                format!("{:.2} %", 100.0 * level.share),
            ]
        });
        let header = ["level", "used", "of", "perplexity", "most used code", "its share"];
        vec![
            Block::Line(format!(
                "{} on {}: {}; drawn in {}",
                self.model,
                PartArgs::shown(&self.data),
                self.pictures,
                self.output.display()
            )),
            table(&header, rows.collect()),
        ]
    }
}
