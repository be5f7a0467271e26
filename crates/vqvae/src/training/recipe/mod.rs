//! Recipes: everything that decides a training, in one TOML file, every field of which can be overridden.

mod automatic;
mod differences;
mod overrides;
mod to_tune;

use std::path::Path;

use ksom_datasets::loading::{Crop, Filter, Resize, ResizeMode};
use ksom_datasets::sets::Validation;
use ksom_datasets::{DataOptions, Preprocess};
use ksom_quantizers::{MAX_STEPS, QuantizerConfig};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::error::{Error, Result};
use crate::model::config::Architecture;
use crate::model::part::Part;
use crate::system::files::read_text;
use crate::training::recipe::automatic::settle_neighborhood;
use crate::training::recipe::overrides::{set, settle_grid};
use crate::training::schedule::{LearningRate, Schedule};

/// The recipes that come with the crate: name and text.
pub const RECIPES: [(&str, &str); 6] = [
    ("cifar10", include_str!("../../../recipes/cifar10.toml")),
    ("photos", include_str!("../../../recipes/photos.toml")),
    ("photos-f8", include_str!("../../../recipes/photos-f8.toml")),
    ("imagenet", include_str!("../../../recipes/imagenet.toml")),
    ("faces", include_str!("../../../recipes/faces.toml")),
    ("finetune", include_str!("../../../recipes/finetune.toml")),
];

/// The largest recipe file that is read, in bytes.
const MAX_RECIPE_BYTES: u64 = 1 << 20;

/// The largest number of pictures in a batch.
const MAX_BATCH: usize = 1 << 20;

/// Where validation pictures come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValidationPart {
    /// A seeded share of the training images.
    Split,
    /// The data set's own validation part.
    Own,
}

/// How pixels are normalized.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NormalizationChoice {
    /// Measured on the training images.
    Measure,
    /// That of the model to train on from.
    Base,
    /// ImageNet's published mean and deviation.
    Imagenet,
    /// To −1..1.
    Half,
    /// The values given.
    #[serde(untagged)]
    Given(ksom_datasets::Normalization),
}

/// How pictures get the size that training needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResizeChoice {
    /// To the size, ignoring aspect.
    Squash,
    /// Shorter side to the size, then the center.
    CenterCrop,
    /// Shorter side to the size at least, then a random part; the center in validation.
    RandomCrop,
    /// A random part of the picture at its own scale; the center in validation. Smaller pictures are enlarged to cover
    /// the size.
    RandomPatch,
}

impl ResizeChoice {
    /// Bringing pictures to the size of `width` × `height`.
    pub fn preprocess(self, [width, height]: [u32; 2]) -> Preprocess {
        let (mode, crop) = match self {
            Self::Squash => (ResizeMode::Squash, Crop::None),
            Self::CenterCrop => (ResizeMode::ShorterSide, Crop::Center { width, height }),
            Self::RandomCrop => (ResizeMode::ShorterSide, Crop::Random { width, height }),
            Self::RandomPatch => (ResizeMode::Enlarge, Crop::Random { width, height }),
        };
        let resize = Some(Resize { width, height, mode, filter: Filter::default() });
        Preprocess { resize, crop, ..Preprocess::default() }
    }
}

/// The data part of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRecipe {
    /// Where validation pictures come from.
    pub validation: ValidationPart,
    /// Share of the training images kept from training, for validation where `validation` is `split`.
    pub valid_fraction: f64,
    /// Share of the remaining training images that are trained on.
    pub train_fraction: f64,
    /// Share of the images then left to train on that is set aside to judge the result by: neither training nor early
    /// stopping sees them. A data set with a test part of its own is judged by that.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub judged_fraction: f64,
    /// The most pictures of each validation set that are used, spread evenly over it; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_images: Option<usize>,
    /// Normalization of pixels.
    pub normalization: NormalizationChoice,
    /// Mirror each training picture with probability ½.
    pub flip: bool,
    /// Width and height for training; absent, pictures must all have one size that fits the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[u32; 2]>,
    /// How pictures get that size.
    #[serde(default = "squash")]
    pub resize: ResizeChoice,
}

impl DataRecipe {
    /// What a training does to each picture.
    pub fn preprocess(&self) -> Preprocess {
        let sized = self.size.map(|size| self.resize.preprocess(size)).unwrap_or_default();
        Preprocess { flip: self.flip, ..sized }
    }
}

fn is_nothing(value: &f64) -> bool {
    *value == 0.0
}

fn squash() -> ResizeChoice {
    ResizeChoice::Squash
}

/// The optimization part of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRecipe {
    /// Seed of the initial weights, the split, the order and the augmentation.
    pub seed: u64,
    /// Optimizer steps.
    pub steps: u64,
    /// Pictures per optimizer step.
    pub batch_size: usize,
    /// Parts that each batch is cut into, to save memory; gradients add up.
    pub accumulate: usize,
    /// AdamW's learning rate; where it is scheduled, the highest.
    pub lr: f64,
    /// The course of the learning rate.
    #[serde(default, skip_serializing_if = "is_constant")]
    pub schedule: Schedule,
    /// Steps in which the learning rate rises to `lr`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub warmup_steps: u64,
    /// AdamW's β₁.
    pub beta1: f64,
    /// AdamW's β₂.
    pub beta2: f64,
    /// AdamW's ε.
    pub eps: f64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// Gradients are scaled down to this Euclidean norm over all parameters.
    pub clip_norm: f64,
    /// Validate after this many steps, and at the end.
    pub validate_every: u64,
    /// Write a checkpoint after this many steps, and at the end.
    pub checkpoint_every: u64,
    /// Write a line of metrics after this many steps.
    pub log_every: u64,
    /// Stop after this many validations in a row without a better one; 0: never.
    #[serde(default)]
    pub patience: u64,
    /// How much errors in color count besides the mean squared error.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub loss_color: f64,
    /// How much errors count that neighboring pixels share, besides the mean squared error.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub loss_coarse: f64,
    /// What learns.
    #[serde(default)]
    pub only: Part,
    /// When training on from a model: begin with a neighborhood as wide as in a new training, instead of that which
    /// the model has come to.
    #[serde(default)]
    pub restart_neighborhood: bool,
}

impl TrainingRecipe {
    /// The learning rate by step.
    pub fn learning_rate(&self) -> LearningRate {
        LearningRate { peak: self.lr, schedule: self.schedule, warmup_steps: self.warmup_steps, steps: self.steps }
    }
}

fn is_constant(schedule: &Schedule) -> bool {
    *schedule == Schedule::Constant
}

fn is_zero(steps: &u64) -> bool {
    *steps == 0
}

/// A training: model, data and optimization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The recipe's name.
    pub name: String,
    /// The network.
    pub architecture: Architecture,
    /// The quantizer. In a file, `grid_dims` may stand instead of `grid`: the shape is then found automatically;
    /// and `shrink_step` and `gaussian_base` may be `"auto"`, which stands for numbers that suit the codes and steps.
    pub quantizer: QuantizerConfig,
    /// The data.
    pub data: DataRecipe,
    /// The optimization.
    pub training: TrainingRecipe,
}

impl Recipe {
    /// Finds a recipe by the name of a built-in one or the path of a file, and applies overrides `key=value`.
    ///
    /// A key is a path (`quantizer.decay`) or the last part of one where that is unambiguous (`decay`).
    ///
    /// # Errors
    /// No such recipe, malformed TOML, an unknown or ambiguous key, or a value out of bounds.
    pub fn find(name: &str, overrides: &[String]) -> Result<Self> {
        if let Some((_, text)) = RECIPES.iter().find(|(known, _)| *known == name) {
            return Self::parse(text, &format!("recipe {name}"), overrides);
        }
        let path = Path::new(name);
        if !path.exists() {
            let known: Vec<&str> = RECIPES.iter().map(|(known, _)| *known).collect();
            let known = known.join(", ");
            return Err(Error::Invalid(format!("recipe {name:?} is neither a file nor one of {known}")));
        }
        Self::read(path, overrides)
    }

    /// Reads the file of a recipe, and applies overrides.
    ///
    /// # Errors
    /// As [`Recipe::find`].
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self> {
        Self::parse(&read_text(path, MAX_RECIPE_BYTES)?, &path.display().to_string(), overrides)
    }

    /// Parses the text of a recipe; `origin` is named in errors.
    ///
    /// # Errors
    /// As [`Recipe::find`].
    pub fn parse(text: &str, origin: &str, overrides: &[String]) -> Result<Self> {
        let invalid = |message: String| Error::Invalid(format!("{origin}: {message}"));
        let mut table: Table = text.parse().map_err(|error: toml::de::Error| invalid(error.to_string()))?;
        for entry in overrides {
            let (key, value) =
                entry.split_once('=').ok_or_else(|| invalid(format!("expected key=value, found {entry:?}")))?;
            set(&mut table, key.trim(), value.trim()).map_err(invalid)?;
        }
        settle_grid(&mut table).map_err(invalid)?;
        settle_neighborhood(&mut table).map_err(invalid)?;
        let recipe: Self = Value::Table(table).try_into().map_err(|error| invalid(error.to_string()))?;
        recipe.validate().map_err(invalid)?;
        Ok(recipe)
    }

    /// The text of the recipe, with every choice settled.
    pub fn to_toml(&self) -> String {
        // Plain numbers, strings and lists of them.
        toml::to_string_pretty(self).expect("a recipe is plain data")
    }

    /// How a training by this recipe opens its data: the recipe's seed and split over what else the caller chose.
    pub fn data_options(&self, options: &DataOptions) -> DataOptions {
        DataOptions {
            seed: self.training.seed,
            valid_fraction: self.data.valid_fraction,
            train_fraction: self.data.train_fraction,
            valid_images: self.data.valid_images,
            valid_from: match self.data.validation {
                ValidationPart::Split => Validation::Split,
                ValidationPart::Own => Validation::OwnSet,
            },
            ..*options
        }
    }

    fn validate(&self) -> std::result::Result<(), String> {
        let t = &self.training;
        let positive = [
            ("steps", t.steps),
            ("batch_size", t.batch_size as u64),
            ("accumulate", t.accumulate as u64),
            ("validate_every", t.validate_every),
            ("checkpoint_every", t.checkpoint_every),
            ("log_every", t.log_every),
        ];
        if let Some((field, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(format!("training.{field} must be at least 1, found 0"));
        }
        if self.data.valid_images == Some(0) {
            return Err("data.valid_images must be at least 1, found 0".into());
        }
        if t.steps > MAX_STEPS {
            return Err(format!(
                "training.steps must be at most {MAX_STEPS}, which a quantizer counts, found {}",
                t.steps
            ));
        }
        if t.warmup_steps > t.steps {
            return Err(format!(
                "training.warmup_steps ({}) must be at most training.steps ({})",
                t.warmup_steps, t.steps
            ));
        }
        if t.batch_size > MAX_BATCH {
            return Err(format!("training.batch_size must be at most {MAX_BATCH}, found {}", t.batch_size));
        }
        if !t.batch_size.is_multiple_of(t.accumulate) {
            return Err(format!(
                "training.batch_size ({}) must be a multiple of training.accumulate ({})",
                t.batch_size, t.accumulate
            ));
        }
        let bounds: [(&str, f64, f64, f64); 11] = [
            ("lr", t.lr, 0.0, 1e6),
            ("beta1", t.beta1, 0.0, 1.0 - 1e-9),
            ("beta2", t.beta2, 0.0, 1.0 - 1e-9),
            ("eps", t.eps, 0.0, 1.0),
            ("weight_decay", t.weight_decay, 0.0, 1e3),
            ("loss_color", t.loss_color, 0.0, 1e3),
            ("loss_coarse", t.loss_coarse, 0.0, 1e3),
            ("clip_norm", t.clip_norm, f64::MIN_POSITIVE, f64::MAX),
            ("valid_fraction", self.data.valid_fraction, 0.0, 0.99),
            ("judged_fraction", self.data.judged_fraction, 0.0, 0.99),
            ("train_fraction", self.data.train_fraction, 1e-9, 1.0),
        ];
        if let Some((field, value, low, high)) = bounds.iter().find(|(_, v, low, high)| !(low..=high).contains(&v)) {
            return Err(format!("{field} must be between {low} and {high}, found {value}"));
        }
        if let Some([width, height]) = self.data.size {
            let stride = self.architecture.stride() as u32;
            if width == 0 || height == 0 || width % stride != 0 || height % stride != 0 {
                return Err(format!("data.size must be multiples of {stride}, found {width}×{height}"));
            }
        }
        self.quantizer.validate().map_err(|error| format!("quantizer: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_is_valid_and_survives_its_own_text() {
        for (name, _) in RECIPES {
            let recipe = Recipe::find(name, &[]).unwrap();
            assert_eq!(recipe.name, name);
            assert_eq!(Recipe::parse(&recipe.to_toml(), "again", &[]).unwrap(), recipe);
        }
    }

    #[test]
    fn overrides_reach_their_fields() {
        let set =
            ["decay=0.97", "quantizer.num_codes=256", "lr=1", "neighborhood=none", "only=decoder"].map(String::from);
        let recipe = Recipe::find("cifar10", &set).unwrap();
        assert_eq!(recipe.quantizer.decay, 0.97);
        assert_eq!(recipe.quantizer.grid, [16, 16]);
        assert_eq!(recipe.training.lr, 1.0);
        assert_eq!((recipe.training.only, recipe.training.patience), (Part::Decoder, 0));
        assert_eq!(recipe.quantizer.neighborhood, ksom_quantizers::NeighborhoodKind::None);
    }

    #[test]
    fn unknown_fields_are_named() {
        let error = Recipe::find("cifar10", &["decai=1".to_string()]).unwrap_err().to_string();
        assert!(error.contains("decai") && error.contains("quantizer.decay"), "{error}");
        let error = Recipe::find("cifar11", &[]).unwrap_err().to_string();
        assert!(error.contains("cifar11") && error.contains("cifar10"), "{error}");
    }
}
