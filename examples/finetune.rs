//! The built-in model (or any model directory) trained on from where it stands, on a folder of pictures.
//!
//! `cargo run --release -p ksom-vqvae --example finetune -- examples/images run`

use std::error::Error;
use std::path::Path;

use ksom_vqvae::training::{Base, DataAccess};
use ksom_vqvae::{Compute, Event, Flow, Model, Recipe, Trainer};

/// Fine-tunes for `steps` steps and gives the validation MSE before and at best.
pub fn run(data: &str, run: &Path, steps: u64, batch_size: usize) -> Result<(f64, f64), Box<dyn Error>> {
    let compute = Compute::cpu();
    let name = "cifar10-ksom";
    let base = Base { model: Model::builtin_trainable(name, &compute)?, name: name.into(), revision: None };
    let changes = [format!("steps={steps}"), format!("batch_size={batch_size}"), "validate_every=1".into()];
    let recipe = Recipe::find("finetune", &changes)?;

    let mut trainer = Trainer::start(recipe, &data.parse()?, &DataAccess::default(), run, &compute, Some(base))?;
    let mut losses = Vec::new();
    trainer.run(&mut |event| {
        if let Event::Validated(report) = event {
            println!("step {}: validation MSE {:.4}", report.step, report.mse);
            losses.push(report.mse);
        }
        Flow::Continue
    })?;
    let first = *losses.first().ok_or("no validation")?;
    Ok((first, losses.into_iter().fold(first, f64::min)))
}

#[allow(dead_code, reason = "a test calls `run` too")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, data, out] = &arguments[..] else { return Err("usage: finetune IMAGES RUN".into()) };
    run(data, Path::new(out), 20, 16).map(drop)
}
