//! `ksom export`

use std::path::PathBuf;

use anyhow::Result;
use candle_core::DType;
use clap::Args;
use ksom_vqvae::{Compute, Model};
use serde::Serialize;

use crate::failure::Usage;
use crate::files::{refuse_existing, refuse_stream};
use crate::models;
use crate::output::{Block, Report, bytes, table};
use crate::settings::Settings;

/// Write a model as ONNX files, for onnxruntime and other runtimes
#[derive(Args)]
#[command(after_help = "Examples:
  ksom export photos-ksom --onnx photos-onnx
  ksom export runs/mine --onnx runs/mine/onnx --half

DIR gets encoder.onnx (pixels to codes, the search for the nearest ones included) and decoder.onnx (codes to pixels).
Batch, height and width are open; height and width have to be multiples of 4, or 8 for a VQ-VAE-2: what does not fit is
padded by repeating the last row and column, and cropped after decoding, outside of the graphs. Their metadata names all
that, and docs/onnx.md shows how to run them in Python and in the browser.

--half stores weights as 16-bit floats, and all is computed in f32; with --dtype f16 the convolutions are computed in
f16, too.")]
pub struct ExportArgs {
    /// A model directory, the name of a built-in model (`ksom list`), or owner/name[@revision] on the Hub
    #[arg(value_name = "MODEL")]
    model: String,
    /// The folder for encoder.onnx and decoder.onnx
    #[arg(long, value_name = "DIR", required = true)]
    onnx: PathBuf,
    /// Store the network's weights as 16-bit floats; codebooks keep 32 bits
    #[arg(long)]
    half: bool,
    /// Leave normalization out of the graphs: pixels are (x - mean) / std then, on both sides
    #[arg(long)]
    no_normalization: bool,
    /// Replace files that are there already
    #[arg(long)]
    overwrite: bool,
}

/// What was written.
#[derive(Serialize)]
pub struct ExportReport {
    model: String,
    folder: PathBuf,
    files: Vec<ExportedFile>,
    opset: i64,
    ir_version: i64,
    /// What weights are stored in, and what convolutions compute in.
    weights: &'static str,
    computes_in: &'static str,
    /// Whether the graphs normalize.
    normalization: bool,
    /// Sides of pictures have to be multiples of this.
    downsample: usize,
    fingerprint: String,
}

/// A file that was written.
#[derive(Serialize)]
pub struct ExportedFile {
    path: PathBuf,
    bytes: usize,
    sha256: String,
}

/// The files of an export, and the versions of their format.
struct Exported {
    files: Vec<ExportedFile>,
    opset: i64,
    ir_version: i64,
}

pub fn run(args: ExportArgs, settings: &Settings) -> Result<ExportReport> {
    refuse_stream(&args.onnx)?;
    let computed = settings.dtype();
    let stored = match (args.half, computed) {
        (_, DType::BF16) => return Err(Usage("ONNX files compute in f32 or f16: choose another --dtype".into()).into()),
        (true, _) | (_, DType::F16) => DType::F16,
        _ => DType::F32,
    };
    refuse_existing(&["encoder.onnx", "decoder.onnx"].map(|name| args.onnx.join(name)), args.overwrite)?;
    let found = models::find(&args.model, settings)?;
    // Where it computes does not matter: nothing is computed.
    let model = found.load(&Compute::cpu())?;
    let Exported { files, opset, ir_version } = export(&model, found.last_name(), &args, (stored, computed))?;
    Ok(ExportReport {
        files,
        opset,
        ir_version,
        weights: stored.as_str(),
        computes_in: computed.as_str(),
        normalization: !args.no_normalization,
        downsample: model.stride(),
        fingerprint: model.fingerprint()?,
        model: args.model,
        folder: args.onnx,
    })
}

#[cfg(feature = "onnx")]
fn export(model: &Model, name: String, args: &ExportArgs, (stored, computed): (DType, DType)) -> Result<Exported> {
    use ksom_vqvae::onnx::{self, ExportOptions, Precision};

    let precision = match (stored, computed) {
        (_, DType::F16) => Precision::Half,
        (DType::F16, _) => Precision::HalfWeights,
        _ => Precision::F32,
    };
    let options = ExportOptions { name, precision, normalization: !args.no_normalization };
    let written = onnx::export(model, &args.onnx, &options)?;
    let files = written.map(|file| ExportedFile {
        path: args.onnx.join(file.name),
        bytes: file.contents.len(),
        sha256: ksom_vqvae::system::sha256(&file.contents),
    });
    Ok(Exported { files: files.into(), opset: onnx::OPSET, ir_version: onnx::IR_VERSION })
}

#[cfg(not(feature = "onnx"))]
fn export(_: &Model, _: String, _: &ExportArgs, _: (DType, DType)) -> Result<Exported> {
    anyhow::bail!(
        "this ksom was built without the feature `onnx`, so it writes no ONNX files: build it with the feature"
    )
}

impl Report for ExportReport {
    fn blocks(&self) -> Vec<Block> {
        let row =
            |file: &ExportedFile| vec![file.path.display().to_string(), bytes(file.bytes as u64), file.sha256.clone()];
        let numbers = match self.weights == self.computes_in {
            true => self.weights.to_string(),
            false => format!("weights in {}, computing in {}", self.weights, self.computes_in),
        };
        let pixels = if self.normalization { "0…1" } else { "normalized outside" };
        vec![
            table(&["file", "size", "SHA-256"], self.files.iter().map(row).collect()),
            Block::Line(format!(
                "ONNX opset {}, IR version {}; {numbers}; pixels {pixels}, sides multiples of {}",
                self.opset, self.ir_version, self.downsample
            )),
        ]
    }
}
