//! KSOM alone: vector quantization of any tensor, in any candle model. Here, points in the plane are covered by a map.
//!
//! `cargo run --release -p ksom-vqvae --example quantize_tensors`

use candle_core::{Device, Result, Tensor};
use ksom_kernels::Backend;
use ksom_quantizers::{QuantizerConfig, build, initial_state};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Trains a map of 8×8 codes on points from a unit square; gives the quantization error before and after.
pub fn run() -> Result<(f64, f64)> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let config = QuantizerConfig { decay: 0.9, ..QuantizerConfig::ksom(64, 2) };

    // The state (codebook, sums, counts, step) is named tensors: new ones here, a checkpoint's elsewhere.
    let state = initial_state(&config, &mut rng)?;
    let mut find = |name: &str, _shape: &[usize]| {
        let (_, tensor) = state.iter().find(|(known, _)| *known == name).expect("every part of the state is named");
        Ok(tensor.clone())
    };
    let mut quantizer = build(&config, &mut find, &Device::Cpu, Backend::Fast)?;

    let mut batch = |n: usize| {
        let points: Vec<f32> = (0..2 * n).map(|_| rng.random::<f32>()).collect();
        Tensor::from_vec(points, (n, 2), &Device::Cpu)
    };
    let test = batch(1000)?;
    let error = |quantizer: &dyn ksom_quantizers::Quantizer| -> Result<f64> {
        let nearest = quantizer.lookup(&quantizer.assign(&test)?)?;
        Ok(f64::from((&test - nearest)?.sqr()?.sum(1)?.mean_all()?.to_scalar::<f32>()?))
    };

    let before = error(quantizer.as_ref())?;
    for _ in 0..200 {
        let x = batch(256)?;
        let quantized = quantizer.forward(&x)?; // in a model: use .output onwards, add .loss to the loss
        quantizer.observe(&x, &quantized.codes)?;
        quantizer.step()?;
    }
    let after = error(quantizer.as_ref())?;
    println!("squared distance to the nearest code: {before:.4} before, {after:.4} after 200 batches");
    Ok((before, after))
}

#[allow(dead_code, reason = "a test calls `run` too")]
fn main() -> Result<()> {
    run().map(drop)
}
