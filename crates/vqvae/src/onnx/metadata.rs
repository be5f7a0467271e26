//! What a file says of its model, for programs that know nothing else of it.

use serde::Serialize;
use serde_json::json;

use super::precision::Precision;
use super::proto::StringStringEntryProto;
use crate::codes::grid_layout;
use crate::error::Result;
use crate::model::Model;

/// The version of what is told, and of inputs and outputs.
pub(super) const FORMAT_VERSION: u32 = 1;

/// The entries, by name. Lists are JSON.
pub(super) fn entries(
    model: &Model,
    name: &str,
    precision: Precision,
    normalization_inside: bool,
) -> Result<Vec<StringStringEntryProto>> {
    let config = model.config();
    let (quantizer, normalization) = (&config.quantizer, &config.preprocessing.normalization);
    let stride = model.stride();
    let levels = config.architecture.levels().into_iter();
    let levels: Vec<_> = levels.map(|level| json!({"name": level.name, "pixels_per_code": level.stride})).collect();
    let normalized = match normalization_inside {
        true => "inside: pixels are RGB in 0...1",
        false => "outside: pixels are (x - mean) / std with x RGB in 0...1",
    };
    let entries = [
        ("ksom_onnx", FORMAT_VERSION.to_string()),
        ("model", name.to_string()),
        ("fingerprint", model.fingerprint()?),
        ("levels", list(&levels)),
        ("num_codes", quantizer.num_codes.to_string()),
        ("grid", list(&quantizer.grid)),
        ("grid_layout", grid_layout(&quantizer.grid)),
        ("downsample", stride.to_string()),
        (
            "padding",
            format!(
                "outside: bring height and width to multiples of {stride} by repeating the last row and column (NumPy's \
                 mode edge), and crop what is decoded"
            ),
        ),
        ("normalization", normalized.to_string()),
        ("mean", list(&normalization.mean)),
        ("std", list(&normalization.std)),
        ("weights", precision.stored().as_str().to_string()),
        ("computes_in", precision.computed().as_str().to_string()),
    ];
    let entry = |(key, value): (&str, String)| StringStringEntryProto { key: Some(key.into()), value: Some(value) };
    Ok(entries.map(entry).into())
}

/// A list as JSON.
fn list(values: &(impl Serialize + ?Sized)) -> String {
    // Numbers and strings: writing them cannot fail.
    serde_json::to_string(values).expect("a list is plain data")
}
