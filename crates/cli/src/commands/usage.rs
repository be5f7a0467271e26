//! `ksom usage`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use ksom_datasets::DataSpec;
use ksom_vqvae::figures::{count_codes, usage_map};
use ksom_vqvae::zoo;
use serde::Serialize;

use crate::evaluated::{Chosen, PartArgs, PartName, advised};
use crate::files::{prepare_picture, write_picture};
use crate::models;
use crate::output::{Block, Report, table};
use crate::progress::Counter;
use crate::settings::Settings;
use crate::sheet::sheet;

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

pub fn run(args: UsageArgs, settings: &Settings) -> Result<UsageReport> {
    prepare_picture(&args.output)?;
    let found = models::find(&args.model, settings)?;
    let model = found.load(&settings.compute()?)?;
    let Chosen { part, sources, preprocess, _remarks } = args.pictures.choose(&found, &model, &settings.console)?;
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
    let maps = model.quantizers().into_iter().zip(&counts).map(|(q, counts)| usage_map(q.grid(), counts, args.cell));
    write_picture(&args.output, &sheet(&[maps.collect::<Result<Vec<_>, _>>()?]))?;
    let levels = model.config().architecture.levels().iter().zip(counts);
    Ok(UsageReport {
        levels: levels.map(|(level, counts)| LevelUsage::of(level.name, counts)).collect(),
        model: args.model,
        data: args.pictures.data,
        part,
        output: args.output,
        images,
    })
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
            Block::Line(format!("{} pictures by {}, drawn in {}", self.images, self.model, self.output.display())),
            table(&header, rows.collect()),
        ]
    }
}
