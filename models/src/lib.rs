//! The trained model that is compiled into `ksom`. Its folder beside this file is a model directory with its card.

/// The files of a model directory.
pub struct ModelFiles {
    /// The model's name in the zoo.
    pub name: &'static str,
    /// `config.json`.
    pub config: &'static str,
    /// `model.safetensors`.
    pub weights: &'static [u8],
    /// `metrics.jsonl`.
    pub metrics: &'static str,
}

/// A KSOM VQ-VAE (hard neighbourhood, 2-D grid) trained on CIFAR-10.
pub const CIFAR10_KSOM: ModelFiles = ModelFiles {
    name: "cifar10-ksom",
    config: include_str!("../cifar10-ksom/config.json"),
    weights: include_bytes!("../cifar10-ksom/model.safetensors"),
    metrics: include_str!("../cifar10-ksom/metrics.jsonl"),
};
