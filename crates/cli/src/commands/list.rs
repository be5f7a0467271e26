//! `ksom list`

use anyhow::Result;
use clap::Args;
use ksom_vqvae::RECIPES;
use serde::Serialize;

use crate::commands::info::{architecture_name, quantizer_name};
use crate::models::{BUILT_IN, built_in_config};
use crate::output::{Block, Report, bytes, table};

/// List the models that are known by name, and the recipes
#[derive(Args)]
#[command(after_help = "Example:
  ksom list")]
pub struct ListArgs {}

/// Models and recipes.
#[derive(Serialize)]
pub struct ListReport {
    models: Vec<ListedModel>,
    recipes: Vec<&'static str>,
}

#[derive(Serialize)]
struct ListedModel {
    name: &'static str,
    architecture: &'static str,
    quantizer: &'static str,
    num_codes: usize,
    recipe: Option<String>,
    bytes: u64,
}

pub fn run(_: ListArgs) -> Result<ListReport> {
    let models = BUILT_IN.iter().map(|files| {
        let config = built_in_config(files)?;
        Ok(ListedModel {
            name: files.name,
            architecture: architecture_name(config.architecture.kind),
            quantizer: quantizer_name(config.quantizer.kind, config.quantizer.neighborhood),
            num_codes: config.quantizer.num_codes,
            recipe: config.provenance.recipe,
            bytes: files.weights.len() as u64,
        })
    });
    Ok(ListReport { models: models.collect::<Result<_>>()?, recipes: RECIPES.map(|(name, _)| name).into() })
}

impl Report for ListReport {
    fn blocks(&self) -> Vec<Block> {
        let rows = self.models.iter().map(|model| {
            vec![
                model.name.to_string(),
                model.architecture.to_string(),
                model.quantizer.to_string(),
                model.num_codes.to_string(),
                bytes(model.bytes),
            ]
        });
        vec![
            table(&["model", "architecture", "quantiser", "codes", "weights"], rows.collect()),
            Block::Line(String::new()),
            Block::Line(format!("recipes: {}", self.recipes.join(", "))),
        ]
    }
}
