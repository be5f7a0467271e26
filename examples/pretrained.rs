//! A model from the Hugging Face Hub: to encode with, and to train on from.
//!
//! `cargo run --release -p ksom-vqvae --features hub --example pretrained -- owner/model photo.jpg`
//!
//! Both calls block. From async code, make them inside `tokio::task::spawn_blocking`.

use std::error::Error;
use std::path::Path;

use ksom_vqvae::ksom_datasets::{DecodeOptions, decode_image};
use ksom_vqvae::training::Base;
use ksom_vqvae::{Compute, Hub, ImageCodes, Model};

/// A picture as its codes. (`Model::from_pretrained(name, …)` does the first two lines in one, with the Hub that the
/// environment names.)
pub fn encode(hub: &Hub, name: &str, picture: &Path) -> Result<ImageCodes, Box<dyn Error>> {
    let pulled = hub.pull(&name.parse()?, &mut |_| ())?;
    let model = Model::load(pulled.folder, &Compute::cpu())?;

    let picture = decode_image(picture, &DecodeOptions::default())?;
    model.encode_images(&[picture])?.pop().ok_or_else(|| "one picture has one set of codes".into())
}

/// The same model to train on from, with its origin for the record: for `Trainer::start`.
pub fn to_train_on(hub: &Hub, name: &str) -> Result<Base, Box<dyn Error>> {
    let pulled = hub.pull(&name.parse()?, &mut |_| ())?;
    let model = Model::load(&pulled.folder, &Compute::cpu())?.into_trainable()?;
    Ok(Base { model, name: name.into(), revision: Some(pulled.commit) })
}

#[allow(dead_code, reason = "a test calls both functions too")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, name, picture] = &arguments[..] else { return Err("usage: pretrained OWNER/MODEL PICTURE".into()) };
    for level in encode(&Hub::from_env()?, name, Path::new(picture))?.levels {
        println!("{} codes, the first: {:?}", level.codes.len(), &level.codes[..level.codes.len().min(16)]);
    }
    Ok(())
}
