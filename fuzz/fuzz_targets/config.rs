//! `config.json`: refused, or a configuration that is written and read back as it is.
#![no_main]

use std::path::Path;

use ksom_vqvae::ModelConfig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let path = Path::new("config.json");
    if let Ok(config) = ModelConfig::parse(text, path) {
        assert_eq!(ModelConfig::parse(&config.to_json(), path).unwrap(), config);
    }
});
