//! The table of models says what `ksom list` says.

use std::path::Path;

use crate::support::Workspace;

#[test]
fn the_table_of_models_is_true() {
    let space = Workspace::new();
    let listed = space.json(&["list"]);
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with("| [`")).collect();
    let models = listed["models"].as_array().unwrap();
    assert_eq!(rows.len(), models.len());
    for (row, model) in rows.into_iter().zip(models) {
        let text = |field: &str| model[field].as_str().unwrap().to_string();
        let number = |field: &str, digits: usize| format!("{:.digits$}", model[field].as_f64().unwrap());
        let name = text("name");
        let grid: Vec<String> = model["grid"].as_array().unwrap().iter().map(ToString::to_string).collect();
        let codes: Vec<String> =
            model["codes"].as_array().unwrap().iter().map(|level| format!("{} of {}", level[0], level[1])).collect();
        let expected = [
            format!("[`{name}`]({name})"),
            text("data"),
            text("quantizer"),
            grid.join("×"),
            number("mse", 4),
            format!("{} dB", number("psnr", 2)),
            codes.join(", "),
            number("bits_per_pixel", 4),
            format!("{} bytes", model["bytes"]),
            format!("`{}`", text("sha256")),
        ];
        assert_eq!(row, format!("| {} |", expected.join(" | ")));
        // The files are those that the program carries.
        for file in ["config.json", "model.safetensors", "README.md", "recipe.toml", "metrics.jsonl"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(&name).join(file);
            assert!(path.is_file(), "{}", path.display());
        }
    }
}
