//! What a quantizer is, apart from its state.

use serde::{Deserialize, Serialize};

use crate::error::{QuantizerError, Result};
use crate::grid::{Grid, MAX_CODES};

/// The largest dimension of a codebook vector.
pub const MAX_DIM: usize = 1 << 16;

/// The most levels of FSQ along an axis.
const MAX_LEVEL: usize = 256;

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
    /// Gradient descent on a linear map of codes that stay as they were drawn: SimVQ.
    SimVq,
    /// Not at all: the codes are the points of a lattice (finite scalar quantization).
    Fsq,
}

impl QuantizerKind {
    /// The name of the codebook, or of what it is made of, among a quantizer's tensors; none where it is implied. That of
    /// KSOM and GD-SOM is the one of the paper's checkpoints.
    pub fn codebook_name(self) -> Option<&'static str> {
        match self {
            Self::Ksom => Some("_w"),
            Self::GdSom => Some("w"),
            Self::SimVq => Some("frozen"),
            Self::Fsq => None,
        }
    }

    /// Whether codes learn together with their neighbors on the grid.
    pub fn has_neighborhood(self) -> bool {
        matches!(self, Self::Ksom | Self::GdSom)
    }
}

/// By what a vector's nearest code is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Similarity {
    /// The Euclidean distance.
    #[default]
    Euclidean,
    /// The angle: codes and inputs are scaled to length 1.
    Cosine,
}

/// How the gradient gets past the choice of a code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// Unchanged, as if the code were the input.
    #[default]
    StraightThrough,
    /// Turned and scaled as the input would have to be to become the code (arXiv 2410.06424).
    Rotation,
}

/// What a new codebook is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Initialization {
    /// Numbers from N(0, 1).
    #[default]
    Normal,
    /// The centers of k-means on the first batch.
    KMeans,
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
    /// By what the nearest code is found; the cosine with KSOM and EMA-VQ only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub similarity: Similarity,
    /// How the gradient gets past the choice of a code.
    #[serde(default, skip_serializing_if = "is_default")]
    pub estimator: Estimator,
    /// What a new codebook is made of; k-means with KSOM, EMA-VQ and GD-SOM only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub init: Initialization,
    /// After each step, codes whose count has fallen below this take a vector of the batch; 0 for never. KSOM and EMA-VQ
    /// only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub revive_below: f64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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
            (QuantizerKind::SimVq, _) => "SimVQ",
            (QuantizerKind::Fsq, _) => "FSQ",
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
            similarity: Similarity::default(),
            estimator: Estimator::default(),
            init: Initialization::default(),
            revive_below: 0.0,
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

    /// SimVQ. Its automatic 2-D grid serves the measures only.
    pub fn sim_vq(num_codes: usize, dim: usize) -> Self {
        Self { kind: QuantizerKind::SimVq, ..Self::ema_vq(num_codes, dim) }
    }

    /// FSQ with these levels along its axes, 3 to 256 each: they are its grid, and there are as many dimensions.
    pub fn fsq(levels: &[usize]) -> Self {
        let num_codes = levels.iter().fold(1, |product: usize, &level| product.saturating_mul(level));
        Self { kind: QuantizerKind::Fsq, grid: levels.to_vec(), ..Self::ema_vq(num_codes, levels.len()) }
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
        check_range("kohonen_cost", self.kohonen_cost, 0.0, 1e6)?;
        check_range("revive_below", self.revive_below, 0.0, 1e6)?;
        self.check_options()
    }

    /// Checks that options are of use for this kind.
    fn check_options(&self) -> Result<()> {
        let (kind, ksom) = (self.kind, self.kind == QuantizerKind::Ksom);
        let unused = |field, expected: &str, found: String| {
            Err(QuantizerError::Config {
                field,
                expected: expected.into(),
                found: format!("{found} with {}", self.name()),
            })
        };
        if self.neighborhood != NeighborhoodKind::None && !kind.has_neighborhood() {
            return unused("neighborhood", "none but with KSOM and GD-SOM", format!("{:?}", self.neighborhood));
        }
        if self.similarity == Similarity::Cosine && !ksom {
            return unused("similarity", "euclidean but with KSOM and EMA-VQ", "cosine".into());
        }
        if self.init == Initialization::KMeans && !matches!(kind, QuantizerKind::Ksom | QuantizerKind::GdSom) {
            return unused("init", "normal but with KSOM, EMA-VQ and GD-SOM", "kmeans".into());
        }
        if self.revive_below > 0.0 && !ksom {
            return unused("revive_below", "0 but with KSOM and EMA-VQ", self.revive_below.to_string());
        }
        if self.revive_below > 0.0 && self.skip_unused {
            return unused("skip_unused", "false where codes are revived, whose counts must fall", "true".into());
        }
        if kind == QuantizerKind::Fsq {
            if let Some(level) = self.grid.iter().find(|level| !(3..=MAX_LEVEL).contains(*level)) {
                return unused("grid", &format!("3 to {MAX_LEVEL} levels along each axis"), level.to_string());
            }
            if self.grid.len() != self.dim {
                let found = format!("{} axes in {} dimensions", self.grid.len(), self.dim);
                return unused("grid", "an axis for each dimension", found);
            }
        }
        Ok(())
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
