//! Whether codes that a browser has found are the nearest ones: `ties MODEL PICTURE CODES...`, with a file of little-endian
//! u32 per level, top first. Prints what was found as JSON.

use std::error::Error;

use candle_core::{DType, Tensor};
use image::RgbImage;
use ksom_datasets::loading::Converter;
use ksom_vqvae::{Compute, Model};

/// Distances that differ by less, as a part of the smaller one, are as good as equal.
const EQUAL: f64 = 1e-5;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, picture, files @ ..] = args.as_slice() else { return Err("ties MODEL PICTURE CODES...".into()) };
    let model = Model::builtin(name, &Compute::cpu())?;
    let picture = ksom_datasets::decode_image(picture, &Default::default())?;
    let own = model.encode_images(std::slice::from_ref(&picture))?.remove(0);
    let pixels = Converter::new(&model.config().preprocessing.normalization)?.to_tensor(&[padded(&picture, &model)])?;

    let mut given = Vec::new();
    let mut different = 0;
    for (file, level) in files.iter().zip(&own.levels) {
        let bytes = std::fs::read(file)?;
        let codes: Vec<u32> = bytes.chunks_exact(4).map(|four| u32::from_le_bytes(four.try_into().unwrap())).collect();
        if codes.len() != level.codes.len() {
            return Err(format!("expected {} codes in {file}, found {}", level.codes.len(), codes.len()).into());
        }
        different += codes.iter().zip(&level.codes).filter(|(a, b)| a != b).count();
        given.push(Tensor::from_vec(codes, (1, level.height, level.width), &candle_core::Device::Cpu)?);
    }
    // The lower level looks at the codes of the upper one: those that were given.
    let output = model.forward_with_codes(&pixels, &given)?;
    let (mut count, mut equal, mut wrong) = (0, 0, 0);
    for ((level, codes), quantizer) in output.levels.iter().zip(&given).zip(model.quantizers()) {
        let codebook = quantizer.codebook().to_dtype(DType::F64)?.to_vec2::<f64>()?;
        let inputs = level.inputs.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        for (input, code) in inputs.iter().zip(codes.flatten_all()?.to_vec1::<u32>()?) {
            let distance = |vector: &Vec<f64>| input.iter().zip(vector).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            let distances: Vec<f64> = codebook.iter().map(distance).collect();
            let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
            let excess = distances[code as usize] - least;
            count += 1;
            if excess > EQUAL * least {
                wrong += 1;
            } else if excess > 0.0 {
                equal += 1;
            }
        }
    }
    println!("{{\"codes\": {count}, \"different\": {different}, \"equal\": {equal}, \"wrong\": {wrong}}}");
    Ok(())
}

/// The picture with its last column and row repeated, as the model sees it.
fn padded(picture: &RgbImage, model: &Model) -> RgbImage {
    let stride = model.stride() as u32;
    let (width, height) = picture.dimensions();
    RgbImage::from_fn(width.next_multiple_of(stride), height.next_multiple_of(stride), |x, y| {
        *picture.get_pixel(x.min(width - 1), y.min(height - 1))
    })
}
