//! Which codes learn together with the chosen one, and how much.

use candle_core::{DType, Device, Tensor};
use ksom_kernels::{Backend, spread_on_grid};

use crate::config::{NeighborhoodKind, QuantizerConfig};
use crate::error::{QuantizerError, Result};
use crate::gaussian::{FEW_CODES, Gaussian};
use crate::grid::{Grid, NEIGHBOR_DISTANCE};

/// Axes of more than one cell up to which a cell's neighbors are few enough to be added one by one.
const FEW_AXES: usize = 4;

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
    gaussian: Gaussian,
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
            gaussian: Gaussian::default(),
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
            NeighborhoodKind::Hard if distance < NEIGHBOR_DISTANCE => 1.0 / shrink,
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

    /// A_t · x for `x` f32 [K, C], never with A in memory.
    ///
    /// A hard neighborhood takes O(K C) operations. A gaussian one is a convolution on the grid: up to 1,024 codes it
    /// is a product with the matrix; beyond, on the CPU, rows are added one by one where few of them have a weight over
    /// 2⁻³⁰, and Fourier transforms take O(K log K · C) otherwise; by candle's operations alone (on CUDA and Metal)
    /// O(K n C) for a grid whose longest side is n. Rounding errors are then relative to the largest sums of a column,
    /// and sums that are less than these errors are given as zero.
    ///
    /// # Errors
    /// If `x` is not f32 [K, C].
    pub fn apply(&self, t: u64, x: &Tensor) -> Result<Tensor> {
        self.apply_on(Backend::best_for(x.device(), x.dtype()), t, x)
    }

    /// As [`Neighborhood::apply`], on a computing path.
    pub(crate) fn apply_on(&self, backend: Backend, t: u64, x: &Tensor) -> Result<Tensor> {
        Ok(match self.apply_to_others(backend, t, x)? {
            Some(others) => (x + others)?,
            None => x.clone(),
        })
    }

    /// (A_t − I) · x, or nothing where that is zero.
    pub(crate) fn apply_to_others(&self, backend: Backend, t: u64, x: &Tensor) -> Result<Option<Tensor>> {
        if !matches!(x.dims(), &[k, _] if k == self.grid.len()) || x.dtype() != DType::F32 {
            return Err(QuantizerError::Input {
                operation: "apply a neighborhood",
                expected: format!("f32 of shape [{}, C]", self.grid.len()),
                found: format!("{:?} of shape {:?}", x.dtype(), x.dims()),
            });
        }
        let shrink = 1.0 + t as f64 * self.shrink_step;
        let fast = backend == Backend::Fast && self.grid.len() > FEW_CODES;
        Ok(match self.kind {
            NeighborhoodKind::None => None,
            NeighborhoodKind::Hard if fast && self.axes() <= FEW_AXES => {
                spread_on_grid(x, self.grid.shape(), NEIGHBOR_DISTANCE, &|_| 1.0 / shrink)?
            }
            NeighborhoodKind::Hard => self.sum_of_neighbors(x)?.map(|sum| sum.affine(1.0 / shrink, 0.0)).transpose()?,
            NeighborhoodKind::Gaussian => {
                Some(self.gaussian.apply_to_others(backend, &self.grid, shrink / self.gaussian_base, x)?)
            }
        })
    }

    /// Axes of more than one cell.
    fn axes(&self) -> usize {
        self.grid.shape().iter().filter(|&&side| side > 1).count()
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
}

fn add(sum: Option<Tensor>, term: Tensor) -> Result<Option<Tensor>> {
    Ok(Some(match sum {
        Some(sum) => (sum + term)?,
        None => term,
    }))
}
