//! A picture through the library: encode, look at the codes, decode, save.
//!
//! `cargo run --release -p ksom-vqvae --example encode_image -- photo.jpg reconstruction.png`

use std::error::Error;
use std::path::Path;

use ksom_datasets::{DecodeOptions, decode_image};
use ksom_vqvae::evaluation::metrics;
use ksom_vqvae::{Compute, Model, zoo};

/// Writes the reconstruction of `input` to `output` and gives its PSNR in dB.
pub fn run(input: &Path, output: &Path) -> Result<f64, Box<dyn Error>> {
    let picture = decode_image(input, &DecodeOptions::default())?;
    // The model of the zoo that fits pictures of this size; or Model::load("a/model/directory", &Compute::cpu()).
    let model = Model::builtin(zoo::default_for(picture.width(), picture.height()).name, &Compute::cpu())?;
    let codes = model.encode_images(std::slice::from_ref(&picture))?;
    let grid = &codes[0].levels[0];
    println!("{}×{} pixels became {}×{} codes", picture.width(), picture.height(), grid.width, grid.height);
    println!("the first row begins {:?}", &grid.codes[..grid.width.min(8)]);

    let reconstruction = model.decode_images(&codes)?.remove(0);
    reconstruction.save(output)?;
    let psnr = metrics::psnr(metrics::mse(&picture, &reconstruction)?);
    println!("{}: {psnr:.2} dB", output.display());
    Ok(psnr)
}

#[allow(dead_code, reason = "a test calls `run` too")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, input, output] = &arguments[..] else { return Err("usage: encode_image INPUT OUTPUT".into()) };
    run(Path::new(input), Path::new(output)).map(drop)
}
