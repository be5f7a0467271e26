//! A model from the Hugging Face Hub, and a picture as its codes.
//!
//! `cargo run --release -p ksom-vqvae --features hub --example pretrained -- owner/model photo.jpg`

use std::error::Error;

use ksom_vqvae::{Compute, Model};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, name, picture] = &arguments[..] else { return Err("usage: pretrained OWNER/MODEL PICTURE".into()) };

    let model = Model::from_pretrained(name, &Compute::cpu())?;
    let codes = model.encode_images(&[ksom_datasets::decode_image(picture, &Default::default())?])?;

    for level in codes.iter().flat_map(|picture| &picture.levels) {
        println!("{} codes, the first: {:?}", level.codes.len(), &level.codes[..level.codes.len().min(16)]);
    }
    Ok(())
}
