//! VQ-VAE and VQ-VAE-2 whose codebooks are Kohonen self-organising maps, after *Self-Organising Neural Discrete
//! Representation Learning à la Kohonen* (Irie, Csordás, Schmidhuber, ICANN 2024,
//! [arXiv 2302.07950](https://arxiv.org/abs/2302.07950)): models, training, checkpoints and codes.
//!
//! ```no_run
//! use ksom_vqvae::{Compute, Model};
//!
//! let model = Model::builtin("cifar10-ksom", &Compute::cpu())?;
//! let picture = ksom_datasets::decode_image("photo.jpg", &ksom_datasets::DecodeOptions::default())?;
//! let codes = model.encode_images(&[picture])?;
//! let reconstruction = model.decode_images(&codes)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checkpoint;
mod codes;
mod compute;
mod config;
mod convert;
mod error;
mod evaluation;
mod events;
pub mod experiment;
pub mod figures;
mod files;
mod hub;
mod images;
mod memory;
pub mod metrics;
mod metrics_log;
mod model;
mod network;
mod nn;
mod optimizer;
mod parameters;
mod part;
mod pool;
pub mod pth;
mod recipe;
mod recipe_differences;
mod recorded;
mod residual;
mod run_lock;
mod run_log;
mod tape;
mod tiling;
mod train_step;
mod trainer;
mod training_state;
mod vqvae;
mod vqvae2;
mod work;

pub use checkpoint::weights_path;
pub use codes::CodesFile;
pub use compute::{Compute, parse_device};
pub use config::{Architecture, ArchitectureKind, Level, ModelConfig, Preprocessing, Provenance, SCHEMA_VERSION};
pub use convert::paper_normalization;
pub use error::{Error, Result};
pub use evaluation::{EvaluateOptions, Evaluation, LevelEvaluation, MapQuality, Quality, evaluate};
pub use events::{Event, Flow, StepReport, Summary, ValidationReport};
pub use files::{write_atomic, write_atomic_with};
#[cfg(feature = "hub")]
pub use hub::HubEvent;
pub use hub::{
    CachedModel, CardOptions, Hub, HubModel, HubName, Package, PackedFile, PushOptions, Pushed, Token, sha256,
};
// For fuzzing: what strangers list is read without a network there.
#[doc(hidden)]
pub use hub::{Listing, RemoteFile};
pub use images::{CodeGrid, ImageCodes};
pub use ksom_kernels::{AdamW, Backend, instruction_set};
pub use ksom_models as zoo;
pub use memory::require_for_training;
pub use model::Model;
pub use network::{ForwardOutput, LevelOutput};
pub use optimizer::Optimizer;
pub use parameters::Parameters;
pub use part::Part;
pub use recipe::{DataRecipe, NormalizationChoice, RECIPES, Recipe, ResizeChoice, TrainingRecipe, ValidationPart};
pub use recorded::{RecordedMetrics, record_evaluation};
pub use run_log::{LoggedLevel, LoggedStep, LoggedValidation, RunLog};
pub use train_step::{Backpropagation, StepOutcome, train_step};
pub use trainer::{Base, DataAccess, Trainer};
pub use training_state::Best;
pub use work::MultiplyAdds;
