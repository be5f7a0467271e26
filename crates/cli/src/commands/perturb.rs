//! `ksom perturb`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use image::RgbImage;
use ksom_vqvae::Model;
use ksom_vqvae::codes::shift_codes;
use ksom_vqvae::evaluation::metrics;
use ksom_vqvae::figures::{Sheet, SheetCell, SheetRow, decibels, fit};
use serde::Serialize;

use crate::arguments::PictureArgs;
use crate::files::{prepare_picture, refuse_input, write_picture};
use crate::models;
use crate::output::{Block, NO_NUMBER, Report, pictures, sides, table};
use crate::pictures::{find, for_each_batch};
use crate::settings::Settings;
use crate::sheet::ROWS;

/// The longest side of a picture on the sheet.
const LONGEST_SIDE: u32 = 128;

/// Shift all codes of pictures on the grid, and show and measure what that does
#[derive(Args)]
#[command(
    after_help = "All codes of a picture move by −K to K cells along an axis of the grid; where the grid ends they
stay at its edge. The sheet has a row for each axis, and with --with the other model's row below
it: the original, then the reconstructions from −K to K with their PSNR. Only the first 4 pictures
are shown; errors are means over all, and beside each stands how many times the error without a
shift it is.

Examples:
  ksom perturb cifar10-ksom photo.jpg -o shifted.png
  ksom perturb runs/ksom photos/ --with runs/ema -k 5 -o shifted.png"
)]
pub struct PerturbArgs {
    /// A model directory, the name of a built-in model (`ksom list`), or owner/name[@revision] on the Hub
    #[arg(value_name = "MODEL")]
    model: String,
    #[command(flatten)]
    pictures: PictureArgs,
    /// Another model to compare with
    #[arg(long, value_name = "MODEL")]
    with: Option<String>,
    /// The largest offset
    #[arg(short, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    k: u8,
    /// The sheet of pictures, such as shifted.png (replaced if it is there)
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// What came out.
#[derive(Serialize)]
pub struct PerturbReport {
    output: PathBuf,
    pictures: usize,
    skipped: usize,
    models: Vec<ModelErrors>,
}

#[derive(Serialize)]
struct ModelErrors {
    model: String,
    grid: Vec<usize>,
    errors: Vec<ShiftError>,
}

/// The error of the reconstruction from shifted codes.
#[derive(Serialize)]
struct ShiftError {
    axis: usize,
    offset: i64,
    /// Mean squared error of pixels in 0..255, mean over the pictures.
    mse: f64,
    /// How many times the error without a shift that is.
    times: f64,
}

pub fn run(args: PerturbArgs, settings: &Settings) -> Result<PerturbReport> {
    let inputs = find(&args.pictures)?;
    refuse_input(&args.output, inputs.iter().map(|input| input.path.as_path()))?;
    prepare_picture(&args.output)?;
    let compute = settings.compute()?;
    let names: Vec<String> = std::iter::once(args.model.clone()).chain(args.with.clone()).collect();
    let models = names.iter().map(|name| models::find(name, settings)?.load(&compute));
    let models = models.collect::<Result<Vec<Model>>>()?;
    let k = i64::from(args.k);
    let axes = models.iter().map(axes_of).max().unwrap_or(0);
    let offsets = 2 * k as usize + 1;
    let mut sums: Vec<Vec<f64>> = models.iter().map(|model| vec![0.0; axes_of(model) * offsets]).collect();
    let mut rows: Vec<SheetRow> = Vec::new();
    let mut drawn = 0;
    let all_names: Vec<String> = inputs.iter().map(|input| input.name.clone()).collect();
    let count = for_each_batch(inputs, args.pictures.skip_unreadable, &settings.console, |numbers, originals| {
        for (original, &number) in originals.iter().zip(numbers) {
            let mut by_model = Vec::new();
            for (model, sums) in models.iter().zip(&mut sums) {
                let shifted = decode_shifted(model, original, k)?;
                for (sum, (mse, _)) in sums.iter_mut().zip(&shifted) {
                    *sum += mse;
                }
                by_model.push(shifted);
            }
            if drawn < ROWS {
                drawn += 1;
                for axis in 0..axes {
                    for (name, shifted) in names.iter().zip(&by_model) {
                        let Some(shifted) = shifted.chunks(offsets).nth(axis) else { continue };
                        let title = format!("{}: {name}, codes shifted along axis {}", all_names[number], axis + 1);
                        rows.push(row(title, original, shifted));
                    }
                }
            }
        }
        Ok(())
    })?;
    let columns = std::iter::once("original".to_string()).chain((-k..=k).map(offset_name)).collect();
    write_picture(&args.output, &Sheet { columns, rows, ..Sheet::default() }.draw()?)?;
    let models = names.into_iter().zip(&models).zip(sums).map(|((name, model), sums)| {
        let places = (0..axes_of(model)).flat_map(|axis| (-k..=k).map(move |offset| (axis, offset)));
        let unshifted = sums.get(k as usize).copied().unwrap_or(f64::NAN);
        let errors = places.zip(sums).map(|((axis, offset), sum)| ShiftError {
            axis,
            offset,
            mse: sum / count.read as f64,
            times: sum / unshifted,
        });
        ModelErrors { model: name, grid: model.config().quantizer.grid.clone(), errors: errors.collect() }
    });
    Ok(PerturbReport { output: args.output, pictures: count.read, skipped: count.skipped, models: models.collect() })
}

/// An offset as it stands above its column.
fn offset_name(offset: i64) -> String {
    match offset {
        0 => "not shifted".to_string(),
        1.. => format!("+{offset}"),
        _ => format!("−{}", offset.unsigned_abs()),
    }
}

/// The original, and the pictures from shifted codes with their PSNR.
fn row(title: String, original: &RgbImage, shifted: &[(f64, RgbImage)]) -> SheetRow {
    let (picture, scale) = fit(original, LONGEST_SIDE);
    let caption = format!("{}, {scale}", sides(&[original.width(), original.height()]));
    let shifted = shifted
        .iter()
        .map(|(mse, picture)| SheetCell { picture: picture.clone(), caption: decibels(metrics::psnr(*mse)) });
    SheetRow { title, cells: std::iter::once(SheetCell { picture, caption }).chain(shifted).collect() }
}

fn axes_of(model: &Model) -> usize {
    model.config().quantizer.grid.len()
}

/// Errors of the reconstructions from codes shifted by −k … k along each axis in turn, and their pictures at the size
/// that is shown.
fn decode_shifted(model: &Model, original: &RgbImage, k: i64) -> Result<Vec<(f64, RgbImage)>> {
    let codes = model.encode_images(std::slice::from_ref(original))?;
    let mut decoded = Vec::new();
    for axis in 0..axes_of(model) {
        for offset in -k..=k {
            for codes in &codes {
                let shifted = shift_codes(model, codes, axis, offset)?;
                for picture in model.decode_images(&[shifted])? {
                    decoded.push((metrics::mse(original, &picture)?, fit(&picture, LONGEST_SIDE).0));
                }
            }
        }
    }
    Ok(decoded)
}

impl Report for PerturbReport {
    fn blocks(&self) -> Vec<Block> {
        let axes = self.models.iter().map(|model| model.grid.len()).max().unwrap_or(0);
        let offsets: Vec<i64> =
            self.models[0].errors.iter().filter(|error| error.axis == 0).map(|error| error.offset).collect();
        let header: Vec<&str> =
            ["axis", "offset"].into_iter().chain(self.models.iter().map(|model| model.model.as_str())).collect();
        let mut rows = Vec::new();
        for axis in 0..axes {
            for &offset in &offsets {
                let cells = self.models.iter().map(|model| {
                    let error = model.errors.iter().find(|error| (error.axis, error.offset) == (axis, offset));
                    error.map_or(NO_NUMBER.to_string(), |error| format!("{:.2} (×{:.2})", error.mse, error.times))
                });
                rows.push([(axis + 1).to_string(), offset.to_string()].into_iter().chain(cells).collect());
            }
        }
        vec![
            Block::Line(format!(
                "MSE (0..255) of {} from codes shifted on the grid, and how many times the error without a shift that is; {} \
                 shown in {}",
                pictures(self.pictures),
                if self.pictures > ROWS { "the first 4" } else { "all" },
                self.output.display()
            )),
            table(&header, rows),
        ]
    }
}
