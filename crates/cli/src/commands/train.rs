//! `ksom train`

use anyhow::Result;
use clap::Args;
use ksom_vqvae::Trainer;
use ksom_vqvae::training::RECIPES;
use serde::Serialize;

use crate::data::fetched;
use crate::failure::Usage;
use crate::output::{Block, Report};
use crate::settings::Settings;
use crate::training::{RunReport, TrainingArgs, announce, drive};

/// Train a model from scratch
#[derive(Args)]
#[command(after_help = "Examples:
  ksom train --recipe cifar10 --data cifar10:data/cifar-10-batches-bin --out runs/ksom
  ksom train --recipe cifar10 --data photos --out runs/small --set 'size=[64,64]' --steps 2000
  ksom train --out runs/ksom --resume")]
pub struct TrainArgs {
    /// A recipe's name (cifar10, photos, imagenet, faces, finetune) or file
    #[arg(long, value_name = "RECIPE", required_unless_present = "resume")]
    recipe: Option<String>,
    #[command(flatten)]
    training: TrainingArgs,
}

/// How the training ended.
#[derive(Serialize)]
pub struct TrainReport {
    #[serde(flatten)]
    run: RunReport,
}

pub fn run(args: TrainArgs, settings: &Settings) -> Result<TrainReport> {
    let compute = settings.compute_for_training()?;
    let training = &args.training;
    let mut trainer = if training.resume {
        training.resume(args.recipe.as_deref(), None, &compute, &settings.console)?
    } else {
        let (Some(name), Some(data)) = (&args.recipe, &training.data) else {
            let known = RECIPES.map(|(name, _)| name).join(", ");
            return Err(Usage(match &args.recipe {
                Some(recipe) => without_data(recipe, &training.out),
                None => format!("--recipe ({known}, or a file) and --data are needed"),
            })
            .into());
        };
        let data = &fetched(data, &settings.console)?;
        let recipe = training.recipe(name)?;
        Trainer::start(recipe, data, &training.data_access(), &training.out, &compute, None)?
    };
    announce(&trainer, settings);
    Ok(TrainReport { run: drive(&mut trainer, args.training.out, settings)? })
}

/// What is said where no data are named.
fn without_data(recipe: &str, out: &std::path::Path) -> String {
    let fetches = match recipe {
        "cifar10" => format!(
            "; CIFAR-10 itself (144 MB) is fetched by: ksom train --recipe cifar10 --data hub:uoft-cs/cifar10 --out {}",
            out.display()
        ),
        _ => "; hub:OWNER/NAME is a data set on the Hub".to_string(),
    };
    format!("--data is needed: pictures to train on{fetches}")
}

impl Report for TrainReport {
    fn blocks(&self) -> Vec<Block> {
        let mut blocks = vec![Block::Line(self.run.headline()), Block::Line(self.run.best_line())];
        blocks.extend(self.run.together_line());
        blocks.push(self.run.next_line("train"));
        blocks
    }

    fn exit_code(&self) -> u8 {
        self.run.stopped.unwrap_or(0)
    }
}
