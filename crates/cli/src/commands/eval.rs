//! `ksom eval`

use anyhow::{Result, bail};
use clap::Args;
use ksom_datasets::DataSpec;
use ksom_vqvae::evaluation::{EvaluateOptions, Evaluation, evaluate};
use ksom_vqvae::record::record_evaluation;
use serde::Serialize;

use crate::arguments::ModelArgs;
use crate::data::fetched;
use crate::evaluated::{Chosen, PartArgs, PartName, advised};
use crate::failure::Usage;
use crate::models;
use crate::output::{Block, NO_NUMBER, Report, grouped, significant, table};
use crate::progress::Counter;
use crate::settings::Settings;

/// Measure a model on a data set: reconstruction error and quality, use of the codes, order of the map
#[derive(Args)]
#[command(after_help = "Examples:
  ksom eval --data cifar10:data/cifar-10-batches-bin --part test
  ksom eval --data photos --model runs/ksom

Pictures are taken whole, each at its own size, for any model, so figures of several models can be compared. MSE, PSNR and
SSIM are means over the pictures, each of which counts alike (docs/metrics.md defines them).")]
pub struct EvalArgs {
    #[command(flatten)]
    pictures: PartArgs,
    /// Add the result to metrics.jsonl in the model directory, so that its model card tells it
    #[arg(long)]
    record: bool,
    #[command(flatten)]
    model: ModelArgs,
}

/// What was measured.
#[derive(Serialize)]
pub struct EvalReport {
    model: String,
    data: DataSpec,
    part: PartName,
    /// Which pictures these are, of how many.
    pictures: String,
    /// Width and height that pictures were brought to, if they were.
    size: Option<[u32; 2]>,
    /// The mean over the sets of their reconstruction errors, in normalized units.
    mse: f64,
    /// How pictures were taken, in words.
    #[serde(skip)]
    manner: String,
    sets: Vec<SetReport>,
}

#[derive(Serialize)]
struct SetReport {
    set: String,
    #[serde(flatten)]
    evaluation: Evaluation,
}

pub fn run(mut args: EvalArgs, settings: &Settings) -> Result<EvalReport> {
    args.pictures.data = fetched(&args.pictures.data, &settings.console)?;
    let data = &args.pictures.data;
    let found = models::find_fitting(args.model.model.as_deref(), || models::first_size_in(data), settings)?;
    let record = match (args.record, found.own_folder()) {
        (true, None) => bail!(Usage("--record needs a model directory of your own".to_string())),
        (true, Some(folder)) => Some(folder),
        (false, _) => None,
    };
    let model = found.load(&settings.compute()?)?;
    let Chosen { part, sources, preprocess, taken, _remarks } =
        args.pictures.choose(&found, &model, &settings.console)?;

    let total = sources.iter().map(|(_, source)| source.len()).sum();
    let counter = Counter::new(&settings.console, total, "pictures");
    let options = EvaluateOptions { preprocess, batch_size: args.pictures.batch_size.into(), full: true };
    let mut sets = Vec::new();
    let mut done = 0;
    for (set, source) in &sources {
        let evaluation = evaluate(&model, source, &options, &mut |images| counter.set(done + images))
            .map_err(|error| advised(error, format!("cannot evaluate on {set}")))?;
        done += evaluation.images;
        sets.push(SetReport { set: set.clone(), evaluation });
    }
    let mse = sets.iter().map(|set| set.evaluation.mse).sum::<f64>() / sets.len() as f64;
    if let Some(folder) = record {
        let step = model.config().provenance.steps.unwrap_or(0);
        let measured: Vec<_> = sets.iter().map(|set| (set.set.clone(), set.evaluation.clone())).collect();
        record_evaluation(folder, step, &args.pictures.name(), &measured, None)?;
    }
    let size = preprocess.size().map(|(width, height)| [width, height]);
    let manner = args.pictures.manner();
    Ok(EvalReport { model: found.name, data: args.pictures.data, part, pictures: taken, size, mse, manner, sets })
}

impl Report for EvalReport {
    fn blocks(&self) -> Vec<Block> {
        let header = ["set", "images", "MSE", "MSE (0..255)", "PSNR", "SSIM", "MS-SSIM", "bits/pixel"];
        let cell = |value: Option<String>| value.unwrap_or_else(|| NO_NUMBER.to_string());
        let rows = self.sets.iter().map(|SetReport { set, evaluation }| {
            let q = evaluation.quality;
            vec![
                set.clone(),
                grouped(evaluation.images),
                significant(evaluation.mse),
                cell(q.map(|q| format!("{:.2}", q.mse_255))),
                cell(q.map(|q| format!("{:.2} dB", q.psnr))),
                cell(q.map(|q| format!("{:.4}", q.ssim))),
                cell(q.map(|q| format!("{:.4}", q.ms_ssim))),
                significant(evaluation.bits_per_pixel),
            ]
        });
        let quality = table(&header, rows.collect());
        let header = [
            "codes of",
            "used",
            "of",
            "perplexity",
            "quantization error",
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
        let mut blocks = vec![
            Block::Line(format!(
                "{} on {}: {}; {}",
                self.model,
                PartArgs::shown(&self.data),
                self.pictures,
                self.manner
            )),
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
