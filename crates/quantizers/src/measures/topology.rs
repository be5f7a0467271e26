//! Whether codes that are near on the grid are near in space.

use candle_core::{DType, Tensor};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use serde::Serialize;

use crate::error::{QuantizerError, Result};
use crate::grid::Grid;

/// Of more used codes than this a seeded sample is compared: pairs grow with the square.
pub const MAX_COMPARED_CODES: usize = 2048;

/// Spearman's rank correlation of grid distance with codebook distance, over all pairs of the compared codes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Topology {
    /// Spearman's ρ, −1 to 1; equal distances have their average rank.
    pub correlation: f64,
    /// Share of random assignments of the codes to the same grid cells that correlate as well, this one included.
    pub p_value: f64,
    /// Random assignments tried.
    pub permutations: usize,
    /// Codes whose pairs were compared.
    pub compared_codes: usize,
}

/// Correlates grid distance with distance in `codebook` f32 [K, D] over pairs of the codes in `used`, each named once,
/// and tests the correlation's significance: p = (1 + #≥) / (1 + `permutations`) over random assignments of the codes
/// to their cells, drawn from `seed`. Gives nothing where ρ is undefined: with fewer than three codes, or with all
/// distances equal.
///
/// # Errors
/// [`QuantizerError::Input`] if `codebook` or `used` does not fit the grid.
pub fn topology(
    grid: &Grid,
    codebook: &Tensor,
    used: &[usize],
    permutations: usize,
    seed: u64,
) -> Result<Option<Topology>> {
    let refuse = |expected: String, found: String| {
        Err(QuantizerError::Input { operation: "correlate grid and codebook", expected, found })
    };
    if !matches!(codebook.dims(), &[k, _] if k == grid.len()) {
        return refuse(format!("a codebook of shape [{}, D]", grid.len()), format!("shape {:?}", codebook.dims()));
    }
    if let Some(code) = used.iter().find(|&&code| code >= grid.len()) {
        return refuse(format!("codes less than {}", grid.len()), format!("code {code}"));
    }
    let mut used = used.to_vec();
    if used.len() > MAX_COMPARED_CODES {
        used.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        used.truncate(MAX_COMPARED_CODES);
        used.sort_unstable();
    }
    let n = used.len();
    if n < 3 {
        return Ok(None);
    }
    let vectors = codebook.to_dtype(DType::F32)?.to_vec2::<f32>()?;
    let in_space = centered_ranks(&pairs(n, |i, j| squared_distance(&vectors[used[i]], &vectors[used[j]])));
    let on_grid = centered_ranks(&pairs(n, |i, j| grid.squared_distance(used[i], used[j]) as f64));
    let norm = sum_of_products(&in_space, &in_space).sqrt() * sum_of_products(&on_grid, &on_grid).sqrt();
    if norm == 0.0 {
        return Ok(None);
    }

    // The grid's ranks as a square matrix, so that a permuted row is one lookup per pair.
    let mut square = vec![0f32; n * n];
    let mut rank = on_grid.iter();
    for i in 0..n {
        for (j, &rank) in (0..i).zip(&mut rank) {
            square[i * n + j] = rank;
            square[j * n + i] = rank;
        }
    }
    let products = |cells: &[usize]| -> f64 {
        let mut rank = in_space.iter();
        (0..n).map(|i| (&square[cells[i] * n..][..n], i)).fold(0.0, |sum, (row, i)| {
            let pairs = cells[..i].iter().zip(&mut rank);
            sum + pairs.map(|(&cell, &rank)| f64::from(rank) * f64::from(row[cell])).sum::<f64>()
        })
    };
    let identity: Vec<usize> = (0..n).collect();
    let observed = products(&identity);
    let as_good = (0..permutations).into_par_iter().filter(|&permutation| {
        // A stream of its own per permutation: the same result on any number of threads.
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(permutation as u64 + 1);
        let mut cells = identity.clone();
        cells.shuffle(&mut rng);
        products(&cells) >= observed
    });
    let as_good = as_good.count();
    Ok(Some(Topology {
        correlation: observed / norm,
        p_value: (1 + as_good) as f64 / (1 + permutations) as f64,
        permutations,
        compared_codes: n,
    }))
}

/// `value(i, j)` for all j < i < n, row by row.
fn pairs(n: usize, value: impl Fn(usize, usize) -> f64 + Sync) -> Vec<f64> {
    let rows: Vec<Vec<f64>> = (0..n).into_par_iter().map(|i| (0..i).map(|j| value(i, j)).collect()).collect();
    rows.concat()
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
}

fn sum_of_products(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// The rank of each value, equals sharing their average rank, less the mean rank. Multiples of ½ up to a million: f32
/// holds them exactly.
fn centered_ranks(values: &[f64]) -> Vec<f32> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mean = (values.len() as f64 - 1.0) / 2.0;
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for equals in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = start as f64 + (equals.len() - 1) as f64 / 2.0;
        for &index in equals {
            ranks[index] = (rank - mean) as f32;
        }
        start += equals.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_their_average_rank() {
        // Ranks 0, 1.5, 1.5, 3 less the mean 1.5.
        assert_eq!(centered_ranks(&[1.0, 5.0, 5.0, 9.0]), [-1.5, 0.0, 0.0, 1.5]);
        assert_eq!(centered_ranks(&[2.0, 2.0, 2.0]), [0.0; 3]);
    }
}
