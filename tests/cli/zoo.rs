//! The zoo: its tables and cards say what was recorded, its files are those that were measured, and its models do on a
//! few pictures what they did then.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::Workspace;

/// What a model's folder holds.
const FILES: [&str; 8] = [
    "README.md",
    "config.json",
    "curve.svg",
    "map.png",
    "metrics.jsonl",
    "model.safetensors",
    "recipe.toml",
    "samples.jpg",
];

fn zoo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(zoo(path)).unwrap()
}

fn listed(space: &Workspace) -> Vec<Value> {
    space.json(&["list"])["models"].as_array().unwrap().clone()
}

fn text(model: &Value, field: &str) -> String {
    model[field].as_str().unwrap().to_string()
}

fn number(model: &Value, field: &str, digits: usize) -> String {
    format!("{:.digits$}", model[field].as_f64().unwrap())
}

/// The values of a model's levels.
fn numbers(model: &Value, field: &str, digits: usize) -> String {
    let values = model[field].as_array().unwrap().iter().map(|value| format!("{:.digits$}", value.as_f64().unwrap()));
    values.collect::<Vec<_>>().join(", ")
}

fn codes(model: &Value) -> String {
    let codes = model["codes"].as_array().unwrap().iter().map(|level| format!("{} of {}", level[0], level[1]));
    codes.collect::<Vec<_>>().join(", ")
}

#[test]
fn the_tables_of_models_are_true() {
    let space = Workspace::new();
    let models = listed(&space);
    let expected: Vec<String> = models
        .iter()
        .map(|model| {
            let name = text(model, "name");
            let grid: Vec<String> = model["grid"].as_array().unwrap().iter().map(ToString::to_string).collect();
            let cells = [
                format!("[`{name}`]({name})"),
                text(model, "data"),
                text(model, "architecture"),
                text(model, "quantizer"),
                grid.join("×"),
                number(model, "mse", 5),
                format!("{} dB", number(model, "psnr", 2)),
                number(model, "ssim", 4),
                number(model, "bits_per_pixel", 4),
                codes(model),
                numbers(model, "topographic_error", 3),
                format!("{} bytes", model["bytes"]),
                format!("`{}`", text(model, "sha256")),
            ];
            format!("| {} |", cells.join(" | "))
        })
        .collect();
    let index = read("README.md");
    let rows: Vec<&str> = index.lines().filter(|line| line.starts_with("| [`")).collect();
    assert_eq!(rows, expected, "models/README.md");
    let readme = read("../README.md");
    for model in &models {
        let name = text(model, "name");
        let start = format!("| [`{name}`](models/{name}/README.md) |");
        let row = readme.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{name} in README.md"));
        for figure in [format!("{} dB", number(model, "psnr", 2)), number(model, "bits_per_pixel", 4)] {
            assert!(row.contains(&format!(" {figure} ")), "README.md: {row} should tell {figure}");
        }
    }
}

#[test]
fn cards_tell_what_was_measured() {
    for model in listed(&Workspace::new()) {
        let name = text(&model, "name");
        let card = read(&format!("{name}/README.md"));
        for row in [
            format!("| MSE, normalized units | {} |", number(&model, "mse", 5)),
            format!("| PSNR | {} dB |", number(&model, "psnr", 2)),
            format!("| SSIM | {} |", number(&model, "ssim", 4)),
            format!("| bits per pixel | {} |", number(&model, "bits_per_pixel", 4)),
            format!("| codes in use | {} |", codes(&model)),
            format!("| perplexity | {} |", numbers(&model, "perplexity", 1)),
            format!("| topographic error | {} |", numbers(&model, "topographic_error", 3)),
            format!("value: {}", number(&model, "mse", 5)),
        ] {
            assert!(card.contains(&row), "{name}: its card should tell {row}");
        }
    }
}

/// As `sha256sum -c SHA256SUMS` would.
#[test]
fn every_file_is_the_one_that_was_measured() {
    let space = Workspace::new();
    let mut pinned = BTreeSet::new();
    for line in read("SHA256SUMS").lines() {
        let (sum, file) = line.split_once("  ").unwrap();
        let bytes = std::fs::read(zoo(file)).unwrap();
        assert!(bytes.len() < 8_000_000, "{file} has {} bytes", bytes.len());
        assert_eq!(
            ksom_vqvae::system::sha256(&bytes),
            sum,
            "{file} has changed: `scripts/pin_zoo.sh` after measuring it anew"
        );
        pinned.insert(file.to_string());
    }
    let models = listed(&space).into_iter().map(|model| text(&model, "name"));
    let expected = models.flat_map(|name| FILES.map(|file| format!("{name}/{file}"))).collect();
    assert_eq!(pinned, expected);
}

/// `ksom compare examples/images -o compared.png --json` gave `models/examples.json`.
#[test]
fn every_model_does_on_photographs_what_was_recorded() {
    let space = Workspace::new();
    let photographs = zoo("../examples/images").display().to_string();
    let found = space.json(&["compare", &photographs, "-o", "compared.png"]);
    let recorded: Value = serde_json::from_str(&read("examples.json")).unwrap();
    let [found, recorded] = [found, recorded].map(|report| report["models"].as_array().unwrap().clone());
    assert_eq!(found.len(), recorded.len());
    for (found, recorded) in found.iter().zip(&recorded) {
        assert_eq!(found["model"], recorded["model"]);
        // Another instruction set rounds otherwise, which changes a code in thousands.
        for (measure, tolerance) in [("psnr", 0.01), ("ssim", 0.001), ("bits_per_pixel", 0.0)] {
            let [found, recorded] = [found, recorded].map(|model| model[measure].as_f64().unwrap());
            assert!((found - recorded).abs() <= tolerance, "{measure}: {found}, recorded {recorded}");
        }
    }
}

#[test]
fn the_default_model_fits_the_pictures() {
    let space = Workspace::new();
    let small = space.picture("small.png", 64, 40, 1);
    let large = space.picture("large.png", 68, 40, 1);
    for (picture, width, height) in [(&small, 64, 40), (&large, 68, 40)] {
        let expected = ksom_vqvae::zoo::default_for(width, height).name;
        let told = space.json(&["encode", picture, "-o", "codes.safetensors"]);
        assert_eq!(told["model"], expected);
        // The codes are decoded by the model that made them.
        let told = space.json(&["decode", "codes.safetensors", "-o", "decoded", "--overwrite"]);
        assert_eq!(told["model"], expected);
        // A folder of that name is another model, which was not asked for.
        std::fs::create_dir_all(space.path(expected)).unwrap();
        let told = space.json(&["reconstruct", picture, "-o", "out.png"]);
        assert_eq!(told["model"], expected);
        std::fs::create_dir_all(space.path("set")).unwrap();
        std::fs::copy(space.path(picture), space.path("set/picture.png")).unwrap();
        assert_eq!(space.json(&["eval", "--data", "folder:set"])["model"], expected);
    }
}
