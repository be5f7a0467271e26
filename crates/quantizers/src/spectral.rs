//! Sums over all cells of a grid by weights of distance, from matrix products alone: what CUDA and Metal run.
//!
//! A line of n cells is half of a circle of m = 2n − 2, on which the distance of any two of its cells is the same. Weights
//! that depend on distance are even along each axis, so the circle's waves, cosines and sines, diagonalize them: the sums
//! are Bᵀ Λ B x with the waves B [m, n] of each axis, and Λ the weights' own cosine transform. For a grid of side n that
//! is O(K n C), where the matrix of all pairs takes O(K² C).

use candle_core::{DType, Device, Tensor};

use crate::error::Result;
use crate::grid::Grid;

/// Stands for the distance of a code to itself: its weight is 0.
const EXCLUDED: f32 = 1e30;

/// How many numbers a tile of coefficients may hold.
fn tile_elements(device: &Device) -> usize {
    // 64 MiB on a CPU, 256 MiB on an accelerator.
    if device.is_cpu() { 1 << 24 } else { 1 << 26 }
}

/// An axis of more than one cell.
#[derive(Clone, Debug)]
struct Axis {
    /// Cells.
    n: usize,
    /// The waves: n cosines, then n − 2 sines [m, n].
    waves: Tensor,
    /// From weights by distance 0 … n − 1 to the cosines' eigenvalues, divided by the cosines' squared norms [n, n].
    transform: Tensor,
}

/// A grid's waves, the last axis first.
#[derive(Clone, Debug)]
pub(crate) struct Spectral {
    axes: Vec<Axis>,
    /// Distances of all cells to the first one, `[K]`, the last axis slowest.
    distances: Tensor,
    /// How many coefficients a column has.
    coefficients: usize,
}

impl Spectral {
    /// Nothing where the matrix of all pairs takes less.
    pub(crate) fn new(grid: &Grid, device: &Device) -> Result<Option<Self>> {
        let sides: Vec<usize> = grid.shape().iter().rev().copied().filter(|&side| side > 1).collect();
        let waves = |n: usize| 2 * n - 2;
        // Multiplications for a column, one way.
        let (mut size, mut work) = (grid.len(), 0usize);
        for &n in &sides {
            size = (size / n).saturating_mul(waves(n));
            work = work.saturating_add(size.saturating_mul(n));
        }
        let matrices: usize = sides.iter().map(|&n| waves(n) * n).sum();
        if work > grid.len() * grid.len() / 2 || matrices.max(size) > tile_elements(device) {
            return Ok(None);
        }
        let mut distances: Vec<f32> =
            (0..grid.len()).map(|code| (grid.squared_distance(0, code) as f32).sqrt()).collect();
        distances[0] = EXCLUDED;
        let axes = sides.iter().map(|&n| Axis::new(n, device)).collect::<Result<Vec<_>>>()?;
        let distances = Tensor::from_vec(distances, grid.len(), device)?;
        Ok(Some(Self { axes, distances, coefficients: size }))
    }

    pub(crate) fn device(&self) -> &Device {
        self.distances.device()
    }

    /// For each cell the sum of exp(−`decay` · distance) · x over all others, `x` [K, C].
    pub(crate) fn spread(&self, decay: f64, x: &Tensor) -> Result<Tensor> {
        let (k, columns) = x.dims2()?;
        let eigenvalues = self.eigenvalues(decay)?;
        let width = (tile_elements(x.device()) / self.coefficients).clamp(1, columns);
        let tiles = (0..columns).step_by(width).map(|first| -> Result<Tensor> {
            let x = x.narrow(1, first, width.min(columns - first))?;
            let norms = x.sqr()?.sum_keepdim(0)?.sqrt()?;
            let mut y = x.contiguous()?;
            for axis in &self.axes {
                // The leading axis is transformed and becomes the last one.
                y = y.reshape((axis.n, y.elem_count() / axis.n))?.t()?.matmul(&axis.waves.t()?)?;
            }
            // The columns lead now.
            y = y.reshape((x.dim(1)?, self.coefficients))?.broadcast_mul(&eigenvalues)?;
            for axis in self.axes.iter().rev() {
                // The last axis is transformed back and leads again.
                let waves = axis.waves.dim(0)?;
                y = axis.waves.t()?.matmul(&y.reshape((y.elem_count() / waves, waves))?.t()?)?;
            }
            let y = y.reshape((k, x.dim(1)?))?;
            // What rounding may make of zero: the roundings of log₂ P additions one after the other, of numbers as large
            // as the column's mean square over the circle times the sum of the weights.
            let roundings = (self.coefficients as f64).log2() * f64::from(f32::EPSILON) / 2.0;
            let share = roundings * (self.coefficients as f64).sqrt();
            let floors = norms.broadcast_mul(&eigenvalues.narrow(1, 0, 1)?)?.affine(share, 0.0)?;
            let kept = y.abs()?.broadcast_ge(&floors)?.to_dtype(DType::F32)?;
            Ok((y * kept)?)
        });
        let tiles = tiles.collect::<Result<Vec<_>>>()?;
        Ok(if tiles.len() == 1 { tiles[0].clone() } else { Tensor::cat(&tiles, 1)? })
    }

    /// Λ for the coefficients, in their order [1, m₁ · m₂ · …].
    fn eigenvalues(&self, decay: f64) -> Result<Tensor> {
        let mut values = self.distances.affine(-decay, 0.0)?.exp()?;
        for axis in &self.axes {
            let cosines = values.reshape((axis.n, values.elem_count() / axis.n))?.t()?.matmul(&axis.transform.t()?)?;
            // A sine has the eigenvalue of the cosine of its frequency.
            values = match axis.n {
                2 => cosines,
                n => Tensor::cat(&[&cosines, &cosines.narrow(1, 1, n - 2)?], 1)?,
            };
        }
        Ok(values.reshape((1, self.coefficients))?)
    }
}

impl Axis {
    fn new(n: usize, device: &Device) -> Result<Self> {
        let m = 2 * n - 2;
        // Exact multiples of the angle keep their precision.
        let angle = |k: usize, i: usize| std::f64::consts::TAU * (k * i % m) as f64 / m as f64;
        let cosines = (0..n).flat_map(|k| (0..n).map(move |i| angle(k, i).cos() as f32));
        let sines = (1..n - 1).flat_map(|k| (0..n).map(move |i| angle(k, i).sin() as f32));
        let waves = Tensor::from_vec(cosines.chain(sines).collect::<Vec<f32>>(), (m, n), device)?;
        // The first and the last distance and frequency occur once on the circle, all others twice.
        let times = |i: usize| if i == 0 || i == n - 1 { 1.0 } else { 2.0 };
        let entry = |k: usize, i: usize| (times(k) * times(i) * angle(k, i).cos() / m as f64) as f32;
        let transform: Vec<f32> = (0..n).flat_map(|k| (0..n).map(move |i| entry(k, i))).collect();
        Ok(Self { n, waves, transform: Tensor::from_vec(transform, (n, n), device)? })
    }
}
