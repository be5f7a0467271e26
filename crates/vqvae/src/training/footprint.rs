//! What a training needs of memory at least, by its configuration.
//!
//! The estimates are lower bounds: nothing that would fit is refused. They keep a mistyped number or somebody else's
//! configuration from bringing the machine to a halt.

use candle_core::Device;
use ksom_quantizers::QuantizerKind;

use crate::error::Result;
use crate::model::config::{ArchitectureKind, ModelConfig};
use crate::system::device_memory;
use crate::system::memory::FLOAT;
use crate::training::recipe::TrainingRecipe;

/// Refuses a training on pictures of `width` × `height` that does not fit into the memory of `device`.
///
/// # Errors
/// The system or the device's driver says that less is available than it needs at least. Where it does not say, nothing
/// is refused.
pub fn require_for_training(
    config: &ModelConfig,
    training: &TrainingRecipe,
    (width, height): (u32, u32),
    device: &Device,
) -> Result<()> {
    let bytes = |accumulate| {
        let training = TrainingRecipe { accumulate, ..training.clone() };
        u64::try_from(training_bytes(config, &training, (width, height))).unwrap_or(u64::MAX)
    };
    let what = || {
        format!(
            "training with hidden={}, num_codes={} and {} pictures of {width}×{height} at once (batch_size / accumulate)",
            config.architecture.hidden,
            config.quantizer.num_codes,
            training.batch_size / training.accumulate.max(1)
        )
    };
    let in_parts = |free| fewest_parts(training.batch_size, training.accumulate, |parts| bytes(parts) <= free);
    device_memory::require(device, bytes(training.accumulate), what, in_parts)
}

/// The fewest parts of a batch, more than `now`, that fit: twice as many, and so on.
fn fewest_parts(batch: usize, now: usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
    let mut parts = now.max(1);
    while parts < batch {
        parts = parts.saturating_mul(2).min(batch);
        if fits(parts) {
            return Some(parts);
        }
    }
    None
}

/// Weights, gradients and two moments; a part's activations, which the backward pass needs again; a batch of pixels.
fn training_bytes(config: &ModelConfig, training: &TrainingRecipe, (width, height): (u32, u32)) -> u128 {
    let pixels = u128::from(width) * u128::from(height);
    let batch = training.batch_size as u128;
    let part = batch / training.accumulate.max(1) as u128;
    FLOAT * (4 * parameters(config) + part * activations(config, pixels) + batch * 3 * pixels)
}

/// Parameters of the residual stacks, of the convolutions before the encoder's, and of the codebooks.
fn parameters(config: &ModelConfig) -> u128 {
    let architecture = &config.architecture;
    let (h, r, blocks) = wide(architecture.hidden, architecture.residual_hidden, architecture.residual_layers);
    let stacks = match architecture.kind {
        ArchitectureKind::VqVae => 2,
        ArchitectureKind::VqVae2 => 4,
    };
    let codebooks = architecture.levels().len() as u128;
    let (k, d) = (config.quantizer.num_codes as u128, config.quantizer.dim as u128);
    let codebook = if config.quantizer.kind == QuantizerKind::Fsq { 0 } else { k * d };
    let further = 2 * architecture.further_stages() as u128 * 16 * h * h;
    stacks * blocks * (9 * h * r + h * r) + 16 * h * h / 2 + 9 * h * h + further + codebooks * codebook
}

/// What the encoder and the decoder keep of one picture, one map per convolution: at the size of the finest codes, and
/// of what lies between these and a quarter of the picture's sides.
fn activations(config: &ModelConfig, pixels: u128) -> u128 {
    let architecture = &config.architecture;
    let (h, r, blocks) = wide(architecture.hidden, architecture.residual_hidden, architecture.residual_layers);
    let between: u128 = (0..architecture.further_stages()).map(|stage| (pixels / (16 << (2 * stage))) * h).sum();
    let codes = pixels / (architecture.downsample as u128).pow(2);
    2 * (codes * (h + blocks * (h + r)) + between)
}

fn wide(h: usize, r: usize, blocks: usize) -> (u128, u128, u128) {
    (h as u128, r as u128, blocks as u128)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::Architecture;
    use crate::system::memory::available;
    use crate::{Compute, Model, Recipe};
    use ksom_quantizers::QuantizerConfig;

    #[test]
    fn models_have_no_fewer_parameters_than_are_assumed() {
        let coarse = Architecture { downsample: 16, ..Architecture::vqvae() };
        for architecture in [Architecture::vqvae(), coarse, Architecture::vqvae2()] {
            for hidden in [2, 16, 128] {
                let architecture = Architecture { hidden, residual_hidden: 8, ..architecture.clone() };
                let config = ModelConfig::new(architecture, QuantizerConfig::ksom(32, 4));
                let model = Model::init(&config, 0, &Compute::cpu()).unwrap();
                let real = model.parameter_count().unwrap() as u128;
                assert!(parameters(&config) <= real, "{config:?}");
            }
        }
    }

    #[test]
    fn what_the_recipes_need_is_known() {
        let recipe = Recipe::find("cifar10", &[]).unwrap();
        let config = ModelConfig::new(recipe.architecture.clone(), recipe.quantizer.clone());
        let bytes = training_bytes(&config, &recipe.training, (32, 32));
        assert!((50_000_000..1_000_000_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn absurd_sizes_are_refused_before_they_are_allocated() {
        if available().is_none() {
            eprintln!("skipped: this system does not tell how much memory there is");
            return;
        }
        let set = ["hidden=4096", "residual_layers=64", "residual_hidden=4096"].map(String::from);
        let recipe = Recipe::find("cifar10", &set).unwrap();
        let config = ModelConfig::new(recipe.architecture.clone(), recipe.quantizer.clone());
        let refused =
            |recipe: &Recipe, size| require_for_training(&config, &recipe.training, size, &Device::Cpu).unwrap_err();
        assert!(refused(&recipe, (32, 32)).to_string().contains("hidden=4096"));
        assert!(refused(&recipe, (u32::MAX, u32::MAX)).to_string().contains("GB"));
    }

    #[test]
    fn the_fewest_parts_that_fit_are_named() {
        assert_eq!(fewest_parts(256, 1, |parts| 256 / parts <= 40), Some(8));
        assert_eq!(fewest_parts(256, 4, |_| true), Some(8));
        assert_eq!(fewest_parts(100, 64, |_| true), Some(100));
        assert_eq!(fewest_parts(100, 100, |_| true), None);
        assert_eq!(fewest_parts(100, 1, |_| false), None);
        assert_eq!(fewest_parts(0, 0, |_| true), None);
    }
}
