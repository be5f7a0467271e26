//! `ksom decode`

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use ksom_vqvae::codes::{BareCodes, GivenCodes, GivenSizes};
use ksom_vqvae::{CodesFile, ImageCodes, Model, zoo};
use serde::Serialize;

use crate::arguments::size;
use crate::failure::Usage;
use crate::files::{STREAM, create_folder, create_folder_of, picture_file_names, refuse_existing, write_picture};
use crate::models::{self, FoundModel};
use crate::output::{Block, Report, pictures, sides};
use crate::progress::Counter;
use crate::settings::Settings;

/// Pictures are decoded together up to this many pixels.
const PIXELS_PER_BATCH: usize = 1 << 20;

/// The most bytes that are read from standard input.
const MAX_INPUT: u64 = 8 << 30;

/// Turn a file of discrete codes back into pictures
#[derive(Args)]
#[command(after_help = "Examples:
  ksom decode codes.safetensors -o decoded/
  ksom decode sampled.npy -o decoded/ --model photos-ksom
  ksom decode top.npy bottom.npy -o decoded/ --model photos-ksom-vqvae2 --size 250x180
  python sample.py | ksom decode - -o decoded/ --model photos-ksom
  ksom decode tokens/ -o decoded/                         # shards of tokens, as `ksom encode` makes them of shards

Codes that other programs made are whole numbers of any type, in a .npy file or a safetensors file with one tensor per
level: [h, w], [n, h, w], or flat with --size. Rows go from top to bottom, each from left to right.")]
pub struct DecodeArgs {
    /// A codes file, as `ksom encode` writes it; shards of tokens (.parquet, .tar) or a folder of them; or arrays of codes,
    /// one file per level, top first (- is standard input)
    #[arg(value_name = "CODES", required = true)]
    codes: Vec<PathBuf>,
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
    /// Width and height of every picture, for arrays of codes [default: what the codes cover]
    #[arg(long, value_name = "WxH", value_parser = size)]
    size: Option<[u32; 2]>,
    /// The array of all pictures' sizes that `ksom encode` writes where they differ (NAME.sizes.npy)
    #[arg(long, value_name = "FILE", conflicts_with = "size")]
    sizes: Option<PathBuf>,
}

/// What was written.
#[derive(Serialize)]
#[serde(untagged)]
pub enum DecodeReport {
    File(FileReport),
    #[cfg(feature = "shards")]
    Shards(crate::shards::ShardsDecoded),
}

/// What was written of files of codes.
#[derive(Serialize)]
pub struct FileReport {
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
    #[cfg(feature = "shards")]
    if let Some(shards) = crate::shards::named(&args.codes)? {
        if args.size.is_some() || args.sizes.is_some() {
            bail!(Usage(
                "shards of tokens know how large their pictures are: leave out --size and --sizes".to_string()
            ));
        }
        let (output, model) = (&args.output, args.model.as_deref());
        let decoded = crate::shards::decode(&shards, output, args.overwrite, model, settings)?;
        return Ok(DecodeReport::Shards(decoded));
    }
    let (file, found, model) = codes(&args, settings)?;
    let names = picture_file_names(file.names.iter().map(String::as_str));
    let outputs: Vec<PathBuf> = names.iter().map(|name| args.output.join(name)).collect();
    refuse_existing(&outputs, args.overwrite)?;
    create_folder(&args.output)?;

    let counter = Counter::new(&settings.console, outputs.len(), "pictures");
    let mut remaining = &file.images[..];
    let mut done = 0;
    while !remaining.is_empty() {
        let (batch, rest) = remaining.split_at(batch_len(remaining));
        for (picture, output) in model.decode_images(batch)?.iter().zip(&outputs[done..]) {
            create_folder_of(output)?;
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
    Ok(DecodeReport::File(FileReport { model: found.name, pictures }))
}

/// The codes, and the model that decodes them.
fn codes(args: &DecodeArgs, settings: &Settings) -> Result<(CodesFile, FoundModel, Model)> {
    let compute = settings.compute()?;
    let mut given = args.codes.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    if let [GivenCodes::File(_)] = given[..]
        && let Some(GivenCodes::File(file)) = given.pop()
    {
        if args.size.is_some() || args.sizes.is_some() {
            let path = args.codes[0].display();
            bail!(Usage(format!("{path} knows how large its pictures are: leave out --size and --sizes")));
        }
        let found = match &args.model {
            Some(name) => models::find(name, settings)?,
            None => models::built_in(zoo::find(&file.model).unwrap_or(zoo::default())),
        };
        let model = found.load(&compute)?;
        file.check(&model, &args.codes[0])?;
        return Ok((file, found, model));
    }
    let bare = BareCodes::join(given)?;
    let first = args.codes[0].display();
    let Some(name) = &args.model else {
        bail!("{first} does not say which model its codes belong to: name it with --model");
    };
    let sizes = match (&args.sizes, args.size) {
        (Some(path), _) => GivenSizes::read(path)?,
        (None, Some(size)) => GivenSizes::One(size),
        (None, None) if bare.is_flat() => {
            bail!(
                "{first} is a flat array: say how large the pictures are with --size WIDTHxHEIGHT, or with --sizes FILE"
            );
        }
        (None, None) => GivenSizes::Covered,
    };
    let found = models::find(name, settings)?;
    let model = found.load(&compute)?;
    let file = bare.describe(&model, &found.name, &sizes)?;
    file.check(&model, &args.codes[0])?;
    Ok((file, found, model))
}

fn read(path: &Path) -> Result<GivenCodes> {
    if path != Path::new(STREAM) {
        return Ok(GivenCodes::read(path)?);
    }
    let mut bytes = Vec::new();
    let input = std::io::stdin().lock();
    input.take(MAX_INPUT + 1).read_to_end(&mut bytes).context("cannot read standard input")?;
    if bytes.len() as u64 > MAX_INPUT {
        bail!("expected at most {MAX_INPUT} bytes on standard input, found more");
    }
    Ok(GivenCodes::from_bytes(bytes, Path::new("standard input"))?)
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
        match self {
            Self::File(report) => report.blocks(),
            #[cfg(feature = "shards")]
            Self::Shards(report) => report.blocks(),
        }
    }
}

impl Report for FileReport {
    fn blocks(&self) -> Vec<Block> {
        let line = |picture: &DecodedPicture| {
            Block::Line(format!("{} ({})", picture.output.display(), sides(&[picture.width, picture.height])))
        };
        let headline = Block::Line(format!("{} decoded", pictures(self.pictures.len())));
        self.pictures.iter().map(line).chain([headline]).collect()
    }
}
