//! `ksom decode`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use ksom_vqvae::{CodesFile, ImageCodes, zoo};
use serde::Serialize;

use crate::files::{create_folder, picture_file_names, refuse_existing, write_picture};
use crate::models;
use crate::output::{Block, Report, pictures, sides};
use crate::progress::Counter;
use crate::settings::Settings;

/// Pictures are decoded together up to this many pixels.
const PIXELS_PER_BATCH: usize = 1 << 20;

/// Turn a file of discrete codes back into pictures
#[derive(Args)]
#[command(after_help = "Example:
  ksom decode codes.safetensors -o decoded/")]
pub struct DecodeArgs {
    /// A codes file, as `ksom encode` writes it
    #[arg(value_name = "CODES")]
    codes: PathBuf,
    /// The folder to write PNG files into, named after the original pictures
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Replace files that are there already
    #[arg(long)]
    overwrite: bool,
    /// The model that made the codes: a model directory, the name of a built-in model (`ksom list`), or
    /// owner/name[@revision] on the Hub [default: the built-in one that made them]
    #[arg(long, short, value_name = "MODEL")]
    model: Option<String>,
}

/// What was written.
#[derive(Serialize)]
pub struct DecodeReport {
    model: String,
    pictures: Vec<DecodedPicture>,
}

#[derive(Serialize)]
struct DecodedPicture {
    /// The original's name in the codes file.
    name: String,
    output: PathBuf,
    width: u32,
    height: u32,
}

pub fn run(args: DecodeArgs, settings: &Settings) -> Result<DecodeReport> {
    let file = CodesFile::read(&args.codes)?;
    let found = match &args.model {
        Some(name) => models::find(name, settings)?,
        None => models::built_in(zoo::find(&file.model).unwrap_or(zoo::default())),
    };
    let model = found.load(&settings.compute()?)?;
    file.check(&model, &args.codes)?;
    let outputs: Vec<PathBuf> =
        picture_file_names(file.names.iter().map(String::as_str)).iter().map(|name| args.output.join(name)).collect();
    refuse_existing(&outputs, args.overwrite)?;
    create_folder(&args.output)?;

    let counter = Counter::new(&settings.console, outputs.len(), "pictures");
    let mut remaining = &file.images[..];
    let mut done = 0;
    while !remaining.is_empty() {
        let (batch, rest) = remaining.split_at(batch_len(remaining));
        for (picture, output) in model.decode_images(batch)?.iter().zip(&outputs[done..]) {
            write_picture(output, picture)?;
        }
        done += batch.len();
        remaining = rest;
        counter.set(done);
    }
    let pictures = file
        .names
        .into_iter()
        .zip(outputs)
        .zip(&file.images)
        .map(|((name, output), image)| DecodedPicture { name, output, width: image.width, height: image.height })
        .collect();
    Ok(DecodeReport { model: found.name, pictures })
}

/// How many of the next pictures are decoded together: at least one.
fn batch_len(images: &[ImageCodes]) -> usize {
    let mut pixels = 0;
    let within = images.iter().take_while(|image| {
        pixels += image.width as usize * image.height as usize;
        pixels <= PIXELS_PER_BATCH
    });
    within.count().max(1)
}

impl Report for DecodeReport {
    fn blocks(&self) -> Vec<Block> {
        let line = |picture: &DecodedPicture| {
            Block::Line(format!("{} ({})", picture.output.display(), sides(&[picture.width, picture.height])))
        };
        let headline = Block::Line(format!("{} decoded", pictures(self.pictures.len())));
        self.pictures.iter().map(line).chain([headline]).collect()
    }
}
