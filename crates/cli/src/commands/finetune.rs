//! `ksom finetune`

use anyhow::{Result, bail};
use clap::Args;
use ksom_datasets::NamedSource;
use ksom_vqvae::{Base, EvaluateOptions, Model, Trainer, evaluate};
use serde::Serialize;

use crate::failure::Usage;
use crate::models;
use crate::output::{Block, Report, significant};
use crate::progress::Counter;
use crate::settings::Settings;
use crate::training::{RunReport, TrainingArgs, announce, drive};

/// Train a given model on with your own pictures
#[derive(Args)]
#[command(after_help = "Example:
  ksom finetune cifar10-ksom --data photos --out runs/photos --steps 300")]
pub struct FinetuneArgs {
    /// The model to start from: a model directory, or the name of a built-in model [default: cifar10-ksom]
    #[arg(value_name = "MODEL")]
    model: Option<String>,
    /// A recipe's name or file; architecture, quantiser and normalisation are the model's own [default: finetune]
    #[arg(long, value_name = "RECIPE")]
    recipe: Option<String>,
    #[command(flatten)]
    training: TrainingArgs,
}

/// How the fine-tuning ended.
#[derive(Serialize)]
pub struct FinetuneReport {
    base_model: String,
    /// Validation error of the base model, in its normalised units.
    mse_before: f64,
    /// The same of the best model of this run; absent where it was stopped before its first validation.
    mse_after: Option<f64>,
    #[serde(flatten)]
    run: RunReport,
}

pub fn run(args: FinetuneArgs, settings: &Settings) -> Result<FinetuneReport> {
    let compute = settings.compute_for_training()?;
    let training = &args.training;
    let (base_model, mut trainer, mse_before);
    if training.resume {
        trainer = training.resume(args.recipe.as_deref(), &compute)?;
        base_model = recorded_base(&trainer, &args)?;
        mse_before = validation_mse(&models::find(&base_model)?.load(&compute)?, &trainer, settings)?;
    } else {
        let Some(data) = &training.data else { bail!(Usage("--data is needed".to_string())) };
        base_model = args.model.clone().unwrap_or_else(|| models::DEFAULT.to_string());
        let model = models::find(&base_model)?.load_trainable(&compute)?;
        let recipe = training.recipe(args.recipe.as_deref().unwrap_or("finetune"))?;
        let base = Base { model, name: base_model.clone() };
        trainer = Trainer::start(recipe, data, &training.data_access(), &training.out, &compute, Some(base))?;
        mse_before = validation_mse(trainer.model(), &trainer, settings)?;
    }
    announce(&trainer, settings);
    settings.console.note(&format!("validation mse before fine-tuning: {}", significant(mse_before)));
    let run = drive(&mut trainer, args.training.out, settings)?;
    Ok(FinetuneReport { base_model, mse_before, mse_after: run.best.map(|best| best.mse), run })
}

/// The model that the training to be continued was started from.
fn recorded_base(trainer: &Trainer, args: &FinetuneArgs) -> Result<String> {
    let run = args.training.out.display();
    let Some(recorded) = trainer.model().config().provenance.base_model.clone() else {
        bail!("{run} holds a training from scratch: continue it with `ksom train --out {run} --resume`");
    };
    if let Some(asked) = args.model.as_ref().filter(|asked| **asked != recorded) {
        bail!("{run} was started from {recorded}, not from {asked}: leave out MODEL, or start anew in another folder");
    }
    Ok(recorded)
}

/// A model's error on the validation pictures of a training: the mean over its sets.
fn validation_mse(model: &Model, trainer: &Trainer, settings: &Settings) -> Result<f64> {
    let recipe = trainer.recipe();
    let options =
        EvaluateOptions { preprocess: recipe.data.preprocess(), batch_size: recipe.training.batch_size, full: false };
    let sets = &trainer.data().valid;
    let total = sets.iter().map(|(_, source): &NamedSource| source.len()).sum();
    let counter = Counter::new(&settings.console, total, "pictures validated");
    let (mut sum, mut done) = (0.0, 0);
    for (_, source) in sets {
        let evaluation = evaluate(model, source, &options, &mut |images| counter.set(done + images))?;
        done += evaluation.images;
        sum += evaluation.mse;
    }
    Ok(sum / sets.len() as f64)
}

impl Report for FinetuneReport {
    fn blocks(&self) -> Vec<Block> {
        let change = match self.mse_after {
            Some(after) => {
                let percent = 100.0 * (after / self.mse_before - 1.0);
                let worse =
                    if after < self.mse_before { "" } else { ": no better, try more --steps or another --set lr" };
                format!(
                    "validation mse: {} before, {} after ({percent:+.1} %){worse}",
                    significant(self.mse_before),
                    significant(after)
                )
            }
            None => format!("validation mse: {} before", significant(self.mse_before)),
        };
        let next = self.run.next_line("finetune");
        [self.run.headline(), change, self.run.best_line(), next].map(Block::Line).into()
    }

    fn exit_code(&self) -> u8 {
        self.run.stopped.unwrap_or(0)
    }
}
