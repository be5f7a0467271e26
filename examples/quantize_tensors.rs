//! KSOM in one's own candle model, with `ksom-quantizers` alone: an autoencoder whose features are quantized.
//!
//! `cargo run --release -p ksom-quantizers --example quantize_tensors`

use ksom_quantizers::candle_core::{DType, Device, Result, Tensor};
use ksom_quantizers::candle_nn::{self as nn, Module, Optimizer};
use ksom_quantizers::{Ksom, Quantizer, QuantizerConfig};

struct Autoencoder {
    encoder: nn::Conv2d,
    quantizer: Ksom,
    decoder: nn::ConvTranspose2d,
}

/// Trains on waves of color; gives the mean error of the first ten reconstructions and of the last ten.
pub fn run() -> Result<(f64, f64)> {
    let variables = nn::VarMap::new();
    let vb = nn::VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    let down = nn::Conv2dConfig { stride: 4, ..Default::default() };
    let up = nn::ConvTranspose2dConfig { stride: 4, ..Default::default() };
    let mut model = Autoencoder {
        encoder: nn::conv2d(3, 8, 4, down, vb.pp("encoder"))?,
        quantizer: Ksom::new(&QuantizerConfig::ksom(64, 8), vb.pp("quantizer"))?,
        decoder: nn::conv_transpose2d(8, 3, 4, up, vb.pp("decoder"))?,
    };
    // No gradient leads to the codebook, so it does not matter that it is among the variables.
    let mut optimizer = nn::AdamW::new_lr(variables.all_vars(), 5e-3)?;
    let mut errors = Vec::new();
    for step in 0..300 {
        let numbers = Tensor::arange(0f32, 12_288.0, &Device::Cpu)?;
        let pictures = numbers.affine(0.37, f64::from(step))?.sin()?.reshape((16, 3, 16, 16))?;
        let features = model.encoder.forward(&pictures)?;
        let quantized = model.quantizer.forward(&features)?;
        let error = nn::loss::mse(&model.decoder.forward(&quantized.output)?, &pictures)?;
        optimizer.backward_step(&(&error + &quantized.loss)?)?;
        let observation = model.quantizer.observe(&features, &quantized.codes)?;
        model.quantizer.step(observation)?;
        errors.push(f64::from(error.to_scalar::<f32>()?));
    }
    let mean = |errors: &[f64]| errors.iter().sum::<f64>() / errors.len() as f64;
    let (first, last) = (mean(&errors[..10]), mean(&errors[290..]));
    println!("mean squared error: {first:.4} in the first ten steps, {last:.4} in the last ten");
    Ok((first, last))
}

#[allow(dead_code, reason = "a test calls `run` too")]
fn main() -> Result<()> {
    run().map(drop)
}
