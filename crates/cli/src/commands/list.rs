//! `ksom list`

use anyhow::Result;
use clap::Args;
use ksom_vqvae::hub::CachedModel;
use ksom_vqvae::record::RecordedMetrics;
use ksom_vqvae::training::RECIPES;
use ksom_vqvae::zoo::{ModelFiles, ZOO};
use ksom_vqvae::{Hub, ModelConfig};
use serde::Serialize;

use crate::console::say;
use crate::models::built_in_config;
use crate::output::{Block, NO_NUMBER, Report, architecture_name, bytes, pictures, sides, table};

/// List the models that are known by name, those pulled from the Hub, and the recipes
#[derive(Args)]
#[command(after_help = "Example:
  ksom list")]
pub struct ListArgs {}

/// Models and recipes.
#[derive(Serialize)]
pub struct ListReport {
    models: Vec<ZooModel>,
    cached: Vec<HubModel>,
    recipes: Vec<&'static str>,
}

/// A model that comes with this program.
#[derive(Serialize)]
struct ZooModel {
    name: &'static str,
    #[serde(flatten)]
    what: Description,
    #[serde(flatten)]
    metrics: RecordedMetrics,
    sha256: String,
}

/// A model in the Hub's cache.
#[derive(Serialize)]
struct HubModel {
    repository: String,
    commit: String,
    /// Branches and tags that were found to be this commit.
    revisions: Vec<String>,
    #[serde(flatten)]
    what: Description,
}

/// What a configuration says.
#[derive(Serialize)]
struct Description {
    architecture: &'static str,
    quantizer: &'static str,
    num_codes: usize,
    grid: Vec<usize>,
    recipe: Option<String>,
    data: Option<String>,
    /// Whether no training is behind the weights.
    untrained: bool,
    /// Size of the weights.
    bytes: u64,
}

pub fn run(_: ListArgs) -> Result<ListReport> {
    let models = ZOO.iter().map(zoo_model).collect::<Result<_>>()?;
    // Without a home directory there is no cache, and nothing in it.
    let cached = Hub::from_env().map(|hub| hub.cached_models()).unwrap_or_default();
    let (cached, unused): (Vec<_>, Vec<_>) = cached.into_iter().partition(Result::is_ok);
    for error in unused.into_iter().filter_map(Result::err) {
        say(&format!("warning: {error}"));
    }
    let cached = cached.into_iter().flatten();
    let cached = cached.map(|CachedModel { model, revisions, config, bytes, .. }| HubModel {
        repository: model.repository,
        commit: model.commit,
        revisions,
        what: describe(config, bytes),
    });
    Ok(ListReport { models, cached: cached.collect(), recipes: RECIPES.map(|(name, _)| name).into() })
}

fn zoo_model(files: &ModelFiles) -> Result<ZooModel> {
    let config = built_in_config(files)?;
    Ok(ZooModel {
        name: files.name,
        metrics: RecordedMetrics::parse(files.metrics, config.provenance.steps),
        sha256: ksom_vqvae::system::sha256(files.weights),
        what: describe(config, files.weights.len() as u64),
    })
}

fn describe(config: ModelConfig, bytes: u64) -> Description {
    Description {
        architecture: architecture_name(config.architecture.kind),
        quantizer: config.quantizer.name(),
        untrained: config.is_untrained(),
        num_codes: config.quantizer.num_codes,
        grid: config.quantizer.grid,
        recipe: config.provenance.recipe,
        data: config.provenance.data,
        bytes,
    }
}

impl Report for ListReport {
    fn blocks(&self) -> Vec<Block> {
        let number = |value: Option<f64>, digits: usize, unit: &str| {
            value.map_or_else(|| NO_NUMBER.to_string(), |value| format!("{value:.digits$}{unit}"))
        };
        let row = |model: &ZooModel| {
            let codes = model.metrics.codes.iter().map(|[used, all]| format!("{used} of {all}")).collect::<Vec<_>>();
            vec![
                model.name.to_string(),
                model.what.architecture.to_string(),
                model.what.quantizer.to_string(),
                sides(&model.what.grid),
                number(model.metrics.psnr, 2, " dB"),
                number(model.metrics.ssim, 4, ""),
                number(model.metrics.mse, 4, ""),
                codes.join(", "),
                number(model.metrics.bits_per_pixel, 4, ""),
                bytes(model.what.bytes),
                model.sha256.chars().take(12).collect(),
            ]
        };
        let header = [
            "model",
            "architecture",
            "quantizer",
            "grid",
            "PSNR",
            "SSIM",
            "MSE",
            "codes in use",
            "bits/pixel",
            "weights",
            "SHA-256",
        ];
        // Figures on different data say nothing about each other: a table for each.
        let mut blocks = Vec::new();
        for of_data in self.models.chunk_by(|a, b| a.metrics.measured_on == b.metrics.measured_on) {
            let measured = of_data[0].metrics.measured_on.as_deref().unwrap_or("data that were not recorded");
            let images = of_data[0].metrics.images.map(|images| pictures(images as usize) + " of ").unwrap_or_default();
            blocks.push(Block::Line(format!("built in, measured on {images}{measured}:")));
            blocks.extend([table(&header, of_data.iter().map(row).collect()), Block::Line(String::new())]);
        }
        if !self.cached.is_empty() {
            let rows = self.cached.iter().map(|model| {
                vec![
                    model.repository.clone(),
                    model.revisions.join(", "),
                    model.commit.chars().take(12).collect(),
                    model.what.architecture.to_string(),
                    model.what.quantizer.to_string(),
                    sides(&model.what.grid),
                    bytes(model.what.bytes),
                    if model.what.untrained { "untrained" } else { "" }.to_string(),
                ]
            });
            let header = ["from the Hub", "revision", "commit", "architecture", "quantizer", "grid", "weights", ""];
            blocks.extend([table(&header, rows.collect()), Block::Line(String::new())]);
        }
        blocks.push(Block::Line(format!("recipes: {}", self.recipes.join(", "))));
        blocks
    }
}
