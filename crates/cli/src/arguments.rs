//! Arguments that several commands take.

use std::ffi::OsString;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueEnum};
use ksom_datasets::DataSpec;

/// Options that every command takes.
#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Where to compute: auto, cpu, cuda, cuda:N or metal
    #[arg(long, global = true, default_value = "auto", value_parser = device_name)]
    pub device: String,
    /// Number type to compute in; of a training, its matrix products alone, and bf16 at the least
    #[arg(long, global = true, value_enum, default_value_t = Precision::F32)]
    pub dtype: Precision,
    /// Use candle's own operations only, as on CUDA and Metal
    #[arg(long, global = true)]
    pub portable: bool,
    /// Let CUDA round the factors of f32 products to TF32, which is faster
    #[arg(long, global = true)]
    pub tf32: bool,
    /// No progress and no notes on stderr; warnings and errors remain
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Print the result as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    F32,
    F16,
    Bf16,
}

fn device_name(text: &str) -> Result<String, String> {
    let ordinal = text.strip_prefix("cuda:").is_some_and(|ordinal| ordinal.parse::<usize>().is_ok());
    if ordinal || ["auto", "cpu", "cuda", "metal"].contains(&text) {
        return Ok(text.to_string());
    }
    Err("expected auto, cpu, cuda, cuda:N or metal".to_string())
}

/// Which model a command uses.
#[derive(Args)]
pub struct ModelArgs {
    /// A model directory, the name of a built-in model (`ksom list`), or owner/name[@revision] on the Hub [default: a
    /// built-in one that fits the first picture's size]
    #[arg(long, short, value_name = "MODEL")]
    pub model: Option<String>,
}

/// Which pictures a command takes.
#[derive(Args)]
pub struct PictureArgs {
    /// Picture files, folders (searched recursively) or patterns such as 'photos/*.jpg'
    #[arg(value_name = "IMAGES", required = true)]
    pub images: Vec<OsString>,
    /// Leave out pictures that cannot be read, with a warning for each, instead of stopping
    #[arg(long)]
    pub skip_unreadable: bool,
}

/// The name of a data set, whose path need not be Unicode.
pub fn data_spec() -> impl TypedValueParser<Value = DataSpec> {
    OsStringValueParser::new().try_map(|text| DataSpec::from_os_str(&text))
}

/// A width and height in pixels, `WxH`.
pub fn size(text: &str) -> Result<[u32; 2], String> {
    let side = |text: &str| text.parse::<u32>().ok().filter(|side| (1..=65_535).contains(side));
    match text.split_once(['x', '×']) {
        Some((width, height)) if let (Some(width), Some(height)) = (side(width), side(height)) => Ok([width, height]),
        _ => Err("expected WIDTHxHEIGHT in pixels, such as 256x256".to_string()),
    }
}

/// One number per channel, `R,G,B`.
pub fn channels(text: &str) -> Result<[f32; 3], String> {
    let values: Result<Vec<f32>, _> = text.split(',').map(|value| value.trim().parse()).collect();
    match values.as_deref() {
        Ok(&[r, g, b]) if [r, g, b].iter().all(|value: &f32| value.is_finite()) => Ok([r, g, b]),
        _ => Err("expected three numbers, such as 0.5,0.5,0.5".to_string()),
    }
}
