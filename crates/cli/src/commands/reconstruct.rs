//! `ksom reconstruct`

use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use ksom_datasets::files::PictureFile;
use serde::Serialize;

use crate::arguments::{ModelArgs, PictureArgs};
use crate::failure::Usage;
use crate::files::{
    create_folder, create_folder_of, format_of, picture_file_names, prepare_picture, refuse_existing, refuse_input,
    write_picture,
};
use crate::loss::Loss;
use crate::models;
use crate::output::{Block, Report, pictures as count_of, table};
use crate::pictures::{find, first_size, for_each_batch};
use crate::settings::Settings;
use crate::sheet::sheet;

/// Encode and decode pictures, and measure what is lost
#[derive(Args)]
#[command(after_help = "Examples:
  ksom reconstruct photo.jpg -o out.png --side-by-side
  ksom reconstruct photos/ -o reconstructed/ --model runs/ksom")]
pub struct ReconstructArgs {
    #[command(flatten)]
    pictures: PictureArgs,
    /// For one picture a file such as out.png (replaced if it is there), otherwise a folder
    #[arg(long, short, value_name = "OUT")]
    output: PathBuf,
    /// Write the original to the left of the reconstruction
    #[arg(long)]
    side_by_side: bool,
    /// Replace files that are there already in the folder OUT
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    model: ModelArgs,
}

/// What was written and how good it is.
#[derive(Serialize)]
pub struct ReconstructReport {
    model: String,
    pictures: Vec<Reconstructed>,
    skipped: usize,
    passed_over: usize,
    /// The mean over the pictures of each measure.
    mean: Loss,
}

#[derive(Serialize)]
struct Reconstructed {
    name: String,
    output: PathBuf,
    width: u32,
    height: u32,
    #[serde(flatten)]
    loss: Loss,
}

pub fn run(args: ReconstructArgs, settings: &Settings) -> Result<ReconstructReport> {
    let inputs = find(&args.pictures)?;
    let outputs = outputs(&args, inputs.as_slice())?;
    let found = models::find_fitting(args.model.model.as_deref(), || first_size(&inputs), settings)?;
    let model = found.load(&settings.compute()?)?;
    let names: Vec<String> = inputs.iter().map(|input| input.name.clone()).collect();
    let mut pictures = Vec::new();
    let read = for_each_batch(inputs, args.pictures.skip_unreadable, &settings.console, |numbers, originals| {
        let codes = model.encode_images(originals)?;
        let reconstructions = model.decode_images(&codes)?;
        for (((&number, original), codes), reconstruction) in
            numbers.iter().zip(originals).zip(&codes).zip(&reconstructions)
        {
            let loss = Loss::measure(&model, original, codes, reconstruction)?;
            let output = &outputs[number];
            create_folder_of(output)?;
            if args.side_by_side {
                write_picture(output, &sheet(&[vec![original.clone(), reconstruction.clone()]]))?;
            } else {
                write_picture(output, reconstruction)?;
            }
            let (width, height) = original.dimensions();
            pictures.push(Reconstructed { name: names[number].clone(), output: output.clone(), width, height, loss });
        }
        Ok(())
    });
    let count = read.inspect_err(|_| take_back(&pictures, args.overwrite, settings))?;
    let mean = Loss::mean(&pictures.iter().map(|picture| picture.loss).collect::<Vec<_>>());
    Ok(ReconstructReport { model: found.name, pictures, skipped: count.skipped, passed_over: count.passed_over, mean })
}

/// Removes what was written before something went wrong, so that the command can be given again.
fn take_back(written: &[Reconstructed], replaced: bool, settings: &Settings) {
    if replaced || written.is_empty() {
        return;
    }
    for picture in written {
        // What cannot be removed is named when the command is given again.
        let _ = std::fs::remove_file(&picture.output);
    }
    settings.console.warn(&format!("the {} written before are removed again", count_of(written.len())), None);
}

/// Where each picture goes; folders are created.
fn outputs(args: &ReconstructArgs, inputs: &[PictureFile]) -> Result<Vec<PathBuf>> {
    let output = &args.output;
    let originals = || inputs.iter().map(|input| input.path.as_path());
    if let [_] = inputs
        && !is_folder(output)
    {
        refuse_input(output, originals())?;
        prepare_picture(output)?;
        return Ok(vec![output.clone()]);
    }
    if !output.is_dir() && (output.exists() || format_of(output).is_some()) {
        bail!(Usage(format!("{} pictures need a folder as --output, found {}", inputs.len(), output.display())));
    }
    let names = picture_file_names(inputs.iter().map(|input| input.name.as_str()));
    let outputs: Vec<PathBuf> = names.iter().map(|name| output.join(name)).collect();
    refuse_existing(&outputs, args.overwrite)?;
    for file in &outputs {
        refuse_input(file, originals())?;
    }
    create_folder(output)?;
    Ok(outputs)
}

/// Whether OUT names a folder: one that is there, or by its last letter, or for lack of an extension.
fn is_folder(output: &Path) -> bool {
    let text = output.as_os_str().to_string_lossy();
    output.is_dir() || text.ends_with(['/', MAIN_SEPARATOR]) || (output.extension().is_none() && !output.exists())
}

impl Report for ReconstructReport {
    fn blocks(&self) -> Vec<Block> {
        let row = |name: &str, loss: &Loss, output: String| {
            [vec![name.to_string()], loss.cells().into(), vec![output]].concat()
        };
        let mut rows: Vec<_> = self
            .pictures
            .iter()
            .map(|picture| row(&picture.name, &picture.loss, picture.output.display().to_string()))
            .collect();
        if self.pictures.len() > 1 {
            rows.push(row("mean", &self.mean, String::new()));
        }
        let header = [&["picture"][..], &Loss::HEADER, &["output"]].concat();
        vec![table(&header, rows)]
    }
}
