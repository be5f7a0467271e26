//! `ksom finetune`

use anyhow::{Result, bail};
use clap::Args;
use ksom_vqvae::Trainer;
use ksom_vqvae::record::RecordedMetrics;
use ksom_vqvae::training::{Base, base_folder};
use serde::Serialize;

use crate::before_after::{Comparison, compare};
use crate::failure::Usage;
use crate::models::{self, FoundModel};
use crate::output::{Block, Report, significant, table};
use crate::settings::Settings;
use crate::training::{RunReport, TrainingArgs, announce, drive};

/// Train a given model on with your own pictures
#[derive(Args)]
#[command(after_help = "Examples:
  ksom finetune cifar10-ksom --data photos --out runs/photos
  ksom finetune owner/model --data photos --out runs/photos --only decoder

Pictures can be of any size and shape. A fifth of them is kept from training: fine-tuning ends once six validations on
those brought nothing better, and RUN holds the best model, which is the one it began with if nothing was better.")]
pub struct FinetuneArgs {
    /// The model to start from: a model directory, the name of a built-in model, or owner/name[@revision] on the Hub
    /// [default: a built-in one that fits the first picture's size]
    #[arg(value_name = "MODEL")]
    model: Option<String>,
    /// A recipe's name or file; architecture and quantizer are the model's own [default: finetune]
    #[arg(long, value_name = "RECIPE")]
    recipe: Option<String>,
    /// What learns: all, the decoder (codes made before remain good), or the codebook
    #[arg(long, value_name = "PART", value_parser = ["all", "decoder", "codebook"])]
    only: Option<String>,
    /// Begin with a neighborhood as wide as in a new training, so that the map orders itself anew, instead of that
    /// which the model has come to
    #[arg(long)]
    restart_neighborhood: bool,
    /// End after this many validations in a row without a better one; 0: never [default: the recipe's, 6]
    #[arg(long, value_name = "N")]
    patience: Option<u64>,
    #[command(flatten)]
    training: TrainingArgs,
}

/// How the fine-tuning ended.
#[derive(Serialize)]
pub struct FinetuneReport {
    base_model: String,
    /// The base model's commit, where it came from the Hub.
    base_revision: Option<String>,
    /// Validation error of the base model, in normalized units.
    mse_before: Option<f64>,
    /// The same of the best model of this run; absent where it was stopped before its first validation.
    mse_after: Option<f64>,
    /// More of both, once it has ended.
    #[serde(flatten)]
    comparison: Option<Comparison>,
    #[serde(flatten)]
    run: RunReport,
}

pub fn run(mut args: FinetuneArgs, settings: &Settings) -> Result<FinetuneReport> {
    let compute = settings.compute_for_training()?;
    let only = args.only.as_ref().map(|part| format!("training.only={part}"));
    let restart = args.restart_neighborhood.then(|| "training.restart_neighborhood=true".to_string());
    let patience = args.patience.map(|count| format!("training.patience={count}"));
    args.training.set.extend([only, restart, patience].into_iter().flatten());
    let training = &args.training;
    let (base, mut trainer);
    if training.resume {
        trainer = training.resume(args.recipe.as_deref(), &compute)?;
        base = recorded_base(&trainer, &args, settings)?;
    } else {
        let Some(data) = &training.data else { bail!(Usage("--data is needed".to_string())) };
        base = models::find_fitting(args.model.as_deref(), || models::first_size_in(data), settings)?;
        let recipe = training.recipe(args.recipe.as_deref().unwrap_or("finetune"))?;
        let (name, revision) = base.origin();
        let start = Base { model: base.load_trainable(&compute)?, name, revision };
        trainer = Trainer::start(recipe, data, &training.data_access(), &training.out, &compute, Some(start))?;
    }
    announce(&trainer, settings);
    let out = args.training.out;
    let run = drive(&mut trainer, out.clone(), settings)?;
    let comparison = match run.best {
        Some(best) if run.stopped.is_none() => {
            Some(compare(&base.load(&compute)?, &trainer, best.step, &out, settings)?)
        }
        _ => None,
    };
    let (base_model, base_revision) = base.origin();
    let mse_before = RecordedMetrics::read(&out, Some(0)).mse;
    Ok(FinetuneReport {
        base_model,
        base_revision,
        mse_before,
        mse_after: run.best.map(|best| best.mse),
        comparison,
        run,
    })
}

/// The model that the training to be continued was started from.
fn recorded_base(trainer: &Trainer, args: &FinetuneArgs, settings: &Settings) -> Result<FoundModel> {
    let run = args.training.out.display();
    let provenance = &trainer.model().config().provenance;
    let Some(recorded) = &provenance.base_model else {
        bail!("{run} holds a training from scratch: continue it with `ksom train --out {run} --resume`");
    };
    let asked = args.model.as_ref().filter(|asked| **asked != *recorded && !asked.starts_with(&format!("{recorded}@")));
    if let Some(asked) = asked {
        bail!("{run} was started from {recorded}, not from {asked}: leave out MODEL, or start anew in another folder");
    }
    // A folder is looked for where it was, whatever folder this is.
    if let Some(folder) = base_folder(&args.training.out)?.filter(|folder| folder.exists()) {
        return Ok(models::in_folder(recorded, folder));
    }
    let pinned = provenance.base_revision.as_ref().map(|commit| format!("{recorded}@{commit}"));
    models::find(pinned.as_ref().unwrap_or(recorded), settings)
}

impl Report for FinetuneReport {
    fn blocks(&self) -> Vec<Block> {
        let mut blocks = vec![Block::Line(self.run.headline())];
        blocks.push(Block::Line(match (self.mse_before, self.mse_after) {
            (Some(before), Some(after)) => {
                let percent = 100.0 * (after / before - 1.0);
                let worse = if after < before {
                    ""
                } else {
                    ": nothing better was found, so RUN holds the model as it was; try more pictures or another --set lr"
                };
                let (before, after) = (significant(before), significant(after));
                format!("validation mse: {before} before, {after} after ({percent:+.1} %){worse}")
            }
            (before, _) => {
                format!("validation mse: {} before", before.map_or_else(|| "not measured".to_string(), significant))
            }
        }));
        if let Some(Comparison { before, after, picture }) = &self.comparison {
            let rows = [("before", before), ("after", after)].map(|(when, figures)| {
                vec![
                    when.to_string(),
                    significant(figures.mse),
                    format!("{:.2} dB", figures.psnr),
                    format!("{:.4}", figures.ssim),
                    figures.codes_in_use.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                ]
            });
            blocks.push(table(&["validation", "MSE", "PSNR", "SSIM", "codes used"], rows.into()));
            blocks.push(Block::Line(format!("before and after: {}", picture.display())));
        }
        let next = self.run.next_line("finetune");
        blocks.extend([self.run.best_line(), next].map(Block::Line));
        blocks
    }

    fn exit_code(&self) -> u8 {
        self.run.stopped.unwrap_or(0)
    }
}
