//! `ksom compare`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use image::RgbImage;
use ksom_vqvae::{Model, zoo};
use serde::Serialize;

use crate::arguments::PictureArgs;
use crate::files::{prepare_picture, refuse_input, write_picture};
use crate::loss::Loss;
use crate::models;
use crate::output::{Block, Report, pictures, table};
use crate::pictures::{find, for_each_batch};
use crate::settings::Settings;
use crate::sheet::{ROWS, sheet, shown};

/// The longest side of a picture on the sheet.
const LONGEST_SIDE: u32 = 256;

/// Reconstruct pictures with several models, side by side
#[derive(Args)]
#[command(
    after_help = "The sheet has a row for each of the first 4 pictures: the original, then what each model makes \
                        of it. Figures are means over all pictures.

Examples:
  ksom compare photo.jpg -o compared.png
  ksom compare photos/ --model photos-ksom --model runs/mine -o compared.png"
)]
pub struct CompareArgs {
    #[command(flatten)]
    pictures: PictureArgs,
    /// A model: a model directory, the name of a built-in one, or owner/name[@revision] on the Hub; can be given several
    /// times [default: all built-in models]
    #[arg(long, short, value_name = "MODEL")]
    model: Vec<String>,
    /// The sheet of pictures, such as compared.png (replaced if it is there)
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// What came out.
#[derive(Serialize)]
pub struct CompareReport {
    output: PathBuf,
    pictures: usize,
    skipped: usize,
    models: Vec<Compared>,
}

#[derive(Serialize)]
struct Compared {
    model: String,
    #[serde(flatten)]
    mean: Loss,
}

pub fn run(args: CompareArgs, settings: &Settings) -> Result<CompareReport> {
    let inputs = find(&args.pictures)?;
    refuse_input(&args.output, inputs.iter().map(|input| input.path.as_path()))?;
    prepare_picture(&args.output)?;
    let names = match args.model.is_empty() {
        true => zoo::ZOO.iter().map(|files| files.name.to_string()).collect(),
        false => args.model,
    };
    let compute = settings.compute()?;
    let models = names.iter().map(|name| models::find(name, settings)?.load(&compute));
    let models = models.collect::<Result<Vec<Model>>>()?;
    let mut losses = vec![Vec::new(); models.len()];
    let mut rows: Vec<Vec<RgbImage>> = Vec::new();
    let count = for_each_batch(inputs, args.pictures.skip_unreadable, &settings.console, |_, originals| {
        let new = originals.len().min(ROWS.saturating_sub(rows.len()));
        let mut new_rows: Vec<Vec<RgbImage>> = originals[..new].iter().map(|o| vec![shown(o, LONGEST_SIDE)]).collect();
        for (model, losses) in models.iter().zip(&mut losses) {
            let codes = model.encode_images(originals)?;
            let reconstructions = model.decode_images(&codes)?;
            for (row, reconstruction) in new_rows.iter_mut().zip(&reconstructions) {
                row.push(shown(reconstruction, LONGEST_SIDE));
            }
            for ((original, codes), reconstruction) in originals.iter().zip(&codes).zip(&reconstructions) {
                losses.push(Loss::measure(model, original, codes, reconstruction)?);
            }
        }
        rows.extend(new_rows);
        Ok(())
    })?;
    write_picture(&args.output, &sheet(&rows))?;
    let models = names.into_iter().zip(losses).map(|(model, losses)| Compared { model, mean: Loss::mean(&losses) });
    Ok(CompareReport { output: args.output, pictures: count.read, skipped: count.skipped, models: models.collect() })
}

impl Report for CompareReport {
    fn blocks(&self) -> Vec<Block> {
        let rows = self.models.iter().map(|compared| {
            let mut row = vec![compared.model.clone()];
            row.extend(compared.mean.cells());
            row
        });
        let header = [&["model"][..], &Loss::HEADER].concat();
        let headline = format!("{} → {}", pictures(self.pictures), self.output.display());
        vec![table(&header, rows.collect()), Block::Line(headline)]
    }
}
