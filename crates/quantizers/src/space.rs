//! What of an input is compared with the codes.

use candle_core::{Device, Tensor};

use crate::config::{QuantizerConfig, QuantizerKind, Similarity};
use crate::error::Result;

/// The least length that a vector is divided by.
pub const MIN_LENGTH: f64 = 1e-6;

/// How much wider than the outermost levels of FSQ the range is that inputs are bound to.
const MARGIN: f64 = 1e-3;

/// The space that codes lie in, and the way into it. It is differentiable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    /// That of the inputs.
    Inputs,
    /// The sphere of vectors of length 1.
    Sphere,
    /// The cube that FSQ's lattice fills.
    Cube,
}

impl Space {
    pub(crate) fn of(config: &QuantizerConfig) -> Self {
        match (config.kind, config.similarity) {
            (QuantizerKind::Fsq, _) => Self::Cube,
            (_, Similarity::Cosine) => Self::Sphere,
            (_, Similarity::Euclidean) => Self::Inputs,
        }
    }

    /// Rows f32 [N, D] in this space.
    pub(crate) fn enter(self, config: &QuantizerConfig, rows: Tensor) -> Result<Tensor> {
        match self {
            Self::Inputs => Ok(rows),
            Self::Sphere => unit(&rows),
            Self::Cube => bounded(&rows, &config.grid),
        }
    }
}

/// The lengths of the rows of `x` [N, D], at least [`MIN_LENGTH`] → [N, 1].
pub(crate) fn lengths(x: &Tensor) -> Result<Tensor> {
    let least = Tensor::new((MIN_LENGTH * MIN_LENGTH) as f32, x.device())?;
    Ok(x.sqr()?.sum_keepdim(1)?.broadcast_maximum(&least)?.sqrt()?)
}

/// The rows of `x` [N, D] scaled to length 1.
pub(crate) fn unit(x: &Tensor) -> Result<Tensor> {
    Ok(x.broadcast_div(&lengths(x)?)?)
}

impl QuantizerConfig {
    /// What a new codebook of this kind, or what it is made of, is where `drawn` [K, D] are numbers from N(0, 1).
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn codebook_of(&self, drawn: &Tensor) -> Result<Tensor> {
        match (self.kind, self.similarity) {
            (_, Similarity::Cosine) => unit(drawn),
            // Codes of a length of about 1, whatever the dimension.
            (QuantizerKind::SimVq, _) => Ok((drawn / (self.dim as f64).sqrt())?),
            // A copy: what is written into a variable must not share its memory.
            _ => Ok(drawn.copy()?),
        }
    }
}

/// Numbers as a row f32 [1, D].
pub(crate) fn row(values: Vec<f64>, device: &Device) -> Result<Tensor> {
    let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
    Ok(Tensor::from_slice(&values, (1, values.len()), device)?)
}

/// How FSQ binds a number z to its levels along each axis: by tanh(z + shift) · scale − offset, so wide that the outermost
/// levels are rounded to, and shifted where their number is even, so that 0 stays 0. → shifts, scales, offsets.
pub fn fsq_bound(levels: &[usize]) -> [Vec<f64>; 3] {
    let (mut shift, mut scale, mut offset) = (Vec::new(), Vec::new(), Vec::new());
    for &level in levels {
        let range = (level - 1) as f64 * (1.0 + MARGIN) / 2.0;
        let even = if level % 2 == 0 { 0.5 } else { 0.0 };
        let half = (level / 2) as f64;
        shift.push((even / range).atanh());
        scale.push(range / half);
        offset.push(even / half);
    }
    [shift, scale, offset]
}

/// Rows [N, D] bound to the cube.
fn bounded(rows: &Tensor, levels: &[usize]) -> Result<Tensor> {
    let [shift, scale, offset] = fsq_bound(levels).map(|values| row(values, rows.device()));
    Ok(rows.broadcast_add(&shift?)?.tanh()?.broadcast_mul(&scale?)?.broadcast_sub(&offset?)?)
}
