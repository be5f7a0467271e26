//! The gradient of a bias.

use rayon::prelude::*;

/// Elements per task; fixed, so that sums do not depend on the number of threads.
const CHUNK: usize = 16 * 1024;

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
