//! `ksom finetune`

use anyhow::{Result, bail};
use clap::Args;
use ksom_vqvae::Trainer;
use ksom_vqvae::evaluation::{PairedChange, Verdict};
use ksom_vqvae::record::RecordedMetrics;
use ksom_vqvae::training::{Base, base_folder, resize_map};
use serde::Serialize;

use crate::before_after::{Comparison, compare};
use crate::data::fetched;
use crate::failure::Usage;
use crate::models::{self, FoundModel};
use crate::output::{Block, Report, pictures, sides, table};
use crate::settings::Settings;
use crate::training::{RunReport, TrainingArgs, announce, drive};

/// Train a model further, on your own pictures
#[derive(Args)]
#[command(after_help = "Examples:
  ksom finetune cifar10-ksom --data photos --out runs/photos
  ksom finetune owner/model --data photos --out runs/photos --only decoder
  ksom finetune photos-ksom --data photos --out runs/photos --num-codes 4096 --steps 8000

Pictures can be of any size and shape, and are not enlarged: parts of them are trained on, as large as the smallest
picture and as the base model was trained with (64 pixels at least), or of the size that --set 'size=[W,H]' asks for. They
are cut into three parts: a fifth is validated on, and once six validations brought nothing better the tuning ends; another
fifth (or the data set's own test part) is kept from all that and judges the base model and the tuned one alike, on whole
pictures at their own size. RUN holds the model that validated best, which is the one it began with if nothing was better.")]
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
    /// Stretch the map to this many codes first: new ones lie between the old ones
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    num_codes: Option<u32>,
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
    /// Width and height of the parts that were trained on.
    size: Option<[u32; 2]>,
    /// How many pictures were enlarged to that size, because it was asked for.
    enlarged: usize,
    /// The base model's error on the parts that early stopping went by, in normalized units: it says when to stop, and
    /// not how good the model is.
    validation_mse_before: Option<f64>,
    /// The same of the best model of this run; absent where it was stopped before its first validation.
    validation_mse_after: Option<f64>,
    /// Both models on pictures that neither training nor early stopping saw, once it has ended.
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
    let (training, num_codes) = (&args.training, args.num_codes.map(|count| count as usize));
    let (base, mut trainer);
    if training.resume {
        trainer = training.resume(args.recipe.as_deref(), num_codes, &compute, &settings.console)?;
        base = recorded_base(&trainer, &args, settings)?;
    } else {
        let Some(data) = &training.data else { bail!(Usage("--data is needed".to_string())) };
        // Before anything is fetched.
        let recipe = training.recipe_to_tune(args.recipe.as_deref().unwrap_or("finetune"))?;
        let data = &fetched(data, &settings.console)?;
        base = models::find_fitting(args.model.as_deref(), || models::first_size_in(data), settings)?;
        let (name, revision) = base.origin();
        let mut model = base.load_trainable(&compute)?;
        if let Some(num_codes) = num_codes {
            model = resize_map(&model, num_codes)?;
        }
        let start = Base { model, name, revision };
        trainer = Trainer::start(recipe, data, &training.data_access(), &training.out, &compute, Some(start))?;
    }
    announce(&trainer, settings);
    let out = args.training.out;
    let run = drive(&mut trainer, out.clone(), settings)?;
    let (base_model, base_revision) = base.origin();
    let comparison = match run.best {
        Some(best) if run.stopped.is_none() && trainer.leads() => {
            compare((&base.load(&compute)?, &base_model), &trainer, best.step, &out, settings)?
        }
        _ => None,
    };
    Ok(FinetuneReport {
        base_model,
        base_revision,
        size: trainer.recipe().data.size,
        enlarged: trainer.enlarged(),
        validation_mse_before: RecordedMetrics::validation_mse(&out, 0),
        validation_mse_after: run.best.map(|best| best.mse),
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

impl FinetuneReport {
    /// What the comparison comes to, in a sentence or two.
    fn verdict(&self, comparison: &Comparison) -> String {
        let Comparison { before, after, change, judged_on, .. } = comparison;
        let bits = match before.bits_per_pixel == after.bits_per_pixel {
            true => String::new(),
            false => {
                format!(" with {:.4} bits per pixel instead of {:.4}", after.bits_per_pixel, before.bits_per_pixel)
            }
        };
        let mse = format!("MSE {:.2} before, {:.2} after{bits}", before.mse, after.mse);
        let Some(PairedChange { pictures, change, low, high, verdict }) = change else {
            return format!("judged on {judged_on}: {mse}");
        };
        let percent = |share: f64| format!("{:+.1}", 100.0 * share).replace('-', "−");
        let interval = match (low, high) {
            (Some(low), Some(high)) => format!(" (95 % interval {} to {} %)", percent(*low), percent(*high)),
            _ => String::new(),
        };
        let keep = &self.base_model;
        let says = match verdict {
            Verdict::Gain => "a gain".to_string(),
            Verdict::Loss => format!("a loss: keep {keep}; try more pictures, fewer --steps or a lower --set lr"),
            Verdict::WithinNoise if self.run.best.is_some_and(|best| best.step == 0) => format!(
                "no gain: nothing better than {keep} was found, so {} holds it as it was; try more pictures or another \
                 --set lr",
                self.run.run.display()
            ),
            Verdict::WithinNoise => {
                format!("no gain worth keeping: the change is within the noise of {pictures} pictures; keep {keep}")
            }
            Verdict::TooFewPictures => {
                format!("{} cannot tell a gain from chance: give more pictures", crate::output::pictures(*pictures))
            }
        };
        format!("judged on {judged_on}: {mse}: {} %{interval}: {says}", percent(*change))
    }
}

impl Report for FinetuneReport {
    fn blocks(&self) -> Vec<Block> {
        let mut blocks = vec![Block::Line(self.run.headline())];
        if let Some(size) = self.size.filter(|_| self.enlarged > 0) {
            let (enlarged, size) = (pictures(self.enlarged), sides(&size));
            blocks
                .push(Block::Line(format!("{enlarged} smaller than {size} were enlarged for training, as size asks")));
        }
        match &self.comparison {
            Some(comparison) => {
                blocks.push(Block::Line(self.verdict(comparison)));
                let rows = [("before", &comparison.before), ("after", &comparison.after)].map(|(when, figures)| {
                    vec![
                        when.to_string(),
                        format!("{:.2}", figures.mse),
                        format!("{:.2} dB", figures.psnr),
                        format!("{:.4}", figures.ssim),
                        format!("{:.4}", figures.ms_ssim),
                        figures.codes_in_use.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                    ]
                });
                blocks.push(table(&["judged", "MSE", "PSNR", "SSIM", "MS-SSIM", "codes used"], rows.into()));
                blocks.push(Block::Hint(format!("before and after: {}", comparison.picture.display())));
            }
            None if self.run.stopped.is_none() => blocks.push(Block::Line(
                "not judged: there was no picture to keep from training and early stopping; give more pictures".into(),
            )),
            None => {}
        }
        blocks.push(Block::Hint(self.run.best_line()));
        blocks.extend(self.run.together_line());
        blocks.push(self.run.next_line("finetune"));
        blocks
    }

    fn exit_code(&self) -> u8 {
        self.run.stopped.unwrap_or(0)
    }
}
