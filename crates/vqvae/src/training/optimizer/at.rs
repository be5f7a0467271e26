//! What a step of the optimizer depends on besides gradients and moments.

use ksom_kernels::AdamW;

/// What a step depends on besides gradients and moments.
#[derive(Clone, Copy)]
pub(crate) struct At {
    pub(crate) hyperparameters: AdamW,
    /// Counted from 1.
    pub(crate) step: u64,
    /// What gradients are multiplied by.
    pub(crate) scale: f64,
}
