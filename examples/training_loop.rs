//! One's own training loop: a source, a loss and a schedule of one's own, step by step.
//!
//! `cargo run --release -p ksom-vqvae --example training_loop`

use std::error::Error;
use std::sync::Arc;

use ksom_vqvae::candle_nn::loss::huber;
use ksom_vqvae::image::{Rgb, RgbImage};
use ksom_vqvae::ksom_datasets::{DatasetError, ImageSource, Loader, LoaderOptions, Order};
use ksom_vqvae::ksom_quantizers::QuantizerConfig;
use ksom_vqvae::model::Architecture;
use ksom_vqvae::training::{AdamW, LearningRate, Optimizer, Schedule, train_step_with};
use ksom_vqvae::{Compute, Model, ModelConfig};

/// Disks of many places and sizes, drawn when they are asked for.
struct Disks;

impl ImageSource for Disks {
    fn len(&self) -> usize {
        1000
    }

    fn image(&self, index: usize) -> Result<RgbImage, DatasetError> {
        let (x, y, radius) = (index % 27 + 3, index % 23 + 5, index % 7 + 3);
        let inside = |px: u32, py: u32| x.abs_diff(px as usize).pow(2) + y.abs_diff(py as usize).pow(2) < radius.pow(2);
        Ok(RgbImage::from_fn(32, 32, |px, py| Rgb(if inside(px, py) { [230, 120, 40] } else { [30, 60, 90] })))
    }

    fn name(&self, index: usize) -> String {
        format!("disk {index}")
    }
}

/// Trains a small model for `steps` steps; gives the first loss and the last.
pub fn run(steps: u64) -> Result<(f64, f64), Box<dyn Error>> {
    let architecture = Architecture { hidden: 16, residual_hidden: 8, ..Architecture::vqvae() };
    let mut model = Model::init(&ModelConfig::new(architecture, QuantizerConfig::ksom(64, 16)), 0, &Compute::cpu())?;
    let mut optimizer = Optimizer::new(model.vars(), AdamW::default(), 1.0, model.compute().backend)?;
    let rate = LearningRate { peak: 3e-3, schedule: Schedule::Cosine, warmup_steps: steps / 10, steps };

    let order = Order::new(7, Disks.len(), 16)?;
    let mut losses = Vec::new();
    for (step, batch) in (0..steps).zip(Loader::new(Arc::new(Disks), order, 0, LoaderOptions::default())?) {
        optimizer.set_learning_rate(rate.at(step));
        let outcome = train_step_with(&mut model, &mut optimizer, &batch?.pixels, 2, &mut |output, pixels| {
            Ok((huber(&output.reconstruction, pixels, 0.5)? + &output.quantizer_loss)?)
        })?;
        losses.push(outcome.reconstruction);
    }
    let (first, last) = (losses.first().ok_or("no step")?, losses.last().ok_or("no step")?);
    println!("mean squared error: {first:.4} at the first step, {last:.4} at the last");
    Ok((*first, *last))
}

#[allow(dead_code, reason = "a test calls `run` too")]
fn main() -> Result<(), Box<dyn Error>> {
    run(200).map(drop)
}
