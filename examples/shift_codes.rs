//! A picture whose codes all move one cell along the map: what it becomes, and how far that is from the original.
//!
//! `cargo run --release -p ksom-vqvae --features zoo --example shift_codes -- photo.jpg shifted.png`

use std::error::Error;
use std::path::Path;

use ksom_vqvae::codes::shift_codes;
use ksom_vqvae::evaluation::metrics::{mse, psnr};
use ksom_vqvae::ksom_datasets::{DecodeOptions, decode_image};
use ksom_vqvae::{Compute, Model};

/// Writes the picture decoded from codes that are `offset` cells further along the first axis; gives its PSNR in dB.
pub fn run(input: &Path, output: &Path, offset: i64) -> Result<f64, Box<dyn Error>> {
    let picture = decode_image(input, &DecodeOptions::default())?;
    let model = Model::builtin("photos-ksom", &Compute::cpu())?;
    let codes = model.encode_images(std::slice::from_ref(&picture))?.remove(0);

    let shifted = shift_codes(&model, &codes, 0, offset)?;
    let decoded = model.decode_images(&[shifted])?.remove(0);
    decoded.save(output)?;
    Ok(psnr(mse(&picture, &decoded)?))
}

#[allow(dead_code, reason = "a test calls `run` too")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, input, output] = &arguments[..] else { return Err("usage: shift_codes INPUT OUTPUT".into()) };
    for offset in [0, 1] {
        println!("{offset} cells: {:.2} dB", run(Path::new(input), Path::new(output), offset)?);
    }
    Ok(())
}
