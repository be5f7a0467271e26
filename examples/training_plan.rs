//! What a training would start from and see, for other programs: initial weights, order of batches, split.
//!
//! `cargo run --release -p ksom-vqvae --example training_plan -- DATA OUT STEPS [key=value]…` writes into OUT
//! `model.safetensors` and `config.json` (initial weights of the CIFAR-10 recipe), `batches.txt` (one line of image
//! numbers per step) and `valid.txt`. Numbers count the training images in the order of their names, byte by byte.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;

use ksom_datasets::{ImageSource, Order};
use ksom_vqvae::system::write_atomic;
use ksom_vqvae::training::DataAccess;
use ksom_vqvae::{Compute, Recipe, Trainer};

/// Writes the plan of `steps` steps of the recipe with `changes` on `data` into `out`.
pub fn run(data: &str, out: &Path, steps: u64, changes: &[String]) -> Result<(), Box<dyn Error>> {
    let recipe = Recipe::find("cifar10", changes)?;
    let trainer = Trainer::start(recipe, &data.parse()?, &DataAccess::default(), out, &Compute::cpu(), None)?;
    let set = trainer.data();
    let names = |source: &dyn ImageSource| -> Vec<String> { (0..source.len()).map(|i| source.name(i)).collect() };
    let train = names(set.train.as_ref());
    let valid: Vec<String> = set.valid.iter().flat_map(|(_, source)| names(source.as_ref())).collect();

    let mut sorted: Vec<&String> = train.iter().chain(&valid).collect();
    sorted.sort();
    let number: HashMap<&String, usize> = sorted.into_iter().enumerate().map(|(i, name)| (name, i)).collect();
    let line = |names: &mut dyn Iterator<Item = &String>| -> String {
        names.map(|name| number[name].to_string()).collect::<Vec<_>>().join(" ") + "\n"
    };

    let training = &trainer.recipe().training;
    let order = Order::new(training.seed, train.len(), training.batch_size)?;
    let batches: String =
        (0..steps).map(|step| line(&mut order.indices(step).into_iter().map(|i| &train[i]))).collect();
    write_atomic(&out.join("batches.txt"), batches.as_bytes())?;
    write_atomic(&out.join("valid.txt"), line(&mut valid.iter()).as_bytes())?;
    println!("{}: {steps} batches, {} images to validate on", out.display(), valid.len());
    Ok(())
}

#[allow(dead_code, reason = "a test calls `run` too")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, data, out, steps, changes @ ..] = &arguments[..] else {
        return Err("usage: training_plan DATA OUT STEPS [key=value]...".into());
    };
    run(data, Path::new(out), steps.parse()?, changes)
}
