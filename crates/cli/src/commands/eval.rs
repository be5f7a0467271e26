//! `ksom eval`

use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use ksom_datasets::{DataOptions, DataSet, DataSpec, NamedSource, OnUnreadable, Preprocess, open};
use ksom_vqvae::{EvaluateOptions, Evaluation, Model, RECIPES, Recipe, ResizeChoice, evaluate, record_evaluation};
use serde::Serialize;

use crate::arguments::{ModelArgs, size};
use crate::failure::Usage;
use crate::models::{self, FoundModel};
use crate::output::{Block, NO_NUMBER, Report, sides, significant, table};
use crate::progress::Counter;
use crate::settings::Settings;

/// Measure a model on a data set: reconstruction error and quality, use of the codes, order of the map
#[derive(Args)]
#[command(after_help = "Examples:
  ksom eval --data cifar10:data/cifar-10-batches-bin --part test
  ksom eval --data photos --size 256x256 --model runs/ksom")]
pub struct EvalArgs {
    /// The pictures: a path, or KIND:PATH as for `ksom train`
    #[arg(long, value_name = "DATA")]
    data: DataSpec,
    /// Which part of the data set; the split is that of the model's training where it is known [default: test if the
    /// data set has one, else its own validation part, else everything]
    #[arg(long, value_enum)]
    part: Option<PartName>,
    /// Squash pictures to this size [default: as in training where it is known]
    #[arg(long, value_name = "WxH", value_parser = size)]
    size: Option<[u32; 2]>,
    /// Pictures that are computed together
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    batch_size: u16,
    /// Leave out pictures that cannot be read (all are tried once first), instead of stopping
    #[arg(long)]
    skip_unreadable: bool,
    /// Add the result to metrics.jsonl in the model directory, so that its model card tells it
    #[arg(long)]
    record: bool,
    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PartName {
    Train,
    Valid,
    Test,
    All,
}

/// What was measured.
#[derive(Serialize)]
pub struct EvalReport {
    model: String,
    data: DataSpec,
    part: PartName,
    /// Width and height that pictures were brought to, if they were.
    size: Option<[u32; 2]>,
    /// The mean over the sets of their reconstruction errors, in normalised units.
    mse: f64,
    sets: Vec<SetReport>,
}

#[derive(Serialize)]
struct SetReport {
    set: String,
    #[serde(flatten)]
    evaluation: Evaluation,
}

pub fn run(args: EvalArgs, settings: &Settings) -> Result<EvalReport> {
    let found = models::find(&args.model.model, settings)?;
    let record = match (args.record, found.own_folder()) {
        (true, None) => bail!(Usage("--record needs a model directory of your own".to_string())),
        (true, Some(folder)) => Some(folder),
        (false, _) => None,
    };
    let model = found.load(&settings.compute()?)?;
    let recipe = recipe_of(&found, &model)?;
    let preprocess = prepare(&args, recipe.as_ref(), &model);
    let on_unreadable = if args.skip_unreadable { OnUnreadable::Skip } else { OnUnreadable::Fail };
    let options = DataOptions { on_unreadable, ..DataOptions::default() };
    let options = recipe.as_ref().map_or(options, |recipe| recipe.data_options(&options));
    let (part, sources, unreadable) = choose(&args, options)?;
    for (name, reason) in unreadable {
        settings.console.warn(&format!("left out {name}: {reason}"), None);
    }

    let total = sources.iter().map(|(_, source)| source.len()).sum();
    let counter = Counter::new(&settings.console, total, "pictures");
    let options = EvaluateOptions { preprocess, batch_size: args.batch_size.into(), full: true };
    let mut sets = Vec::new();
    let mut done = 0;
    for (set, source) in &sources {
        let evaluation = evaluate(&model, source, &options, &mut |images| counter.set(done + images))
            .with_context(|| format!("cannot evaluate on {set} (--size WxH brings all pictures to one size)"))?;
        done += evaluation.images;
        sets.push(SetReport { set: set.clone(), evaluation });
    }
    let mse = sets.iter().map(|set| set.evaluation.mse).sum::<f64>() / sets.len() as f64;
    if let Some(folder) = record {
        let step = model.config().provenance.steps.unwrap_or(0);
        let measured: Vec<_> = sets.iter().map(|set| (set.set.clone(), set.evaluation.clone())).collect();
        let data = args.data.members().iter().filter_map(|member| member.path().file_name());
        let data: Vec<_> = data.map(|name| name.to_string_lossy()).collect();
        record_evaluation(folder, step, &data.join(" + "), &measured)?;
    }
    let size = preprocess.resize.map(|resize| [resize.width, resize.height]);
    Ok(EvalReport { model: args.model.model, data: args.data, part, size, mse, sets })
}

/// The recipe that a model was trained by: its run directory's (which may be the folder above, for `last`), or the
/// built-in one of the recorded name and seed.
fn recipe_of(found: &FoundModel, model: &Model) -> Result<Option<Recipe>> {
    let folders = found.folder().into_iter().flat_map(|folder| [Some(folder), last_of(folder)]).flatten();
    if let Some(path) = folders.map(|folder| folder.join("recipe.toml")).find(|path| path.is_file()) {
        return Ok(Some(Recipe::read(&path, &[])?));
    }
    let provenance = &model.config().provenance;
    match provenance.recipe.as_deref().filter(|name| RECIPES.iter().any(|(known, _)| known == name)) {
        Some(name) => {
            let seed = format!("training.seed={}", provenance.seed.unwrap_or(0));
            Ok(Some(Recipe::find(name, &[seed])?))
        }
        None => Ok(None),
    }
}

/// The run directory whose folder `last` this is.
fn last_of(folder: &Path) -> Option<&Path> {
    folder.parent().filter(|_| folder.file_name().is_some_and(|name| name == "last"))
}

/// What is done to pictures: as asked for, else as in training.
fn prepare(args: &EvalArgs, recipe: Option<&Recipe>, model: &Model) -> Preprocess {
    let trained_size = model.config().preprocessing.trained_size;
    match (args.size, recipe, trained_size) {
        (Some(size), _, _) => ResizeChoice::Squash.preprocess(size),
        (None, Some(recipe), _) => recipe.data.preprocess().fixed(),
        (None, None, Some(size)) => ResizeChoice::Squash.preprocess(size),
        (None, None, None) => Preprocess::default(),
    }
}

type Chosen = (PartName, Vec<NamedSource>, Vec<(String, String)>);

/// Opens the data and picks the part.
fn choose(args: &EvalArgs, options: DataOptions) -> Result<Chosen> {
    // Without a split, the training part is everything that is not the data set's own validation or test part.
    let unsplit = DataOptions { valid_fraction: 0.0, valid_from: Default::default(), ..options };
    let wants_split = matches!(args.part, Some(PartName::Train | PartName::Valid));
    let DataSet { train, valid, test, unreadable, .. } =
        open(&args.data, if wants_split { &options } else { &unsplit })?;
    let train = vec![("train".to_string(), train)];
    let (part, sources) = match args.part {
        Some(PartName::Train) => (PartName::Train, train),
        Some(PartName::Valid) => (PartName::Valid, valid),
        Some(PartName::Test) => (PartName::Test, test),
        Some(PartName::All) => (PartName::All, train.into_iter().chain(valid).chain(test).collect()),
        None if !test.is_empty() => (PartName::Test, test),
        None if !valid.is_empty() => (PartName::Valid, valid),
        None => (PartName::All, train.into_iter().map(|(_, source)| ("all".to_string(), source)).collect()),
    };
    if sources.is_empty() {
        bail!("{} has no pictures in that part: choose another --part", args.data);
    }
    Ok((part, sources, unreadable))
}

impl Report for EvalReport {
    fn blocks(&self) -> Vec<Block> {
        let header = ["set", "images", "MSE", "MSE (0..255)", "PSNR", "SSIM", "bits/pixel"];
        let cell = |value: Option<String>| value.unwrap_or_else(|| NO_NUMBER.to_string());
        let rows = self.sets.iter().map(|SetReport { set, evaluation }| {
            let q = evaluation.quality;
            vec![
                set.clone(),
                evaluation.images.to_string(),
                significant(evaluation.mse),
                cell(q.map(|q| format!("{:.2}", q.mse_255))),
                cell(q.map(|q| format!("{:.2} dB", q.psnr))),
                cell(q.map(|q| format!("{:.4}", q.ssim))),
                significant(evaluation.bits_per_pixel),
            ]
        });
        let quality = table(&header, rows.collect());
        let header = [
            "codes of",
            "used",
            "of",
            "perplexity",
            "quantisation error",
            "topographic error",
            "rank correlation",
            "p",
        ];
        let rows = self.sets.iter().flat_map(|SetReport { set, evaluation }| {
            evaluation.levels.iter().map(move |level| {
                let map = level.map.as_ref();
                let topology = map.and_then(|map| map.topology.as_ref());
                vec![
                    format!("{set} {}", level.name),
                    level.codes_in_use.to_string(),
                    level.num_codes.to_string(),
                    format!("{:.1}", level.perplexity),
                    cell(map.map(|map| significant(map.quantization_error))),
                    cell(map.map(|map| significant(map.topographic_error))),
                    cell(topology.map(|t| format!("{:.3}", t.correlation))),
                    cell(topology.map(|t| format!("{:.3}", t.p_value))),
                ]
            })
        });
        let usage = table(&header, rows.collect());
        let size = self.size.map(|size| format!(", pictures brought to {}", sides(&size))).unwrap_or_default();
        let mut blocks = vec![
            Block::Line(format!("{} on {}{size}", self.model, self.data)),
            quality,
            Block::Line(String::new()),
            usage,
        ];
        if self.sets.len() > 1 {
            blocks.push(Block::Line(format!("mean MSE over the sets: {}", significant(self.mse))));
        }
        blocks
    }
}
