//! Codes files: refused, or pictures of the sizes that they state.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use ksom_quantizers::QuantizerConfig;
use ksom_vqvae::{Architecture, CodesFile, Compute, Model, ModelConfig};
use libfuzzer_sys::fuzz_target;

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let architecture = Architecture { hidden: 4, residual_hidden: 2, residual_layers: 1, ..Architecture::vqvae() };
    Model::init(&ModelConfig::new(architecture, QuantizerConfig::ksom(16, 4)), 3, &Compute::cpu()).unwrap()
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut file) = CodesFile::from_bytes(bytes.to_vec(), Path::new("codes.safetensors")) else { return };
    // No fuzzer guesses a hash.
    file.fingerprint = MODEL.fingerprint().unwrap();
    if file.check(&MODEL, Path::new("codes.safetensors")).is_ok() {
        for (picture, codes) in MODEL.decode_images(&file.images).unwrap().iter().zip(&file.images) {
            assert_eq!(picture.dimensions(), (codes.width, codes.height));
        }
    }
});
