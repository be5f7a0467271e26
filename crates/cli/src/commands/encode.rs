//! `ksom encode`

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use ksom_datasets::Preprocess;
use ksom_datasets::loading::{Crop, Filter, Resize, ResizeMode};
use ksom_vqvae::CodesFile;
use ksom_vqvae::codes::{Packing, grid_layout};
use ksom_vqvae::evaluation::metrics;
use serde::Serialize;

use crate::arguments::{ModelArgs, PictureArgs, size};
use crate::failure::Usage;
use crate::files::{STREAM, create_folder_of, refuse_input, refuse_stream};
use crate::models;
use crate::output::{Block, Report, bytes, pictures, significant};
use crate::pictures::{find, first_size, for_each_batch};
use crate::settings::Settings;

/// Turn pictures into a file of discrete codes, or shards of pictures into shards of tokens
#[derive(Args)]
#[command(after_help = "Examples:
  ksom encode photo.jpg -o codes.safetensors
  ksom encode photos/ -o codes.safetensors --compress
  ksom encode photos/ 'more/*.png' -o codes.npy --size 256x256 --resize shorter-side --model runs/ksom
  ksom encode 'shards/{000000..000127}.tar' -o tokens/ --size 256x256
  ksom encode 'shards/*.parquet' -o tokens/ --form tar --part 3/16
  ksom encode 'https://host/shards/{000000..000127}.tar' -o tokens/ --model photos-ksom
  aws s3 cp s3://bucket/000123.tar - | ksom encode - -o tokens/000123.parquet --model photos-ksom

Codes are rows of a picture from top to bottom, each from left to right. What a code means is its place on the
codebook's grid: on a grid of W×H, code k lies in column k % W and row k // W: the first axis is the fastest, and
`ksom info MODEL` tells W and H. (NumPy's order is the other one: codebook.reshape(H, W, D)[k // W, k % W].)

Shards are .tar, .tar.gz, .tar.zst (as WebDataset has them) or .parquet files; tar files are read from the web, too. Each
becomes a file of tokens with the same keys, and a report of what was skipped and why. Whatever lacks its tokens is done
when the command is given again, by any number of processes at once; docs/scale.md shows how clusters start them.")]
pub struct EncodeArgs {
    #[command(flatten)]
    pictures: PictureArgs,
    /// The file to write, replaced if it is there: .safetensors, or .npy for NumPy arrays (a model of two levels and
    /// pictures of several sizes need several, which lie beside it); of shards the folder for their tokens
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Of shards: what their tokens become: Parquet files, tar files with the samples' other members, codes files, or
    /// codes files whose codes are compressed [default: parquet]
    #[cfg(feature = "shards")]
    #[arg(long, value_enum)]
    form: Option<Form>,
    /// Of shards: do part i of n, with i from 0 to n - 1 [default: the part that a Slurm array, MPI or torchrun says, else
    /// all]
    #[cfg(feature = "shards")]
    #[arg(long, value_name = "i/n")]
    part: Option<ksom_vqvae::tokens::Part>,
    /// Write each level's codes as a NumPy array beside it too, replacing what is there
    #[arg(long)]
    npy: bool,
    /// Write codes in about half the bytes, which only `ksom decode` reads
    #[arg(long, conflicts_with = "npy")]
    compress: bool,
    /// Bring every picture to this size first, so that all have codes of one shape
    #[arg(long, value_name = "WxH", value_parser = size)]
    size: Option<[u32; 2]>,
    /// How pictures of another shape get that size
    #[arg(long, value_enum, default_value_t = ResizeTo::Squash, requires = "size")]
    resize: ResizeTo,
    /// Keep the middle of every picture, after the resize if there is one
    #[arg(long, value_name = "WxH", value_parser = size)]
    crop: Option<[u32; 2]>,
    #[command(flatten)]
    model: ModelArgs,
}

/// What a resize does to pictures of another shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ResizeTo {
    /// Exactly that size, whatever the shape
    Squash,
    /// The shape is kept, the size covered, and the middle cut out
    ShorterSide,
}

/// What the tokens of a shard become.
#[cfg(feature = "shards")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Parquet,
    Tar,
    Safetensors,
    Packed,
}

/// What was written.
#[derive(Serialize)]
#[serde(untagged)]
pub enum EncodeReport {
    File(FileReport),
    #[cfg(feature = "shards")]
    Shards(crate::shards::ShardsEncoded),
}

/// The file that was written.
#[derive(Serialize)]
pub struct FileReport {
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
    /// Of the files that hold the codes.
    bytes: u64,
    /// The same per pixel: what lies on disk, with names and sizes.
    file_bits_per_pixel: f64,
    /// Where a code lies on its grid.
    grid_layout: String,
}

pub fn run(args: EncodeArgs, settings: &Settings) -> Result<EncodeReport> {
    let preprocess = preprocess(&args);
    preprocess.check()?;
    #[cfg(feature = "shards")]
    {
        if crate::shards::are_meant(&args.pictures.images)? {
            return encode_shards(args, preprocess, settings);
        }
        if args.form.is_some() || args.part.is_some() {
            bail!(Usage("--form and --part are for shards (.tar, .tar.gz, .tar.zst, .parquet)".to_string()));
        }
    }
    if args.pictures.images.iter().any(|image| image == STREAM) {
        bail!(Usage(
            "- as a picture would be standard input, from which none is read: name a file (./- for one of that name)"
                .to_string()
        ));
    }
    let inputs = find(&args.pictures)?;
    refuse_input(&args.output, inputs.iter().map(|input| input.path.as_path()))?;
    let as_npy = is_npy(&args)?;
    let fitting = || preprocess.size().or_else(|| first_size(&inputs));
    let found = models::find_fitting(args.model.model.as_deref(), fitting, settings)?;
    let model = found.load(&settings.compute()?)?;
    let all_names: Vec<String> = inputs.iter().map(|input| input.name.clone()).collect();
    let (mut names, mut images) = (Vec::new(), Vec::new());
    let count = for_each_batch(inputs, args.pictures.skip_unreadable, &settings.console, |numbers, pictures| {
        if preprocess == Preprocess::default() {
            images.extend(model.encode_images(pictures)?);
        } else {
            let sized = numbers.iter().zip(pictures);
            let sized = sized.map(|(&number, picture)| preprocess.apply(picture.clone(), &all_names[number], None));
            images.extend(model.encode_images(&sized.collect::<Result<Vec<_>, _>>()?)?);
        }
        names.extend(numbers.iter().map(|&number| all_names[number].clone()));
        Ok(())
    })?;

    let codes = images.iter().flat_map(|image| &image.levels).map(|grid| grid.codes.len()).sum();
    let pixels: f64 = images.iter().map(|image| f64::from(image.width) * f64::from(image.height)).sum();
    let file = CodesFile::new(&model, &found.name, names, images)?;
    create_folder_of(&args.output)?;
    let mut npy = Vec::new();
    if as_npy {
        npy = file.write_npy(&args.output, true)?;
    } else {
        let packing = if args.compress { Packing::Compressed } else { Packing::Plain };
        file.write(&args.output, packing)?;
        if args.npy {
            npy = file.write_npy(&args.output, false)?;
        }
    }
    let written: &[PathBuf] = if as_npy { &npy } else { std::slice::from_ref(&args.output) };
    let mut bytes = 0;
    for file in written {
        bytes += std::fs::metadata(file)?.len();
    }
    Ok(EncodeReport::File(FileReport {
        npy,
        model: found.name,
        fingerprint: file.fingerprint,
        pictures: count.read,
        skipped: count.skipped,
        passed_over: count.passed_over,
        codes,
        bits_per_pixel: metrics::bits_per_pixel(model.config().quantizer.num_codes, codes as f64, pixels),
        bytes,
        file_bits_per_pixel: 8.0 * bytes as f64 / pixels,
        grid_layout: grid_layout(&model.config().quantizer.grid),
        output: args.output,
    }))
}

#[cfg(feature = "shards")]
fn encode_shards(args: EncodeArgs, preprocess: Preprocess, settings: &Settings) -> Result<EncodeReport> {
    use ksom_vqvae::tokens::TokenForm;

    if args.npy {
        bail!(Usage(
            "--npy is for a .safetensors file; shards of tokens hold NumPy arrays with --form tar".to_string()
        ));
    }
    let form = match (args.form, args.compress) {
        (None | Some(Form::Safetensors), true) => Some(TokenForm::Packed),
        (Some(form), true) if form != Form::Packed => {
            bail!(Usage("--compress is --form packed: leave out one of --compress and --form".to_string()))
        }
        (form, _) => form.map(|form| match form {
            Form::Parquet => TokenForm::Parquet,
            Form::Tar => TokenForm::Tar,
            Form::Safetensors => TokenForm::Safetensors,
            Form::Packed => TokenForm::Packed,
        }),
    };
    let shards = crate::shards::EncodeShards {
        inputs: &args.pictures.images,
        output: &args.output,
        form,
        part: args.part,
        preprocess,
        model: args.model.model.as_deref(),
    };
    Ok(EncodeReport::Shards(crate::shards::encode(shards, settings)?))
}

/// Whether the output is a NumPy array; refuses names that promise something else.
fn is_npy(args: &EncodeArgs) -> Result<bool> {
    refuse_stream(&args.output)?;
    let extension = args.output.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match extension.as_str() {
        "" | "safetensors" => Ok(false),
        "npy" if args.npy || args.compress => {
            bail!(Usage("--npy and --compress are for a .safetensors file: name one as --output".to_string()))
        }
        "npy" => Ok(true),
        _ => bail!(Usage(format!("{} should end in .safetensors or .npy", args.output.display()))),
    }
}

/// What is done to every picture: the same code that training uses.
fn preprocess(args: &EncodeArgs) -> Preprocess {
    let center = |[width, height]: [u32; 2]| Crop::Center { width, height };
    let (resize, crop) = match args.size {
        Some([width, height]) => {
            let (mode, own) = match args.resize {
                ResizeTo::Squash => (ResizeMode::Squash, Crop::None),
                ResizeTo::ShorterSide => (ResizeMode::ShorterSide, center([width, height])),
            };
            (Some(Resize { width, height, mode, filter: Filter::default() }), own)
        }
        None => (None, Crop::None),
    };
    Preprocess { resize, crop: args.crop.map_or(crop, center), ..Preprocess::default() }
}

impl Report for EncodeReport {
    fn blocks(&self) -> Vec<Block> {
        match self {
            Self::File(report) => report.blocks(),
            #[cfg(feature = "shards")]
            Self::Shards(report) => report.blocks(),
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::File(report) => report.exit_code(),
            #[cfg(feature = "shards")]
            Self::Shards(report) => report.exit_code(),
        }
    }
}

impl Report for FileReport {
    fn blocks(&self) -> Vec<Block> {
        let is_output = |path: &&PathBuf| path.as_path() == Path::new(&self.output);
        let arrays = self.npy.iter().filter(|path| !is_output(path));
        let as_npy = self.output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"));
        let to = match (as_npy, self.npy.iter().any(|path| is_output(&path))) {
            (true, false) => String::new(),
            _ => format!("{}, ", self.output.display()),
        };
        let mut lines = vec![Block::Line(format!(
            "{} → {} codes, {} bits per pixel → {to}{}, {} bits per pixel on disk",
            pictures(self.pictures),
            self.codes,
            significant(self.bits_per_pixel),
            bytes(self.bytes),
            significant(self.file_bits_per_pixel),
        ))];
        lines.extend(arrays.map(|path| Block::Line(format!("as NumPy array: {}", path.display()))));
        lines
    }
}
