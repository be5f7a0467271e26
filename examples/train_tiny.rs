//! A small model trained from scratch on a folder of pictures, through the library.
//!
//! `cargo run --release -p ksom-vqvae --example train_tiny -- examples/images run`

use std::error::Error;
use std::path::Path;

use ksom_vqvae::training::{DataAccess, Summary};
use ksom_vqvae::{Compute, Event, Flow, Recipe, Trainer};

/// Trains for `steps` steps on the pictures under `data`; the run directory `run` is then a model directory.
pub fn run(data: &str, run: &Path, steps: u64) -> Result<Summary, Box<dyn Error>> {
    let changes =
        ["hidden=16", "residual_hidden=8", "num_codes=64", "dim=16", "size=[32, 32]", "resize=\"random-crop\""];
    let mut changes: Vec<String> = changes.map(String::from).to_vec();
    changes.extend(["batch_size=16".into(), format!("steps={steps}"), format!("validate_every={}", steps.div_ceil(4))]);
    let recipe = Recipe::find("cifar10", &changes)?;

    let mut trainer = Trainer::start(recipe, &data.parse()?, &DataAccess::default(), run, &Compute::cpu(), None)?;
    let summary = trainer.run(&mut |event| {
        if let Event::Validated(report) = event {
            println!("step {}: validation MSE {:.4}", report.step, report.mse);
        }
        Flow::Continue
    })?;
    Ok(summary)
}

#[allow(dead_code, reason = "a test calls `run` too")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, data, out] = &arguments[..] else { return Err("usage: train_tiny IMAGES RUN".into()) };
    run(data, Path::new(out), 200).map(drop)
}
