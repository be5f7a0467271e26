//! The AdamW step in one pass.

use crate::access::{check_shape, with_slice, with_slice_mut};
use crate::error::Error;
use candle_core::{Result, Tensor};
use rayon::prelude::*;

/// Hyperparameters of AdamW (Loshchilov & Hutter, arXiv 1711.05101), with PyTorch's meaning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Decoupled weight decay, times the learning rate.
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}

/// Elements per task.
const CHUNK: usize = 16 * 1024;

/// One step of AdamW in place, in one pass over the parameter:
///
/// g ← grad · grad_scale; p ← p (1 − lr · decay); m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²;
/// p ← p − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)
///
/// `param`, `m` and `v` are contiguous f32 tensors of one shape (those behind candle `Var`s), each with a storage of
/// its own; `grad` has the same shape. `step` is t, from 1. `grad_scale` is the clipping coefficient, 1 for none.
///
/// # Errors
///
/// If shapes differ, a tensor is not f32 on the CPU, two share a storage, or `step` is 0.
pub fn adamw_step(
    param: &Tensor,
    grad: &Tensor,
    m: &Tensor,
    v: &Tensor,
    hp: &AdamW,
    step: u64,
    grad_scale: f64,
) -> Result<()> {
    const NAME: &str = "adamw_step";
    for (name, t) in [("grad", grad), ("m", m), ("v", v)] {
        check_shape(NAME, name, t, param.shape())?;
    }
    let refused = |expected: &str, found: &str| {
        Err(Error::Value { operation: NAME, expected: expected.into(), found: found.into() }.into())
    };
    if step == 0 {
        return refused("a step of at least 1 (steps count from 1)", "0");
    }
    let mut storages = [param, m, v, grad].map(storage_address);
    storages.sort_unstable();
    if storages.windows(2).any(|pair| pair[0] == pair[1]) {
        return refused("param, m, v and grad each in a storage of its own", "two that share one");
    }
    let grad = grad.contiguous()?;
    let t = step as f64;
    let bias1 = 1.0 - hp.beta1.powf(t);
    let bias2 = 1.0 - hp.beta2.powf(t);
    let scale = grad_scale as f32;
    let keep = (1.0 - hp.lr * hp.weight_decay) as f32;
    let (b1, b2) = (hp.beta1 as f32, hp.beta2 as f32);
    let (a1, a2) = ((1.0 - hp.beta1) as f32, (1.0 - hp.beta2) as f32);
    let step_size = (hp.lr / bias1) as f32;
    let root = (1.0 / bias2.sqrt()) as f32;
    let eps = hp.eps as f32;
    with_slice(NAME, &grad, |grad: &[f32]| {
        with_slice_mut(NAME, param, |param| {
            with_slice_mut(NAME, m, |m| {
                with_slice_mut(NAME, v, |v| {
                    param
                        .par_chunks_mut(CHUNK)
                        .zip(m.par_chunks_mut(CHUNK))
                        .zip(v.par_chunks_mut(CHUNK))
                        .zip(grad.par_chunks(CHUNK))
                        .for_each(|(((p, m), v), g)| {
                            for (((p, m), v), g) in p.iter_mut().zip(m).zip(v).zip(g) {
                                let g = g * scale;
                                *m = b1 * *m + a1 * g;
                                *v = b2 * *v + a2 * g * g;
                                *p = *p * keep - step_size * (*m / (v.sqrt() * root + eps));
                            }
                        });
                    Ok(())
                })
            })
        })
    })
}

/// The address of a tensor's storage, only to be compared: candle's own test of shared storage is private.
fn storage_address(tensor: &Tensor) -> usize {
    let (storage, _) = tensor.storage_and_layout();
    std::ptr::from_ref(&*storage).addr()
}
