//! How far each code is from its neighbors on the grid.

use candle_core::{DType, Tensor};

use crate::error::{QuantizerError, Result};
use crate::grid::Grid;

/// The mean Euclidean distance of each code's vector in `codebook` [K, D] to those of its neighbors on the grid
/// ([`Grid::neighbors`]): what is drawn as a U-matrix, whose ridges separate what the map tells apart. Zero where there
/// is no neighbor.
///
/// # Errors
/// [`QuantizerError::Input`] if `codebook` does not fit the grid.
///
/// # Source
/// A. Ultsch, H. P. Siemon, *Kohonen's Self Organizing Feature Maps for Exploratory Data Analysis* (INNC 1990).
pub fn neighbor_distances(grid: &Grid, codebook: &Tensor) -> Result<Vec<f32>> {
    if !matches!(codebook.dims(), &[k, _] if k == grid.len()) {
        return Err(QuantizerError::Input {
            operation: "measure distances on the grid",
            expected: format!("a codebook of shape [{}, D]", grid.len()),
            found: format!("shape {:?}", codebook.dims()),
        });
    }
    let vectors = codebook.to_dtype(DType::F32)?.to_vec2::<f32>()?;
    let distance = |a: &[f32], b: &[f32]| {
        a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>().sqrt()
    };
    (0..grid.len())
        .map(|code| {
            let neighbors = grid.neighbors(code)?;
            let sum: f64 = neighbors.iter().map(|&other| distance(&vectors[code], &vectors[other])).sum();
            Ok((sum / neighbors.len().max(1) as f64) as f32)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn distances_are_means_over_neighbors() {
        let codebook = Tensor::new(&[[0f32, 0.0], [3.0, 4.0], [3.0, 4.0], [3.0, 5.0]], &Device::Cpu).unwrap();
        let row = neighbor_distances(&Grid::new(vec![4]).unwrap(), &codebook).unwrap();
        assert_eq!(row, [5.0, 2.5, 0.5, 1.0]);
        let square = neighbor_distances(&Grid::new(vec![2, 2]).unwrap(), &codebook).unwrap();
        let mean = |a: f64, b: f64, c: f64| ((a + b + c) / 3.0) as f32;
        let far = 34f64.sqrt();
        assert_eq!(square, [mean(5.0, 5.0, far), mean(5.0, 0.0, 1.0), mean(5.0, 0.0, 1.0), mean(far, 1.0, 1.0)]);
        let one = neighbor_distances(&Grid::new(vec![1]).unwrap(), &codebook.narrow(0, 0, 1).unwrap()).unwrap();
        assert_eq!(one, [0.0]);
        assert!(neighbor_distances(&Grid::new(vec![3]).unwrap(), &codebook).is_err());
    }
}
