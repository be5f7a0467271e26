//! Norms.

use crate::access::with_slice;
use candle_core::{Result, Tensor};
use rayon::prelude::*;

/// Elements per partial sum: fixed, so that the sum does not depend on the number of threads.
const CHUNK: usize = 16 * 1024;

/// Partial sums carried side by side within a chunk.
const LANES: usize = 8;

/// Σ `x`² in f64, the same bits whatever the number of threads.
///
/// # Errors
///
/// If `x` is not f32 on the CPU.
pub fn squared_norm(x: &Tensor) -> Result<f64> {
    let x = x.contiguous()?;
    with_slice("squared_norm", &x, |x: &[f32]| {
        let partial: Vec<f64> = x.par_chunks(CHUNK).map(sum_of_squares).collect();
        Ok(partial.iter().sum())
    })
}

fn sum_of_squares(x: &[f32]) -> f64 {
    let mut lanes = [0f64; LANES];
    let (rows, rest) = x.as_chunks::<LANES>();
    for row in rows {
        for (lane, &v) in lanes.iter_mut().zip(row) {
            *lane += f64::from(v) * f64::from(v);
        }
    }
    let rest: f64 = rest.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
    lanes.iter().sum::<f64>() + rest
}
