//! Sums over the few cells within reach, row by row.

use rayon::prelude::*;

/// The most cells within reach whose rows are added one by one; for more, Fourier transforms are faster.
const MAX_OFFSETS: usize = 48;

/// Cells of a line per task.
const SEGMENT: usize = 64;

/// A cell seen from another one.
struct Offset {
    /// Steps along each axis.
    steps: Vec<isize>,
    weight: f32,
}

/// The cells within reach of any cell.
pub(super) struct Stencil {
    shape: Vec<usize>,
    offsets: Vec<Offset>,
}

impl Stencil {
    /// Nothing if there are too many.
    pub(super) fn new(shape: &[usize], reach: f64, weight: &dyn Fn(f64) -> f64) -> Option<Self> {
        let mut found: Vec<(Vec<isize>, f64)> = vec![(Vec::new(), 0.0)];
        for &side in shape {
            let most = (side as f64 - 1.0).min(reach.floor()) as isize;
            if found.len().saturating_mul(most as usize) > 1 << 20 {
                return None;
            }
            let longer = found.iter().flat_map(|(steps, squared)| {
                (-most..=most).map(move |step| {
                    let longer = steps.iter().copied().chain([step]).collect();
                    (longer, squared + (step * step) as f64)
                })
            });
            found = longer.filter(|(_, squared)| squared.sqrt() <= reach).collect();
            if found.len() > MAX_OFFSETS + 1 {
                return None;
            }
        }
        let others = found.into_iter().filter(|(_, squared)| *squared > 0.0);
        let offsets = others.map(|(steps, squared)| Offset { steps, weight: weight(squared.sqrt()) as f32 }).collect();
        Some(Self { shape: shape.to_vec(), offsets })
    }

    /// The sums of rows of `columns` numbers.
    pub(super) fn apply(&self, x: &[f32], columns: usize) -> Vec<f32> {
        let mut y = vec![0f32; x.len()];
        let side = self.shape.first().copied().unwrap_or(1);
        if columns == 0 || self.offsets.is_empty() {
            return y;
        }
        y.par_chunks_mut(side * columns).enumerate().for_each(|(line, y)| {
            let lines = self.lines_within_reach(line);
            y.par_chunks_mut(SEGMENT * columns).enumerate().for_each(|(segment, y)| {
                for (i, y) in y.chunks_exact_mut(columns).enumerate() {
                    let cell = segment * SEGMENT + i;
                    for &(step, line, weight) in &lines {
                        let Some(other) = cell.checked_add_signed(step).filter(|&other| other < side) else { continue };
                        let x = &x[(line * side + other) * columns..][..columns];
                        for (y, &x) in y.iter_mut().zip(x) {
                            *y += weight * x;
                        }
                    }
                }
            });
        });
        y
    }

    /// For a line along the first axis: the step along it, the line and the weight of each offset that stays inside the
    /// grid along the other axes.
    fn lines_within_reach(&self, line: usize) -> Vec<(isize, usize, f32)> {
        let inside = self.offsets.iter().filter_map(|offset| {
            let (mut rest, mut stride, mut other) = (line, 1, 0);
            for (&side, &step) in self.shape.iter().zip(&offset.steps).skip(1) {
                other += stride * (rest % side).checked_add_signed(step).filter(|&at| at < side)?;
                (rest, stride) = (rest / side, stride * side);
            }
            Some((offset.steps[0], other, offset.weight))
        });
        inside.collect()
    }
}
