//! K-means, for codebooks that begin where the vectors are.

use candle_core::{DType, Tensor};
use ksom_kernels::Backend;

use crate::config::Similarity;
use crate::error::{QuantizerError, Result};
use crate::revival::Sample;
use crate::rows;
use crate::space::{Space, unit};

/// Rounds of a codebook's k-means.
const ROUNDS: usize = 10;

/// It looks at no more than so many vectors for each code.
const MAX_ROWS_PER_CODE: usize = 64;

/// Rounds of Lloyd's algorithm on the rows of `x` f32 [N, D] from `centers` f32 [K, D]: each row goes to the nearest
/// center, and each center to the mean of its rows; one without rows stays. With the cosine, rows are to have length 1,
/// and centers are brought to it. → the centers, and how many rows each had in the last round `[K]`.
///
/// # Errors
/// [`QuantizerError::Input`] if shapes do not fit, there is no row or no center, or no round.
pub fn k_means(
    x: &Tensor,
    centers: &Tensor,
    rounds: usize,
    similarity: Similarity,
    backend: Backend,
) -> Result<(Tensor, Tensor)> {
    let shapes = (x.dims(), centers.dims());
    if !matches!(shapes, ([n, d], [k, e]) if d == e && n * k * d > 0) || rounds == 0 {
        return Err(QuantizerError::Input {
            operation: "k-means",
            expected: "rows [N, D], centers [K, D] and at least one round".into(),
            found: format!("{:?}, {:?} and {rounds}", shapes.0, shapes.1),
        });
    }
    let (x, mut centers, k) = (x.to_dtype(DType::F32)?, centers.to_dtype(DType::F32)?.contiguous()?, centers.dim(0)?);
    let mut sizes = Tensor::zeros(k, DType::F32, x.device())?;
    for _ in 0..rounds {
        let codes = rows::nearest(backend, &x, &centers)?;
        let (sums, counts) = rows::code_sums(backend, &x, &codes, k)?;
        let used = counts.gt(0.0)?.unsqueeze(1)?.broadcast_as(sums.shape())?.contiguous()?;
        let least = Tensor::ones((), DType::F32, counts.device())?;
        let mut means = sums.broadcast_div(&counts.broadcast_maximum(&least)?.unsqueeze(1)?)?;
        if similarity == Similarity::Cosine {
            means = unit(&means)?;
        }
        centers = used.where_cond(&means, &centers)?;
        sizes = counts;
    }
    Ok((centers, sizes))
}

/// A codebook of `num_codes` centers of the rows of `x` f32 [N, D] in a space of codes, and their sizes. It begins with
/// different rows at random; where these are fewer than the codes, several codes begin, and stay, at one place.
pub(crate) fn of_rows(x: &Tensor, num_codes: usize, space: Space, backend: Backend) -> Result<(Tensor, Tensor)> {
    let most = num_codes.saturating_mul(MAX_ROWS_PER_CODE);
    let sample = Sample::of(x, most, 0)?;
    let centers = sample.tensor(num_codes, x.device())?;
    let x = if x.dim(0)? > most { sample.tensor(sample.len(), x.device())? } else { x.clone() };
    let similarity = if space == Space::Sphere { Similarity::Cosine } else { Similarity::Euclidean };
    k_means(&x, &centers, ROUNDS, similarity, backend)
}
