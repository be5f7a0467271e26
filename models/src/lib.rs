//! The zoo: trained models that are compiled into `ksom`. Each is a package of its own, `ksom-model-NAME`, so that none
//! outgrows the registry's bound however many there are; its folder, `models/NAME`, is a model directory with its card.
//! This crate collects them.
//!
//! ```
//! let model = ksom_models::find("cifar10-ksom").expect("it is in the zoo");
//! assert!(model.config.contains("\"num_codes\": 512"));
//! assert!(model.weights.len() > 1_000_000);
//! assert_eq!(ksom_models::default_for(640, 480).name, "photos-ksom");
//! ```

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

macro_rules! model {
    ($name:literal, $package:ident) => {
        ModelFiles { name: $name, config: $package::CONFIG, weights: $package::WEIGHTS, metrics: $package::METRICS }
    };
}

/// Every model of the zoo.
pub static ZOO: [ModelFiles; 7] = [
    model!("cifar10-ksom", ksom_model_cifar10_ksom),
    model!("cifar10-ema", ksom_model_cifar10_ema),
    model!("cifar10-ksom-gaussian", ksom_model_cifar10_ksom_gaussian),
    model!("photos-ksom", ksom_model_photos_ksom),
    model!("photos-ksom-4096", ksom_model_photos_ksom_4096),
    model!("photos-ksom-f8", ksom_model_photos_ksom_f8),
    model!("photos-ksom-vqvae2", ksom_model_photos_ksom_vqvae2),
];

/// The model that is used where none is named and the pictures are small or not known: the first.
pub const DEFAULT: &str = "cifar10-ksom";

/// The same for photographs: pictures with a side of more than [`SMALL_SIDE`] pixels.
pub const PHOTOS_DEFAULT: &str = "photos-ksom";

/// The longest side of a small picture, in pixels.
pub const SMALL_SIDE: u32 = 64;

/// The model of that name.
pub fn find(name: &str) -> Option<&'static ModelFiles> {
    ZOO.iter().find(|files| files.name == name)
}

/// Every model's name, for messages.
pub fn names() -> String {
    ZOO.iter().map(|files| files.name).collect::<Vec<_>>().join(", ")
}

/// The model of the name [`DEFAULT`].
pub fn default() -> &'static ModelFiles {
    &ZOO[0]
}

/// The model that fits pictures of `width` × `height`.
pub fn default_for(width: u32, height: u32) -> &'static ModelFiles {
    let name = if width.max(height) > SMALL_SIDE { PHOTOS_DEFAULT } else { DEFAULT };
    find(name).unwrap_or(default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_the_zoo() {
        assert_eq!(default().name, DEFAULT);
        assert_eq!((default_for(64, 64).name, default_for(1, 65).name), (DEFAULT, PHOTOS_DEFAULT));
    }
}
