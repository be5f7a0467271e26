//! A folder of pictures → a file of codes: pictures are decoded on threads while the model encodes.
//!
//! `cargo run --release -p ksom-vqvae --example encode_folder -- photos codes.safetensors`

use std::error::Error;
use std::path::Path;

use ksom_vqvae::codes::Packing;
use ksom_vqvae::ksom_datasets::{DecodeOptions, PictureFiles, ReadAhead};
use ksom_vqvae::{CodesFile, Compute, Model, zoo};

/// Encodes the pictures in `folder` and those below it; gives how many there are.
pub fn run(folder: &Path, output: &Path) -> Result<usize, Box<dyn Error>> {
    let files = PictureFiles::find([folder])?;
    println!("{} pictures; {}", files.len(), files.passed_over());
    let model = Model::builtin(zoo::DEFAULT, &Compute::cpu())?;
    let (mut names, mut codes) = (Vec::new(), Vec::new());
    let mut reading = ReadAhead::new(&files, &DecodeOptions::default());
    while let Some(batch) = reading.next() {
        let mut pictures = Vec::new();
        for picture in batch {
            match picture.outcome {
                Ok(decoded) => {
                    names.push(picture.name);
                    pictures.push(decoded.pixels);
                }
                Err(error) => println!("left out: {error}"),
            }
        }
        codes.extend(model.encode_images(&pictures)?);
        println!("{} of {}", reading.done(), reading.total());
    }
    let count = names.len();
    CodesFile::new(&model, zoo::DEFAULT, names, codes)?.write(output, Packing::Plain)?;
    Ok(count)
}

#[allow(dead_code, reason = "a test calls `run` too")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, output] = &arguments[..] else { return Err("usage: encode_folder FOLDER OUTPUT".into()) };
    run(Path::new(folder), Path::new(output)).map(drop)
}
