//! `ksom compare`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use image::RgbImage;
use image::imageops::crop_imm;
use ksom_vqvae::figures::{Sheet, SheetCell, SheetRow, decibels, fit};
use ksom_vqvae::{Model, zoo};
use serde::Serialize;

use crate::arguments::{PictureArgs, size};
use crate::files::{prepare_picture, refuse_input, write_picture};
use crate::loss::Loss;
use crate::models;
use crate::output::{Block, Report, pictures, sides, table};
use crate::pictures::{find, for_each_batch};
use crate::settings::Settings;
use crate::sheet::ROWS;

/// The longest side of a picture on the sheet, unless it is to be shown at full size.
const LONGEST_SIDE: u32 = 256;

/// Reconstruct pictures with several models, side by side
#[derive(Args)]
#[command(
    after_help = "The sheet has a row for each of the first 4 pictures: the original, then what each model makes of it,
with its PSNR and SSIM. They are brought to 256 pixels, unless --full-size or --crop asks for their
own. Figures are means over all pictures.

Examples:
  ksom compare photo.jpg -o compared.png
  ksom compare photo.jpg --crop 200x150 -o closely.png
  ksom compare photos/ --model photos-ksom --model runs/mine -o compared.png"
)]
pub struct CompareArgs {
    #[command(flatten)]
    pictures: PictureArgs,
    /// A model: a model directory, the name of a built-in one, or owner/name[@revision] on the Hub; can be given several
    /// times [default: all built-in models]
    #[arg(long, short, value_name = "MODEL")]
    model: Vec<String>,
    /// Show pictures pixel by pixel, as large as they are
    #[arg(long)]
    full_size: bool,
    /// Show the middle of each picture, so large, pixel by pixel; figures are still those of whole pictures
    #[arg(long, value_name = "WxH", value_parser = size, conflicts_with = "full_size")]
    crop: Option<[u32; 2]>,
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
    let mut rows: Vec<SheetRow> = Vec::new();
    let all_names: Vec<String> = inputs.iter().map(|input| input.name.clone()).collect();
    let view = View { full_size: args.full_size, crop: args.crop };
    let count = for_each_batch(inputs, args.pictures.skip_unreadable, &settings.console, |numbers, originals| {
        let new = originals.len().min(ROWS.saturating_sub(rows.len()));
        let mut new_rows: Vec<SheetRow> = originals[..new]
            .iter()
            .zip(numbers)
            .map(|(original, &number)| SheetRow {
                title: all_names[number].clone(),
                cells: vec![view.cell(original, None)],
            })
            .collect();
        for (model, losses) in models.iter().zip(&mut losses) {
            let codes = model.encode_images(originals)?;
            let reconstructions = model.decode_images(&codes)?;
            let first = losses.len();
            for ((original, codes), reconstruction) in originals.iter().zip(&codes).zip(&reconstructions) {
                losses.push(Loss::measure(model, original, codes, reconstruction)?);
            }
            for ((row, reconstruction), loss) in new_rows.iter_mut().zip(&reconstructions).zip(&losses[first..]) {
                row.cells.push(view.cell(reconstruction, Some(loss)));
            }
        }
        rows.extend(new_rows);
        Ok(())
    })?;
    let columns = std::iter::once("original".to_string()).chain(names.iter().cloned()).collect();
    write_picture(&args.output, &Sheet { columns, rows, ..Sheet::default() }.draw()?)?;
    let models = names.into_iter().zip(losses).map(|(model, losses)| Compared { model, mean: Loss::mean(&losses) });
    Ok(CompareReport { output: args.output, pictures: count.read, skipped: count.skipped, models: models.collect() })
}

/// How pictures are shown.
struct View {
    full_size: bool,
    crop: Option<[u32; 2]>,
}

impl View {
    /// A picture as it is shown; below it what was lost, or of an original its size and scale.
    fn cell(&self, picture: &RgbImage, loss: Option<&Loss>) -> SheetCell {
        let (width, height) = picture.dimensions();
        let (picture, scale) = match self.crop {
            Some([w, h]) => {
                let (w, h) = (w.min(width), h.min(height));
                let middle = crop_imm(picture, (width - w) / 2, (height - h) / 2, w, h).to_image();
                (middle, format!("the middle {w}×{h}"))
            }
            None if self.full_size => (picture.clone(), "full size".to_string()),
            None => {
                let (shown, scale) = fit(picture, LONGEST_SIDE);
                (shown, scale.to_string())
            }
        };
        let caption = match loss {
            Some(loss) => format!("{}, SSIM {:.3}", decibels(loss.psnr), loss.ssim),
            None => format!("{}, {scale}", sides(&[width, height])),
        };
        SheetCell { picture, caption }
    }
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
