//! A model as two ONNX files, for runtimes that know nothing of this crate: `encoder.onnx` turns pixels into codes, the
//! search for the nearest ones included, and `decoder.onnx` codes into pixels. docs/onnx.md has their interface.

mod graph;
mod layers;
mod metadata;
mod precision;
mod proto;
mod quantize;
mod vqvae;
mod vqvae2;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use prost::Message;

use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::config::{ArchitectureKind, Level};
use crate::onnx::graph::{Graph, Side};
use crate::onnx::proto::{GraphProto, ModelProto, OperatorSetIdProto};
use crate::system::files::write_atomic;
use crate::system::memory;

pub use precision::Precision;

/// The version of ONNX's operators that the graphs are made of.
pub const OPSET: i64 = 17;

/// The version of the file format.
pub const IR_VERSION: i64 = 8;

/// The names of the two files.
pub const FILES: [&str; 2] = ["encoder.onnx", "decoder.onnx"];

/// How a model is exported.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// What the model is called in the files' metadata.
    pub name: String,
    /// The numbers of weights and of computing.
    pub precision: Precision,
    /// Whether the graphs normalize pixels themselves, so that these are in 0 … 1 outside; else they are in the
    /// network's units.
    pub normalization: bool,
}

impl Default for ExportOptions {
    /// No name, f32, normalization inside.
    fn default() -> Self {
        Self { name: String::new(), precision: Precision::F32, normalization: true }
    }
}

/// An ONNX file.
pub struct OnnxFile {
    /// Its name: one of [`FILES`].
    pub name: &'static str,
    /// Its contents.
    pub contents: Vec<u8>,
}

/// Writes `encoder.onnx` and `decoder.onnx` into `dir`, which is created if needed; gives what was written.
///
/// # Errors
/// As [`files`], or they cannot be written. Each is then the one that was there, or the new one.
pub fn export(model: &Model, dir: impl AsRef<Path>, options: &ExportOptions) -> Result<[OnnxFile; 2]> {
    let dir = dir.as_ref();
    let files = files(model, options)?;
    std::fs::create_dir_all(dir).map_err(|source| Error::io("create", dir, source))?;
    let [encoder, decoder] = files.each_ref().map(|file| dir.join(file.name));
    let was_there = encoder.symlink_metadata().is_ok();
    write_atomic(&encoder, &files[0].contents)?;
    write_atomic(&decoder, &files[1].contents).inspect_err(|_| {
        if !was_there {
            // One without the other is no use, and would be in the way of the next attempt.
            let _ = std::fs::remove_file(&encoder);
        }
    })?;
    Ok(files)
}

/// The contents of both files. They depend on the model and the options alone.
///
/// # Errors
/// A weight is not finite in the type that it is to be kept in, the model is larger than the format allows (2 GiB), or
/// there is not enough memory.
pub fn files(model: &Model, options: &ExportOptions) -> Result<[OnnxFile; 2]> {
    // What is kept, and once more while it is written.
    let bytes = 4 * model.parameter_count()? as u64;
    memory::require(bytes.saturating_mul(3), || "exporting the model".to_string())?;
    let to_cpu = |tensor: &Tensor| -> Result<Tensor> { Ok(tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?) };
    let weights: BTreeMap<String, Tensor> =
        model.state()?.iter().map(|(name, tensor)| Ok((name.clone(), to_cpu(tensor)?))).collect::<Result<_>>()?;
    let codebooks: Vec<Tensor> =
        model.quantizers().iter().map(|quantizer| to_cpu(quantizer.codebook())).collect::<Result<_>>()?;
    let [encoder, decoder] = FILES;
    Ok([
        OnnxFile {
            name: encoder,
            contents: pack(model, options, encoder_graph(model, &weights, &codebooks, options)?)?,
        },
        OnnxFile {
            name: decoder,
            contents: pack(model, options, decoder_graph(model, &weights, &codebooks, options)?)?,
        },
    ])
}

/// Sides of pixels.
const PIXELS: [Side; 4] = [Side::Open("batch"), Side::Fixed(3), Side::Open("height"), Side::Open("width")];

/// Sides of a level's codes.
fn sides(level: &Level, levels: &[Level]) -> [Side; 3] {
    let coarser = levels.iter().any(|other| other.stride < level.stride);
    let (rows, columns) = if coarser { ("top_rows", "top_columns") } else { ("rows", "columns") };
    [Side::Open("batch"), Side::Open(rows), Side::Open(columns)]
}

fn meaning_of_codes(model: &Model, level: &Level) -> String {
    format!("0 to {}, one for each {1}x{1} pixels", model.config().quantizer.num_codes - 1, level.stride)
}

fn meaning_of_pixels(model: &Model, options: &ExportOptions) -> String {
    let units = if options.normalization { "in 0...1" } else { "normalized" };
    format!("RGB, {units}; height and width are multiples of {}", model.stride())
}

fn encoder_graph(
    model: &Model,
    weights: &BTreeMap<String, Tensor>,
    codebooks: &[Tensor],
    options: &ExportOptions,
) -> Result<GraphProto> {
    let config = model.config();
    let architecture = &config.architecture;
    let normalization = options.normalization.then_some(&config.preprocessing.normalization);
    let mut graph = Graph::new("encoder", weights, options.precision);
    let pixels = graph.input("pixels", DType::F32, &PIXELS, &meaning_of_pixels(model, options));
    let x = graph.normalized(&pixels, normalization)?;
    match architecture.kind {
        ArchitectureKind::VqVae => vqvae::encode(&mut graph, &x, config, codebooks)?,
        ArchitectureKind::VqVae2 => vqvae2::encode(&mut graph, &x, config, codebooks)?,
    }
    let levels = architecture.levels();
    for level in &levels {
        graph.output(level.name, DType::I64, &sides(level, &levels), &meaning_of_codes(model, level));
    }
    Ok(graph.finish())
}

fn decoder_graph(
    model: &Model,
    weights: &BTreeMap<String, Tensor>,
    codebooks: &[Tensor],
    options: &ExportOptions,
) -> Result<GraphProto> {
    let config = model.config();
    let architecture = &config.architecture;
    let normalization = options.normalization.then_some(&config.preprocessing.normalization);
    let mut graph = Graph::new("decoder", weights, options.precision);
    let levels = architecture.levels();
    let codes: Vec<String> = levels
        .iter()
        .map(|level| graph.input(level.name, DType::I64, &sides(level, &levels), &meaning_of_codes(model, level)))
        .collect();
    let x = match architecture.kind {
        ArchitectureKind::VqVae => vqvae::decode(&mut graph, &codes, architecture, codebooks)?,
        ArchitectureKind::VqVae2 => vqvae2::decode(&mut graph, &codes, architecture, codebooks)?,
    };
    graph.pixels(&x, normalization)?;
    graph.output("pixels", DType::F32, &PIXELS, &meaning_of_pixels(model, options));
    Ok(graph.finish())
}

fn pack(model: &Model, options: &ExportOptions, graph: GraphProto) -> Result<Vec<u8>> {
    let file = ModelProto {
        ir_version: Some(IR_VERSION),
        producer_name: Some("ksom".to_string()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_string()),
        doc_string: graph.name.as_ref().map(|part| format!("{part} of the ksom model {}", options.name)),
        opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(OPSET) }],
        metadata_props: metadata::entries(model, &options.name, options.precision, options.normalization)?,
        graph: Some(graph),
    };
    Ok(file.encode_to_vec())
}
