//! What backward does to the output's gradient before the products: the mask of the ReLU, the bias's gradient.

use crate::memory::{Shared, filled};
use rayon::prelude::*;

/// Elements per task; fixed, so that sums do not depend on the number of threads.
const CHUNK: usize = 64 * 1024;

/// `grad` where `output > 0`, otherwise zero.
pub(crate) fn masked(grad: &[f32], output: &[f32]) -> Vec<f32> {
    let write = |to: Shared<f32>| {
        grad.par_chunks(CHUNK).zip(output.par_chunks(CHUNK)).enumerate().for_each(|(i, (grad, output))| {
            for (j, (&g, &y)) in grad.iter().zip(output).enumerate() {
                // SAFETY: each element of the result is written by the one task that holds its source.
                unsafe { to.pointer(i * CHUNK).add(j).write(if y > 0.0 { g } else { 0.0 }) };
            }
        });
    };
    // SAFETY: both slices have the result's length, and each of their elements is visited.
    unsafe { filled(grad.len().min(output.len()), write) }
}

/// Sums of `grad` [.., channels] over all but the last axis.
pub(crate) fn channel_sums(grad: &[f32], channels: usize) -> Vec<f32> {
    if channels == 0 {
        return Vec::new();
    }
    let rows = (CHUNK / channels).max(1);
    let partial: Vec<Vec<f32>> = grad
        .par_chunks(rows * channels)
        .map(|grad| {
            let mut sums = vec![0f32; channels];
            for row in grad.chunks_exact(channels) {
                for (sum, g) in sums.iter_mut().zip(row) {
                    *sum += g;
                }
            }
            sums
        })
        .collect();
    let mut sums = vec![0f64; channels];
    for partial in &partial {
        for (sum, &p) in sums.iter_mut().zip(partial) {
            *sum += f64::from(p);
        }
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}
