//! `ksom encode`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use ksom_vqvae::CodesFile;
use ksom_vqvae::evaluation::metrics;
use serde::Serialize;

use crate::arguments::{ModelArgs, PictureArgs};
use crate::files::{create_folder_of, refuse_input};
use crate::models;
use crate::output::{Block, Report, bytes, pictures, significant};
use crate::pictures::{find, first_size, for_each_batch};
use crate::settings::Settings;

/// Turn pictures into a file of discrete codes
#[derive(Args)]
#[command(after_help = "Examples:
  ksom encode photo.jpg -o codes.safetensors
  ksom encode photos/ 'more/*.png' -o codes.safetensors --npy --model runs/ksom")]
pub struct EncodeArgs {
    #[command(flatten)]
    pictures: PictureArgs,
    /// The codes file to write (safetensors); replaced if it is there
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Write each level's codes as a NumPy array beside it too, replacing what is there
    #[arg(long)]
    npy: bool,
    #[command(flatten)]
    model: ModelArgs,
}

/// What was written.
#[derive(Serialize)]
pub struct EncodeReport {
    output: PathBuf,
    npy: Vec<PathBuf>,
    model: String,
    fingerprint: String,
    pictures: usize,
    skipped: usize,
    passed_over: usize,
    codes: usize,
    /// Over all pictures, without further coding.
    bits_per_pixel: f64,
    bytes: u64,
}

pub fn run(args: EncodeArgs, settings: &Settings) -> Result<EncodeReport> {
    let inputs = find(&args.pictures)?;
    let found = models::find_fitting(args.model.model.as_deref(), || first_size(&inputs), settings)?;
    let model = found.load(&settings.compute()?)?;
    refuse_input(&args.output, inputs.iter().map(|input| input.path.as_path()))?;
    let all_names: Vec<String> = inputs.iter().map(|input| input.name.clone()).collect();
    let (mut names, mut images) = (Vec::new(), Vec::new());
    let count = for_each_batch(inputs, args.pictures.skip_unreadable, &settings.console, |numbers, pictures| {
        images.extend(model.encode_images(pictures)?);
        names.extend(numbers.iter().map(|&number| all_names[number].clone()));
        Ok(())
    })?;

    let codes = images.iter().flat_map(|image| &image.levels).map(|grid| grid.codes.len()).sum();
    let pixels: f64 = images.iter().map(|image| f64::from(image.width) * f64::from(image.height)).sum();
    let file = CodesFile::new(&model, &found.name, names, images)?;
    create_folder_of(&args.output)?;
    file.write(&args.output)?;
    let npy = if args.npy { file.write_npy(&args.output)? } else { Vec::new() };
    Ok(EncodeReport {
        npy,
        model: found.name,
        fingerprint: file.fingerprint,
        pictures: count.read,
        skipped: count.skipped,
        passed_over: count.passed_over,
        codes,
        bits_per_pixel: metrics::bits_per_pixel(model.config().quantizer.num_codes, codes as f64, pixels),
        bytes: std::fs::metadata(&args.output)?.len(),
        output: args.output,
    })
}

impl Report for EncodeReport {
    fn blocks(&self) -> Vec<Block> {
        let mut lines = vec![Block::Line(format!(
            "{} → {} codes, {} bits per pixel → {} ({})",
            pictures(self.pictures),
            self.codes,
            significant(self.bits_per_pixel),
            self.output.display(),
            bytes(self.bytes)
        ))];
        lines.extend(self.npy.iter().map(|path| Block::Line(format!("as NumPy array: {}", path.display()))));
        lines
    }
}
