//! Training: a recipe and data in, a model directory out, step by step and resumable to the bit.

pub(crate) mod access;
mod alike;
pub(crate) mod backward;
mod continued;
pub(crate) mod events;
pub(crate) mod fitting;
pub(crate) mod footprint;
mod map_size;
pub(crate) mod optimizer;
pub(crate) mod recipe;
pub(crate) mod run_lock;
mod samples;
pub(crate) mod schedule;
pub(crate) mod sources;
pub(crate) mod stand_in;
pub(crate) mod start;
pub(crate) mod state;
pub(crate) mod step;
pub(crate) mod together;
pub(crate) mod trainer;

pub use access::DataAccess;
pub use backward::{Backpropagation, Loss};
pub use events::{StepReport, Summary, ValidationReport};
pub use fitting::set_aside;
pub use footprint::require_for_training;
pub use ksom_kernels::AdamW;
pub use map_size::resize_map;
pub use optimizer::Optimizer;
pub use recipe::{DataRecipe, NormalizationChoice, RECIPES, ResizeChoice, TrainingRecipe, ValidationPart};
pub use schedule::{LearningRate, Schedule};
pub use sources::base_folder;
pub use start::Base;
pub use state::Best;
pub use step::{StepOutcome, train_step, train_step_with};
