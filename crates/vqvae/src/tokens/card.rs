//! The card of a data set of tokens.

use std::fmt::Write;

use crate::error::{Error, Result};
use crate::tokens::form::TokenForm;
use crate::tokens::manifest::Manifest;
use crate::tokens::report::ShardReport;

/// The card of a folder of tokens that is to be `repository` on the Hub.
///
/// # Errors
/// The license is none that could be a name.
pub fn token_card(
    repository: &str,
    manifest: &Manifest,
    reports: &[ShardReport],
    license: Option<&str>,
) -> Result<String> {
    if let Some(license) = license
        && !license.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c))
    {
        return Err(Error::Invalid(format!("{license:?} is no license's name on the Hub, such as cc-by-4.0")));
    }
    let sum = |of: fn(&ShardReport) -> u64| reports.iter().map(of).sum::<u64>();
    let pictures = sum(|report| report.pictures as u64);
    let skipped = sum(|report| report.skipped.len() as u64);
    let (codes, bytes) = (sum(|report| report.codes), sum(|report| report.bytes));
    let extension = manifest.form.extension();
    let mut card = "---\n".to_string();
    if let Some(license) = license {
        card += &format!("license: {license}\n");
    }
    card += "tags:\n- vq-vae\n- image-tokens\n- ksom\n";
    if manifest.form == TokenForm::Parquet {
        card += "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: \"**/*.parquet\"\n";
        card += &features(manifest);
    }
    let name = repository.rsplit('/').next().unwrap_or(repository);
    // Writing to a string does not fail.
    let _ = write!(
        card,
        "---\n\n# {name}\n\n{pictures} pictures as discrete codes, made by [ksom](https://github.com/ksom-rs/ksom) with the model `{}`{}.\n\n",
        manifest.model,
        manifest.commit.as_ref().map(|commit| format!(" (commit {commit})")).unwrap_or_default(),
    );
    let shapes = match &manifest.shapes {
        Some(shapes) => {
            let each = manifest.levels.iter().zip(shapes).map(|(level, [h, w])| format!("`{level}` {h}×{w}"));
            each.collect::<Vec<_>>().join(", ")
        }
        None => format!("{} of each picture's own shape", manifest.levels.join(", ")),
    };
    let _ = write!(
        card,
        "| | |\n|---|---|\n| codes | {codes} of 0 … {}, {} |\n| shapes | {shapes} |\n| grid | {} |\n| shards | {} files of .{extension}, {bytes} bytes |\n| left out | {skipped} pictures, listed in the shards' reports |\n| fingerprint | `{}` |\n\n",
        manifest.num_codes - 1,
        manifest.code_type,
        manifest.grid_layout,
        reports.len(),
        manifest.fingerprint,
    );
    card += &match manifest.form {
        TokenForm::Parquet => format!(
            "```python\nfrom datasets import load_dataset\n\ntokens = load_dataset(\"{repository}\", split=\"train\").with_format(\"torch\")\ncodes = tokens[0][\"{}\"]  # [h, w]\n```\n",
            manifest.levels[0]
        ),
        TokenForm::Tar => format!(
            "Each shard is a WebDataset: `KEY.{}.npy` beside the other members of its sample.\n",
            manifest.levels[0]
        ),
        TokenForm::Safetensors | TokenForm::Packed => "Each shard is a codes file of ksom.\n".to_string(),
    };
    card += "\nBack to pictures: `ksom decode FILES -o pictures/";
    card += &format!(" --model {}`\n", manifest.model);
    Ok(card)
}

/// The columns as Python's `datasets` keeps them, where codes have one shape, which Parquet itself cannot say.
fn features(manifest: &Manifest) -> String {
    let Some(shapes) = &manifest.shapes else { return String::new() };
    let mut columns = vec![("key".to_string(), "string".to_string())];
    for (level, [h, w]) in manifest.levels.iter().zip(shapes) {
        let suffix = level.strip_prefix("codes").unwrap_or_default();
        let codes = format!("{{array2_d: {{shape: [{h}, {w}], dtype: {}}}}}", manifest.code_type);
        columns.push((level.clone(), codes));
        columns.extend(["height", "width"].map(|side| (format!("{side}{suffix}"), "int32".to_string())));
    }
    let others = [
        ("image_height", "int32"),
        ("image_width", "int32"),
        ("label", "int64"),
        ("json", "string"),
        ("txt", "string"),
    ];
    columns.extend(others.map(|(name, dtype)| (name.to_string(), dtype.to_string())));
    let lines = columns.into_iter().map(|(name, dtype)| format!("  - name: {name}\n    dtype: {dtype}\n"));
    format!("dataset_info:\n  features:\n{}", lines.collect::<String>())
}
