//! The gaussian neighborhood: weights exp(−decay · distance) of all pairs of codes.

use std::sync::{Arc, OnceLock};

use candle_core::{Device, Tensor};
use ksom_kernels::{Backend, spread_on_grid};

use crate::error::Result;
use crate::grid::Grid;
use crate::spectral::Spectral;

/// Up to this many codes, neighborhoods are applied by candle's operations on either path: what else there is would
/// save little, and round otherwise.
pub(crate) const FEW_CODES: usize = 1024;

/// How many numbers a tile of the neighborhood matrix may hold.
const TILE_ELEMENTS: usize = 1 << 22;

/// Stands for the distance of a code to itself, so that its weight vanishes beside those of its neighbors: that of the
/// gaussian neighborhood is at most exp(−1e12 / 1e6) = 0.
const EXCLUDED: f64 = 1e12;

/// Beyond decay · distance = 30 ln 2, weights are less than 2⁻³⁰. All together they are less than 2⁻²⁴, what an f32 can
/// tell from 1, where they are left out: where less than fifty cells are nearer.
const NEGLIGIBLE: f64 = 30.0 * std::f64::consts::LN_2;

/// What is kept of a grid between steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gaussian {
    /// Distances [K, K] with [`EXCLUDED`] on the diagonal, on the first device that asked for them.
    distances: Arc<OnceLock<Tensor>>,
    /// The grid's waves, or that they are no gain, for the first device that asked for them.
    spectral: Arc<OnceLock<Option<Spectral>>>,
}

impl Gaussian {
    /// exp(−`decay` · distance) · x without the diagonal, for `x` [K, C].
    pub(crate) fn apply_to_others(&self, backend: Backend, grid: &Grid, decay: f64, x: &Tensor) -> Result<Tensor> {
        let x = x.contiguous()?;
        if grid.len() <= FEW_CODES {
            let distances = self.distances(grid, x.device())?;
            return Ok(distances.affine(-decay, 0.0)?.exp()?.matmul(&x)?);
        }
        match backend {
            Backend::Fast => {
                let weight = |distance: f64| (-decay * distance).exp();
                if let Some(others) = spread_on_grid(&x, grid.shape(), NEGLIGIBLE / decay, &weight)? {
                    return Ok(others);
                }
            }
            Backend::Portable => {
                if let Some(spectral) = self.spectral(grid, x.device())? {
                    return spectral.spread(decay, &x);
                }
            }
        }
        in_tiles(grid, decay, &x)
    }

    fn distances(&self, grid: &Grid, device: &Device) -> Result<Tensor> {
        if let Some(kept) = self.distances.get().filter(|kept| kept.device().same_device(device)) {
            return Ok(kept.clone());
        }
        let distances = distance_tile(&axes(grid, device)?, 0, grid.len())?;
        Ok(self.distances.get_or_init(|| distances.clone()).clone()).map(|kept| {
            match kept.device().same_device(device) {
                true => kept,
                false => distances,
            }
        })
    }

    fn spectral(&self, grid: &Grid, device: &Device) -> Result<Option<Spectral>> {
        let here = |kept: &&Option<Spectral>| kept.as_ref().is_none_or(|kept| kept.device().same_device(device));
        if let Some(kept) = self.spectral.get().filter(here) {
            return Ok(kept.clone());
        }
        let spectral = Spectral::new(grid, device)?;
        self.spectral.get_or_init(|| spectral.clone());
        Ok(spectral)
    }
}

/// The product in tiles of rows of the matrix.
fn in_tiles(grid: &Grid, decay: f64, x: &Tensor) -> Result<Tensor> {
    let axes = axes(grid, x.device())?;
    let rows = (TILE_ELEMENTS / grid.len()).max(1);
    let tiles = (0..grid.len()).step_by(rows).map(|start| -> Result<Tensor> {
        let distances = distance_tile(&axes, start, rows.min(grid.len() - start))?;
        Ok(distances.affine(-decay, 0.0)?.exp()?.matmul(x)?)
    });
    Ok(Tensor::cat(&tiles.collect::<Result<Vec<_>>>()?, 0)?)
}

/// Every code's coordinate along each axis, f32 [1, K] each.
fn axes(grid: &Grid, device: &Device) -> Result<Vec<Tensor>> {
    let k = grid.len();
    let mut axes = vec![Vec::with_capacity(k); grid.shape().len()];
    for code in 0..k {
        for (axis, coordinate) in axes.iter_mut().zip(grid.coordinates_of(code)) {
            axis.push(coordinate as f32);
        }
    }
    let tensors = axes.into_iter().map(|axis| Tensor::from_vec(axis, (1, k), device));
    Ok(tensors.collect::<candle_core::Result<Vec<_>>>()?)
}

/// Distances of the codes from `start` on to all codes [rows, K], with [`EXCLUDED`] between a code and itself.
fn distance_tile(axes: &[Tensor], start: usize, rows: usize) -> Result<Tensor> {
    let difference = |axis: &Tensor| axis.narrow(1, start, rows)?.t()?.broadcast_sub(axis);
    // A grid has at least one axis.
    let mut squared = difference(&axes[0])?.sqr()?;
    for axis in &axes[1..] {
        squared = (squared + difference(axis)?.sqr()?)?;
    }
    // The tile is ours alone: its diagonal is overwritten in place.
    let device = squared.device();
    let diagonal = Tensor::arange(start as u32, (start + rows) as u32, device)?.unsqueeze(1)?;
    let excluded = Tensor::full((EXCLUDED * EXCLUDED) as f32, (rows, 1), device)?;
    squared.scatter_set(&diagonal, &excluded, 1)?;
    Ok(squared.sqrt()?)
}
