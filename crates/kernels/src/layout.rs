//! Channels first ↔ channels last.

use crate::access::{check, contiguous};
use crate::error::Error;
use crate::memory::{Shared, filled};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Rows and columns of the square that is transposed at a time: both sides stay in the nearest cache.
const SQUARE: usize = 16;

/// Columns per task.
const COLUMNS: usize = 1024;

/// `x` [N, C, H, W] → [N, H, W, C].
///
/// # Errors
///
/// If `x` has not four axes, or is not f32 on the CPU.
pub fn nchw_to_nhwc(x: &Tensor) -> Result<Tensor> {
    apply(x, Transpose { to_nhwc: true })
}

/// `x` [N, H, W, C] → [N, C, H, W].
///
/// # Errors
///
/// If `x` has not four axes, or is not f32 on the CPU.
pub fn nhwc_to_nchw(x: &Tensor) -> Result<Tensor> {
    apply(x, Transpose { to_nhwc: false })
}

fn apply(x: &Tensor, operation: Transpose) -> Result<Tensor> {
    check(operation.name(), x)?;
    if x.rank() != 4 {
        let expected = "four axes".into();
        return Err(Error::Shape { operation: operation.name(), name: "x", expected, found: x.shape().clone() }.into());
    }
    x.contiguous()?.apply_op1(operation)
}

struct Transpose {
    to_nhwc: bool,
}

impl CustomOp1 for Transpose {
    fn name(&self) -> &'static str {
        if self.to_nhwc { "nchw_to_nhwc" } else { "nhwc_to_nchw" }
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = contiguous::<f32>(self.name(), storage, layout)?;
        let (n, a, b, c) = layout.shape().dims4()?;
        let (rows, columns, shape) = if self.to_nhwc { (a, b * c, (n, b, c, a)) } else { (a * b, c, (n, c, a, b)) };
        Ok((CpuStorage::F32(transpose(x, n, rows, columns)), shape.into()))
    }

    fn bwd(&self, _x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        apply(grad, Transpose { to_nhwc: !self.to_nhwc }).map(Some)
    }
}

/// `count` matrices [rows, columns] → [columns, rows].
fn transpose(x: &[f32], count: usize, rows: usize, columns: usize) -> Vec<f32> {
    let parts = columns.div_ceil(COLUMNS);
    let write = |to: Shared<f32>| {
        (0..count * parts).into_par_iter().for_each(|task| {
            let base = task / parts * rows * columns;
            let first = task % parts * COLUMNS;
            let last = columns.min(first + COLUMNS);
            let (x, to) = (&x[base..base + rows * columns], to.pointer(base));
            for row in (0..rows).step_by(SQUARE) {
                for column in (first..last).step_by(SQUARE) {
                    for c in column..last.min(column + SQUARE) {
                        for r in row..rows.min(row + SQUARE) {
                            // SAFETY: (c, r) lies in the result's matrix `task / parts`, and belongs to the one task
                            // that has column c.
                            unsafe { to.add(c * rows + r).write(x[r * columns + c]) };
                        }
                    }
                }
            }
        });
    };
    // SAFETY: all columns of all matrices are visited, and all rows of each.
    unsafe { filled(x.len(), write) }
}
