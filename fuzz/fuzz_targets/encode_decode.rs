//! Pictures of arbitrary sizes and pixels: codes and a picture of the same size, alone and among others.
#![no_main]

use std::sync::LazyLock;

use ksom_datasets::RgbImage;
use ksom_quantizers::QuantizerConfig;
use ksom_vqvae::{Architecture, Compute, Model, ModelConfig};
use libfuzzer_sys::fuzz_target;

static MODELS: LazyLock<[Model; 2]> = LazyLock::new(|| {
    [Architecture::vqvae(), Architecture::vqvae2()].map(|architecture| {
        let architecture = Architecture { hidden: 6, residual_hidden: 3, residual_layers: 1, ..architecture };
        Model::init(&ModelConfig::new(architecture, QuantizerConfig::ksom(7, 3)), 3, &Compute::cpu()).unwrap()
    })
});

fuzz_target!(|input: (bool, Vec<(u8, u8, u8)>)| {
    let (two_levels, pictures) = input;
    let model = &MODELS[usize::from(two_levels)];
    let make = |&(width, height, seed): &(u8, u8, u8)| {
        let (width, height) = (u32::from(width % 67) + 1, u32::from(height % 67) + 1);
        RgbImage::from_fn(width, height, |x, y| [x as u8 ^ seed, y as u8, seed].into())
    };
    let pictures: Vec<RgbImage> = pictures.iter().take(4).map(make).collect();
    let codes = model.encode_images(&pictures).unwrap();
    let decoded = model.decode_images(&codes).unwrap();
    for ((picture, codes), decoded) in pictures.iter().zip(&codes).zip(&decoded) {
        assert_eq!(decoded.dimensions(), picture.dimensions());
        assert_eq!(&model.encode_images(std::slice::from_ref(picture)).unwrap()[0], codes);
    }
});
