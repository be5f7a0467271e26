//! What a quantizer is, apart from its state.

use serde::{Deserialize, Serialize};

use crate::error::{QuantizerError, Result};
use crate::grid::{Grid, MAX_CODES};

/// The largest dimension of a codebook vector.
pub const MAX_DIM: usize = 1 << 16;

/// The most numbers that a codebook may hold (1 GiB in f32).
const MAX_ELEMENTS: usize = 1 << 28;

/// How the codebook learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuantizerKind {
    /// Exponential moving averages over a neighborhood: KSOM, and EMA-VQ where the neighborhood is `none`.
    Ksom,
    /// Gradient descent on a self-organizing map's loss.
    GdSom,
}

impl QuantizerKind {
    /// The name of the codebook among a quantizer's tensors: that of the paper's checkpoints.
    pub fn codebook_name(self) -> &'static str {
        match self {
            Self::Ksom => "_w",
            Self::GdSom => "w",
        }
    }
}

/// Which codes learn together with the one that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NeighborhoodKind {
    /// The cells at grid distance < 1.5, with weight 1 / (1 + tτ).
    Hard,
    /// All cells, with weight exp(−dist · (1 + tτ) / b).
    Gaussian,
    /// None besides the code itself: EMA-VQ.
    None,
}

/// What a quantizer is, apart from its state: the `quantizer` object of a model's `config.json`.
///
/// # Source
/// arXiv 2302.07950, sections 2 and 3; the defaults are the paper's.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct QuantizerConfig {
    /// How the codebook learns.
    pub kind: QuantizerKind,
    /// Number of codes K, 1 to 2^20.
    pub num_codes: usize,
    /// Dimension D of a codebook vector, 1 to 65,536.
    pub dim: usize,
    /// Which codes learn together.
    pub neighborhood: NeighborhoodKind,
    /// Shape of the grid on which the codes lie; its product is `num_codes`.
    pub grid: Vec<usize>,
    /// How fast the neighborhood shrinks (τ), per training step.
    #[serde(default = "default_shrink_step")]
    pub shrink_step: f64,
    /// Width of the gaussian neighborhood at t = 0 (b), in grid cells.
    #[serde(default = "default_gaussian_base")]
    pub gaussian_base: f64,
    /// Decay of the moving averages (γ), at least 0 and less than 1.
    #[serde(default = "default_decay")]
    pub decay: f64,
    /// Laplace smoothing of the counts (ε).
    #[serde(default = "default_epsilon")]
    pub epsilon: f64,
    /// Weight of the commitment loss (β).
    #[serde(default = "default_commitment")]
    pub commitment: f64,
    /// Initial counts (c₀).
    #[serde(default = "default_one")]
    pub counter_init: f64,
    /// Whether codes without a sample in their neighborhood keep their state, with no Laplace smoothing of any count.
    #[serde(default)]
    pub skip_unused: bool,
    /// Weight of the neighborhood loss (κ); GD-SOM only.
    #[serde(default = "default_one")]
    pub kohonen_cost: f64,
}

fn default_shrink_step() -> f64 {
    0.1
}

fn default_gaussian_base() -> f64 {
    10.0
}

fn default_decay() -> f64 {
    0.99
}

fn default_epsilon() -> f64 {
    1e-5
}

fn default_commitment() -> f64 {
    0.25
}

fn default_one() -> f64 {
    1.0
}

impl QuantizerConfig {
    /// What it is called for people.
    pub fn name(&self) -> &'static str {
        match (self.kind, self.neighborhood) {
            (QuantizerKind::Ksom, NeighborhoodKind::Hard) => "KSOM, hard neighborhood",
            (QuantizerKind::Ksom, NeighborhoodKind::Gaussian) => "KSOM, gaussian neighborhood",
            (QuantizerKind::Ksom, NeighborhoodKind::None) => "EMA-VQ",
            (QuantizerKind::GdSom, NeighborhoodKind::Hard) => "GD-SOM, hard neighborhood",
            (QuantizerKind::GdSom, NeighborhoodKind::Gaussian) => "GD-SOM, gaussian neighborhood",
            (QuantizerKind::GdSom, NeighborhoodKind::None) => "GD-SOM, no neighborhood",
        }
    }

    /// KSOM with the hard neighborhood on an automatic 2-D grid.
    pub fn ksom(num_codes: usize, dim: usize) -> Self {
        Self {
            kind: QuantizerKind::Ksom,
            num_codes,
            dim,
            neighborhood: NeighborhoodKind::Hard,
            // No grid fits a number of codes out of bounds: `validate` then says so.
            grid: Grid::auto(num_codes, 2).map_or_else(|_| vec![num_codes], |grid| grid.shape().to_vec()),
            shrink_step: default_shrink_step(),
            gaussian_base: default_gaussian_base(),
            decay: default_decay(),
            epsilon: default_epsilon(),
            commitment: default_commitment(),
            counter_init: default_one(),
            skip_unused: false,
            kohonen_cost: default_one(),
        }
    }

    /// EMA-VQ: KSOM without a neighborhood. Its automatic 2-D grid serves the measures only.
    pub fn ema_vq(num_codes: usize, dim: usize) -> Self {
        Self { neighborhood: NeighborhoodKind::None, ..Self::ksom(num_codes, dim) }
    }

    /// GD-SOM with the hard neighborhood on an automatic 2-D grid.
    pub fn gd_som(num_codes: usize, dim: usize) -> Self {
        Self { kind: QuantizerKind::GdSom, ..Self::ksom(num_codes, dim) }
    }

    /// The same quantizer on an automatic grid of `dims` axes.
    ///
    /// # Errors
    /// As [`Grid::auto`].
    pub fn with_auto_grid(self, dims: usize) -> Result<Self> {
        let grid = Grid::auto(self.num_codes, dims)?.shape().to_vec();
        Ok(Self { grid, ..self })
    }

    /// Checks every value against its bounds.
    ///
    /// # Errors
    /// [`QuantizerError::Config`] names the first field that is out of bounds, what it is and what it may be.
    pub fn validate(&self) -> Result<()> {
        check_count("num_codes", self.num_codes, MAX_CODES)?;
        check_count("dim", self.dim, MAX_DIM)?;
        if self.num_codes * self.dim > MAX_ELEMENTS {
            return Err(QuantizerError::Config {
                field: "dim",
                expected: format!("num_codes × dim of at most {MAX_ELEMENTS}"),
                found: format!("{} × {}", self.num_codes, self.dim),
            });
        }
        match Grid::new(self.grid.clone()) {
            Ok(grid) if grid.len() == self.num_codes => {}
            Ok(grid) => {
                return Err(QuantizerError::Config {
                    field: "grid",
                    expected: format!("a shape of num_codes = {} cells", self.num_codes),
                    found: format!("{:?} of {} cells", self.grid, grid.len()),
                });
            }
            Err(QuantizerError::Grid { expected, found }) => {
                return Err(QuantizerError::Config { field: "grid", expected, found });
            }
            Err(other) => return Err(other),
        }
        check_range("shrink_step", self.shrink_step, 0.0, 1e6)?;
        check_range("gaussian_base", self.gaussian_base, 1e-6, 1e6)?;
        if !(0.0..1.0).contains(&self.decay) {
            return Err(QuantizerError::Config {
                field: "decay",
                expected: "at least 0 and less than 1".into(),
                found: self.decay.to_string(),
            });
        }
        check_range("epsilon", self.epsilon, 1e-12, 1.0)?;
        check_range("commitment", self.commitment, 0.0, 1e6)?;
        check_range("counter_init", self.counter_init, 0.0, 1e6)?;
        check_range("kohonen_cost", self.kohonen_cost, 0.0, 1e6)
    }
}

fn check_count(field: &'static str, found: usize, high: usize) -> Result<()> {
    if (1..=high).contains(&found) {
        return Ok(());
    }
    Err(QuantizerError::Config { field, expected: format!("1 to {high}"), found: found.to_string() })
}

fn check_range(field: &'static str, found: f64, low: f64, high: f64) -> Result<()> {
    // NaN is in no range.
    if (low..=high).contains(&found) {
        return Ok(());
    }
    Err(QuantizerError::Config { field, expected: format!("a number from {low} to {high}"), found: found.to_string() })
}
