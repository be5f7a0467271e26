//! A model from the Hugging Face Hub, and a picture as its codes.
//!
//! `cargo run --release -p ksom-vqvae --features hub --example pretrained -- owner/model photo.jpg`

use std::error::Error;
use std::path::Path;

use ksom_vqvae::{Compute, Hub, ImageCodes, Model};

/// Pulls the model and encodes the picture. (`Model::from_pretrained(name, …)` does the first two lines in one, with the
/// Hub that the environment names.)
pub fn run(hub: &Hub, name: &str, picture: &Path) -> Result<ImageCodes, Box<dyn Error>> {
    let pulled = hub.pull(&name.parse()?, &mut |_| ())?;
    let model = Model::load(pulled.folder, &Compute::cpu())?;

    let picture = ksom_datasets::decode_image(picture, &Default::default())?;
    model.encode_images(&[picture])?.pop().ok_or_else(|| "one picture has one set of codes".into())
}

#[allow(dead_code, reason = "a test calls `run` too")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, name, picture] = &arguments[..] else { return Err("usage: pretrained OWNER/MODEL PICTURE".into()) };
    for level in run(&Hub::from_env()?, name, Path::new(picture))?.levels {
        println!("{} codes, the first: {:?}", level.codes.len(), &level.codes[..level.codes.len().min(16)]);
    }
    Ok(())
}
