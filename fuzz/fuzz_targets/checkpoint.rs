//! `model.safetensors`: refused, or a model that encodes.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use ksom_datasets::RgbImage;
use ksom_quantizers::QuantizerConfig;
use ksom_vqvae::{Architecture, Compute, Model, ModelConfig, weights_path};
use libfuzzer_sys::fuzz_target;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap().keep();
    let architecture = Architecture { hidden: 2, residual_hidden: 1, residual_layers: 0, ..Architecture::vqvae() };
    let config = ModelConfig::new(architecture, QuantizerConfig::ksom(2, 1));
    std::fs::write(folder.join("config.json"), config.to_json()).unwrap();
    folder
});

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(weights_path(&FOLDER), bytes).unwrap();
    if let Ok(model) = Model::load(&*FOLDER, &Compute::cpu()) {
        model.encode_images(&[RgbImage::new(5, 3)]).unwrap();
    }
});
