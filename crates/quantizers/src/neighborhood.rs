//! Which codes learn together with the chosen one, and how much.

use std::sync::{Arc, OnceLock};

use candle_core::{DType, Device, Tensor};

use crate::config::{NeighborhoodKind, QuantizerConfig};
use crate::error::{QuantizerError, Result};
use crate::grid::Grid;

/// Up to this many codes, all pairs' distances are kept (16 MiB).
const MAX_CACHED_CODES: usize = 2048;

/// How many numbers a tile of the neighborhood matrix may hold.
const TILE_ELEMENTS: usize = 1 << 22;

/// Stands for the distance of a code to itself, so that its weight vanishes beside those of its neighbors: that of the
/// gaussian neighborhood is at most exp(−1e12 / 1e6) = 0.
const EXCLUDED: f64 = 1e12;

/// The neighborhood of a grid's codes: the symmetric matrix A_t [K, K] with diagonal 1 that says how much each code
/// learns of another one's samples at training step t.
///
/// The matrix itself is never needed: [`Neighborhood::apply`] multiplies by it.
#[derive(Clone, Debug)]
pub struct Neighborhood {
    grid: Grid,
    kind: NeighborhoodKind,
    shrink_step: f64,
    gaussian_base: f64,
    /// Grid distances [K, K] with [`EXCLUDED`] on the diagonal, on the first device that asked for them.
    distances: Arc<OnceLock<Tensor>>,
}

impl Neighborhood {
    /// The neighborhood of a configuration.
    ///
    /// # Errors
    /// As [`QuantizerConfig::validate`].
    pub fn new(config: &QuantizerConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            grid: Grid::new(config.grid.clone())?,
            kind: config.neighborhood,
            shrink_step: config.shrink_step,
            gaussian_base: config.gaussian_base,
            distances: Arc::new(OnceLock::new()),
        })
    }

    /// The grid on which the codes lie.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The weight A_t of two codes that lie `distance` apart: 1 at distance 0.
    pub fn weight(&self, distance: f64, t: u64) -> f64 {
        if distance == 0.0 {
            return 1.0;
        }
        let shrink = 1.0 + t as f64 * self.shrink_step;
        match self.kind {
            NeighborhoodKind::Hard if distance < crate::grid::NEIGHBOR_DISTANCE => 1.0 / shrink,
            NeighborhoodKind::Gaussian => (-distance * shrink / self.gaussian_base).exp(),
            NeighborhoodKind::Hard | NeighborhoodKind::None => 0.0,
        }
    }

    /// The whole matrix A_t [K, K], for pictures and tests: memory grows with K².
    ///
    /// # Errors
    /// [`QuantizerError::Input`] if K is over 16,384; or the device or type cannot hold the matrix.
    pub fn matrix(&self, t: u64, device: &Device, dtype: DType) -> Result<Tensor> {
        let k = self.grid.len();
        if k > 1 << 14 {
            return Err(QuantizerError::Input {
                operation: "neighborhood matrix",
                expected: format!("at most {} codes", 1 << 14),
                found: k.to_string(),
            });
        }
        let weight = |a, b| self.weight((self.grid.squared_distance(a, b) as f64).sqrt(), t) as f32;
        let values: Vec<f32> = (0..k).flat_map(|a| (0..k).map(move |b| (a, b))).map(|(a, b)| weight(a, b)).collect();
        Ok(Tensor::from_vec(values, (k, k), device)?.to_dtype(dtype)?)
    }

    /// A_t · x for `x` f32 [K, C], in bounded memory beside `x`: O(K C) operations where the neighborhood is hard,
    /// O(K² C) where it is gaussian.
    ///
    /// # Errors
    /// If `x` is not f32 [K, C].
    pub fn apply(&self, t: u64, x: &Tensor) -> Result<Tensor> {
        Ok(match self.apply_to_others(t, x)? {
            Some(others) => (x + others)?,
            None => x.clone(),
        })
    }

    /// (A_t − I) · x, or nothing where that is zero.
    pub(crate) fn apply_to_others(&self, t: u64, x: &Tensor) -> Result<Option<Tensor>> {
        if !matches!(x.dims(), &[k, _] if k == self.grid.len()) || x.dtype() != DType::F32 {
            return Err(QuantizerError::Input {
                operation: "apply a neighborhood",
                expected: format!("f32 of shape [{}, C]", self.grid.len()),
                found: format!("{:?} of shape {:?}", x.dtype(), x.dims()),
            });
        }
        let shrink = 1.0 + t as f64 * self.shrink_step;
        Ok(match self.kind {
            NeighborhoodKind::None => None,
            NeighborhoodKind::Hard => self.sum_of_neighbors(x)?.map(|sum| sum.affine(1.0 / shrink, 0.0)).transpose()?,
            NeighborhoodKind::Gaussian => Some(self.gaussian(-shrink / self.gaussian_base, x)?),
        })
    }

    /// For each cell the sum of its neighbors' rows of `x` [K, C]; nothing on a grid of one cell.
    ///
    /// Neighbors differ by one step along one axis or along two. With N_a the sum of both shifts along axis a, that is
    /// Σ N_a + Σ_{a<b} N_a N_b: two elementary symmetric polynomials, built axis by axis.
    fn sum_of_neighbors(&self, x: &Tensor) -> Result<Option<Tensor>> {
        let (k, c) = x.dims2()?;
        let mut one_axis: Option<Tensor> = None;
        let mut two_axes: Option<Tensor> = None;
        let mut inner = c;
        for &axis in self.grid.shape().iter().filter(|&&axis| axis > 1) {
            let shifts = |x: &Tensor| -> Result<Tensor> {
                let cells = x.reshape((k * c / (axis * inner), axis, inner))?;
                let left = cells.narrow(1, 1, axis - 1)?.pad_with_zeros(1, 0, 1)?;
                let right = cells.narrow(1, 0, axis - 1)?.pad_with_zeros(1, 1, 0)?;
                Ok((left + right)?.reshape((k, c))?)
            };
            if let Some(one) = &one_axis {
                two_axes = add(two_axes, shifts(one)?)?;
            }
            one_axis = add(one_axis, shifts(x)?)?;
            inner *= axis;
        }
        Ok(match (one_axis, two_axes) {
            (Some(one), Some(two)) => Some((one + two)?),
            (one, _) => one,
        })
    }

    /// exp(`factor` · dist) · x without the diagonal, in tiles of rows.
    fn gaussian(&self, factor: f64, x: &Tensor) -> Result<Tensor> {
        let k = self.grid.len();
        let x = x.contiguous()?;
        let cached = match self.distances.get() {
            Some(kept) if kept.device().same_device(x.device()) => Some(kept.clone()),
            None if k <= MAX_CACHED_CODES => {
                let distances = self.distance_tile(&self.axes(x.device())?, 0, k)?;
                Some(self.distances.get_or_init(|| distances.clone()).clone())
                    .filter(|kept| kept.device().same_device(x.device()))
                    .or(Some(distances))
            }
            _ => None,
        };
        if let Some(distances) = cached {
            return Ok(distances.affine(factor, 0.0)?.exp()?.matmul(&x)?);
        }
        let axes = self.axes(x.device())?;
        let rows = (TILE_ELEMENTS / k).max(1);
        let tiles = (0..k).step_by(rows).map(|start| -> Result<Tensor> {
            let distances = self.distance_tile(&axes, start, rows.min(k - start))?;
            Ok(distances.affine(factor, 0.0)?.exp()?.matmul(&x)?)
        });
        Ok(Tensor::cat(&tiles.collect::<Result<Vec<_>>>()?, 0)?)
    }

    /// Every code's coordinate along each axis, f32 [1, K] each.
    fn axes(&self, device: &Device) -> Result<Vec<Tensor>> {
        let k = self.grid.len();
        let mut axes = vec![Vec::with_capacity(k); self.grid.shape().len()];
        for code in 0..k {
            for (axis, coordinate) in axes.iter_mut().zip(self.grid.coordinates_of(code)) {
                axis.push(coordinate as f32);
            }
        }
        let tensors = axes.into_iter().map(|axis| Tensor::from_vec(axis, (1, k), device));
        Ok(tensors.collect::<candle_core::Result<Vec<_>>>()?)
    }

    /// Distances of the codes from `start` on to all codes [rows, K], with [`EXCLUDED`] between a code and itself.
    fn distance_tile(&self, axes: &[Tensor], start: usize, rows: usize) -> Result<Tensor> {
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
}

fn add(sum: Option<Tensor>, term: Tensor) -> Result<Option<Tensor>> {
    Ok(Some(match sum {
        Some(sum) => (sum + term)?,
        None => term,
    }))
}
