//! info, list, convert.

use std::path::{Path, PathBuf};

use crate::support::{Workspace, pixels};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/model").join(name)
}

#[test]
fn info_tells_what_a_model_is() {
    let space = Workspace::new();
    space.train("run", 3);
    let info = space.json(&["info", "run"]);
    assert_eq!(info["architecture"]["hidden"], 8);
    assert_eq!(info["quantizer"]["grid"], serde_json::json!([4, 4]));
    assert_eq!((&info["provenance"]["seed"], &info["provenance"]["steps"]), (&3.into(), &3.into()));
    assert_eq!(info["levels"][0]["bits_per_pixel"], 0.25);
    assert_eq!(info["levels"][0]["codebook_steps"], 3);
    assert_eq!(info["bytes"], std::fs::metadata(space.path("run/model.safetensors")).unwrap().len());
    let text = space.ok(&["info", "run"]).stdout;
    assert_eq!(info["levels"][0]["stored_bits_per_pixel"], 0.5);
    for field in
        ["VQ-VAE", "KSOM", "4×4: code k lies at (k % 4, k // 4)", "cifar10", info["fingerprint"].as_str().unwrap()]
    {
        assert!(text.contains(field), "{field}: {text}");
    }
}

#[test]
fn damaged_models_are_refused_by_name() {
    let space = Workspace::new();
    space.train("run", 0);
    let weights = space.path("run/model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() - 10]).unwrap();
    assert!(space.fails(&["info", "run"]).contains("model.safetensors"));
    std::fs::remove_file(&weights).unwrap();
    assert!(space.fails(&["info", "run"]).contains("model.safetensors"));
    std::fs::write(&weights, &bytes).unwrap();
    let config = std::fs::read_to_string(space.path("run/config.json")).unwrap();
    std::fs::write(space.path("run/config.json"), config.replace("\"hidden\": 8", "\"hidden\": 16")).unwrap();
    assert!(space.fails(&["info", "run"]).contains("do not fit"));
}

#[test]
fn the_papers_checkpoints_become_models_and_go_back() {
    let space = Workspace::new();
    let input = space.picture("a.png", 30, 22, 0);
    for name in ["torch-vqvae.pth", "torch-vqvae2.pth"] {
        let checkpoint = golden(name).display().to_string();
        let model = format!("models/{name}");
        let assumed = space.json(&["convert", &checkpoint, &model]);
        assert_eq!(assumed["assumed"], true);
        let info = space.json(&["info", &model]);
        assert_eq!(info["fingerprint"], assumed["fingerprint"]);

        let error = space.fails(&["convert", &checkpoint, &model]);
        assert!(error.contains("holds a model already"), "{error}");

        let out = format!("{name}.png");
        space.ok(&["reconstruct", &input, "-o", &out, "--model", &model]);
        assert_eq!(pixels(&space.path(&out)).dimensions(), (30, 22));

        // Back: the same tensors under the same names.
        let weights = format!("back/{name}.safetensors");
        space.ok(&["convert", &model, &weights]);
        let read = |path: PathBuf| candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
        let (back, original) = (read(space.path(&weights)), read(space.path(&model).join("model.safetensors")));
        assert_eq!(back.len(), original.len());
        for (name, tensor) in &original {
            let values = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert!(values(tensor) == values(&back[name]), "{name}");
        }

        let given = format!("given/{name}");
        space.ok(&["convert", &checkpoint, &given, "--mean", "0.5,0.25,0.125", "--std", "0.5,0.5,1"]);
        let normalization = &space.json(&["info", &given])["preprocessing"]["normalization"];
        assert_eq!(normalization["mean"], serde_json::json!([0.5, 0.25, 0.125]));
        assert_eq!(normalization["std"], serde_json::json!([0.5, 0.5, 1.0]));
        let error = space.fails(&["convert", &checkpoint, "bad", "--mean", "0,0,0", "--std", "1,0,1"]);
        assert!(error.contains("above 0") && !space.path("bad").exists(), "{error}");
    }
}

#[test]
fn models_are_stored_at_half_the_size() {
    let space = Workspace::new();
    space.train("run", 3);
    let input = space.picture("a.png", 30, 22, 0);
    let half = space.json(&["convert", "run", "half", "--half"]);
    assert_eq!(half["fingerprint"], space.json(&["info", "run"])["fingerprint"]);
    let bytes = |model: &str| std::fs::metadata(space.path(model).join("model.safetensors")).unwrap().len();
    assert!(bytes("half") < bytes("run"));
    for name in ["metrics.jsonl", "recipe.toml"] {
        let read = |model: &str| std::fs::read(space.path(model).join(name)).unwrap();
        assert!(read("half") == read("run"), "{name}");
    }
    // What is computed is nearly the same, and from then on nothing is lost.
    space.ok(&["convert", "half", "again"]);
    space.ok(&["convert", "again", "half-again", "--half"]);
    assert!(bytes("again") == bytes("run") && bytes("half-again") == bytes("half"));
    for model in ["run", "half", "again"] {
        space.ok(&["reconstruct", &input, "-o", &format!("{model}.png"), "--model", model]);
    }
    let picture = |name: &str| pixels(&space.path(name));
    let far = |a: &u8, b: &u8| a.abs_diff(*b) > 4;
    assert!(!picture("run.png").iter().zip(picture("half.png").iter()).any(|(a, b)| far(a, b)));
    assert!(picture("half.png") == picture("again.png"));
    let error = space.fails(&["convert", "run", "half", "--half"]);
    assert!(error.contains("holds a model already"), "{error}");
}

#[test]
fn models_are_compared_side_by_side() {
    let space = Workspace::new();
    space.train("run", 3);
    for (name, width, height) in [("p/a.png", 32, 16), ("p/b.png", 512, 256)] {
        space.picture(name, width, height, 1);
    }
    let report = space.json(&["compare", "p", "--model", "run", "--model", "cifar10-ksom", "-o", "sheet.png"]);
    assert_eq!((&report["pictures"], &report["models"][0]["model"]), (&2.into(), &"run".into()));
    // Three pictures of 256 × 128 in each of two rows, small ones enlarged, and their labels.
    let sheet = pixels(&space.path("sheet.png"));
    assert_eq!(sheet.width(), 3 * 256 + 4 * 8);
    assert!(sheet.height() > 2 * 128);
    let alone = space.json(&["reconstruct", "p", "-o", "out", "--model", "cifar10-ksom"]);
    assert_eq!(report["models"][1]["psnr"], alone["mean"]["psnr"]);
    let all = space.json(&["compare", "p/a.png", "-o", "sheet.png"]);
    assert_eq!(all["models"].as_array().unwrap().len(), ksom_vqvae::zoo::ZOO.len());
    let error = space.fails(&["compare", "p", "--model", "none", "-o", "sheet.png"]);
    assert!(error.contains("\"none\""), "{error}");
}
