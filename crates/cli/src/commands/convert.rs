//! `ksom convert`

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use candle_core::DType;
use clap::Args;
use ksom_datasets::Normalization;
use ksom_vqvae::checkpoint::{ImportOptions, Imported, paper_normalization, weights_path};
use ksom_vqvae::training::NormalizationChoice;
use ksom_vqvae::{Compute, Error, Model, ModelConfig, Recipe};
use serde::Serialize;

use crate::arguments::channels;
use crate::failure::Usage;
use crate::files::{create_folder_of, refuse_input, refuse_stream};
use crate::models;
use crate::output::{Block, Report};
use crate::settings::Settings;

/// Convert PyTorch checkpoints and bare weights to model directories, and models to one file or to half the size
#[derive(Args)]
#[command(after_help = "Examples:
  ksom convert checkpoint.pth models/mine --mean 0.5,0.5,0.5 --std 0.5,0.5,0.5
  ksom convert lightning.ckpt models/mine --recipe cifar10
  ksom convert models/mine weights.safetensors
  ksom convert weights.safetensors models/mine-again
  ksom convert runs/mine models/small --half

Checkpoints of the paper's code say what the model is, and so do weights that this command wrote. For all others name a
configuration: --config (of a model like it) or --recipe. The prefixes of DataParallel, torch.compile and Lightning
are taken off the names.

A checkpoint does not say how its pixels were normalized. Assumed are CIFAR-10's mean and deviation for the task
vq_vae and ImageNet's for vq_vae2; the face models of the paper were trained with 0.5 and 0.5: say so with --mean and
--std. A .pth file is read as data, nothing in it is executed.")]
pub struct ConvertArgs {
    /// A checkpoint (.pth, .pt, .ckpt) or weights (.safetensors), a model directory, or the name of a built-in model
    #[arg(value_name = "FROM")]
    from: String,
    /// The model directory to create, or for a model the .safetensors file to write
    #[arg(value_name = "TO")]
    to: PathBuf,
    /// Store the network's weights as 16-bit floats; codebooks keep 32 bits, and of their averages what the rest does not tell
    #[arg(long)]
    half: bool,
    /// What the model is, for weights that do not tell: a config.json, or a model directory with one
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// The same by the recipe that it was trained with: a built-in one (as of `ksom train`) or a file
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    recipe: Option<String>,
    /// Mean of the pixels in 0..1 that the checkpoint was trained with
    #[arg(long, value_name = "R,G,B", value_parser = channels, requires = "std")]
    mean: Option<[f32; 3]>,
    /// Their standard deviation
    #[arg(long, value_name = "R,G,B", value_parser = channels, requires = "mean")]
    std: Option<[f32; 3]>,
}

/// What was written.
#[derive(Serialize)]
pub struct ConvertReport {
    from: String,
    to: PathBuf,
    normalization: Normalization,
    /// Whether the normalization is the one assumed for the task.
    assumed: bool,
    fingerprint: String,
}

pub fn run(args: ConvertArgs, settings: &Settings) -> Result<ConvertReport> {
    let from = Path::new(&args.from);
    refuse_stream(&args.to)?;
    let given = args.mean.zip(args.std).map(|(mean, std)| Normalization { mean, std });
    // Where it computes does not matter: nothing is computed.
    let compute = Compute::cpu();
    let to_file = args.to.extension().is_some_and(|extension| extension == "safetensors");
    let dtype = if args.half { DType::F16 } else { DType::F32 };
    if (from.is_file() || !to_file) && weights_path(&args.to).exists() {
        bail!("{} holds a model already: choose another folder", args.to.display());
    }
    if from.is_file() {
        let Imported { model, assumed } = import(&args, from, given, &compute)?;
        model.save(&args.to, dtype)?;
        return report(args, &model, assumed);
    }
    if given.is_some() || args.config.is_some() || args.recipe.is_some() {
        let options = "--mean, --std, --config and --recipe";
        bail!(Usage(format!("{options} are for checkpoints and bare weights: a model directory has its own")));
    }
    if args.to.extension().is_some_and(|extension| extension == "pth" || extension == "pt") || (to_file && args.half) {
        bail!(Usage(format!(
            "{} should end in .safetensors (without --half), or be a folder for a model directory",
            args.to.display()
        )));
    }
    let found = models::find(&args.from, settings)?;
    let model = found.load(&compute)?;
    if !to_file {
        model.save(&args.to, dtype)?;
        found.copy_records(&args.to)?;
        return report(args, &model, false);
    }
    let own = found.folder().map(weights_path);
    refuse_input(&args.to, own.as_deref())?;
    create_folder_of(&args.to)?;
    model.write_paper_weights(&args.to)?;
    report(args, &model, false)
}

/// The model that a file of weights holds.
fn import(args: &ConvertArgs, from: &Path, given: Option<Normalization>, compute: &Compute) -> Result<Imported> {
    if let Some(given) = given {
        given.check()?;
    }
    let (config, assumed) = match (&args.config, &args.recipe) {
        (Some(path), _) => {
            let file = if path.is_dir() { path.join("config.json") } else { path.clone() };
            (Some(ModelConfig::read(&file)?), false)
        }
        (None, Some(name)) => {
            let (config, assumed) = config_of(&Recipe::find(name, &[])?);
            (Some(config), assumed && given.is_none())
        }
        (None, None) => (None, false),
    };
    match Model::import(from, &ImportOptions { config, normalization: given }, compute) {
        Ok(imported) => Ok(Imported { assumed: imported.assumed || assumed, ..imported }),
        Err(error @ Error::Unconfigured { .. }) => {
            bail!("{error}: --config PATH (of a model like it) or --recipe NAME (that it was trained with) tells it")
        }
        Err(error) => Err(error.into()),
    }
}

/// What a recipe makes, and whether its normalization, which is measured, had to be assumed.
fn config_of(recipe: &Recipe) -> (ModelConfig, bool) {
    let mut config = ModelConfig::new(recipe.architecture.clone(), recipe.quantizer.clone());
    let (normalization, assumed) = match recipe.data.normalization {
        NormalizationChoice::Given(normalization) => (normalization, false),
        NormalizationChoice::Imagenet => (Normalization::IMAGENET, false),
        NormalizationChoice::Half => (Normalization::HALF, false),
        NormalizationChoice::Measure | NormalizationChoice::Base => {
            (paper_normalization(recipe.architecture.kind), true)
        }
    };
    config.preprocessing.normalization = normalization;
    config.provenance.recipe = Some(recipe.name.clone());
    (config, assumed)
}

fn report(args: ConvertArgs, model: &Model, assumed: bool) -> Result<ConvertReport> {
    let normalization = model.config().preprocessing.normalization;
    Ok(ConvertReport { from: args.from, to: args.to, normalization, assumed, fingerprint: model.fingerprint()? })
}

impl Report for ConvertReport {
    fn blocks(&self) -> Vec<Block> {
        let Normalization { mean, std } = self.normalization;
        let assumed = if self.assumed { ", assumed for its task (--mean and --std say otherwise)" } else { "" };
        vec![
            Block::Line(format!("{} → {}", self.from, self.to.display())),
            Block::Line(format!("normalization: mean {mean:?}, deviation {std:?}{assumed}")),
        ]
    }
}
