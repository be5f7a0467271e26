//! What a training tells, and how it is answered.

use serde::Serialize;

use crate::evaluation::Evaluation;
use crate::training::state::Best;

/// What a training tells while it runs.
#[derive(Clone, Debug)]
pub enum Event {
    /// A step is done.
    Step(StepReport),
    /// Pictures of the validation seen so far, of how many.
    Validating {
        /// Done.
        images: usize,
        /// In all.
        of: usize,
    },
    /// A validation is done.
    Validated(ValidationReport),
    /// A checkpoint is on disk.
    Checkpoint {
        /// Steps behind it.
        step: u64,
    },
}

/// One training step.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// Steps done, this one included.
    pub step: u64,
    /// Mean squared error of the reconstruction, in normalized units.
    pub reconstruction: f64,
    /// The quantizers' loss.
    pub quantizer_loss: f64,
    /// Perplexity of each level's codes in the batch.
    pub perplexity: Vec<f64>,
    /// Euclidean norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Training speed since the last report of this kind, pauses for validation left out.
    pub images_per_s: f64,
}

/// One validation.
#[derive(Clone, Debug, Serialize)]
pub struct ValidationReport {
    /// Steps done.
    pub step: u64,
    /// Mean squared error of the reconstruction in normalized units; where several sets are validated, the mean of theirs.
    pub mse: f64,
    /// Whether it is the best so far.
    pub best: bool,
    /// Each set's name and figures.
    pub sets: Vec<(String, Evaluation)>,
}

/// Whether to go on after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Write a checkpoint and return.
    Stop,
}

/// How a training ended.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Steps done in all.
    pub steps: u64,
    /// Whether it was asked to stop before its end.
    pub stopped: bool,
    /// Whether it ended before the recipe's last step since validation had stopped getting better.
    pub early: bool,
    /// The best validation, if there was one.
    pub best: Option<Best>,
}
