//! Sums over a grid by weights of distance: what a neighborhood does to the rows of a codebook.

mod convolution;
mod stencil;

use crate::access::{check, check_shape, tensor, with_slice};
use crate::error::Error;
use crate::simd::detect;
use candle_core::{Result, Tensor};
use convolution::Convolution;
use stencil::Stencil;

const NAME: &str = "spread_on_grid";

/// For each cell a of a grid the sum Σ_{b ≠ a} `weight`(|a − b|) · x_b over all other cells b, for `x` f32 [K, C] whose
/// rows are the cells, the first axis fastest; |a − b| is the Euclidean distance. Weights of distances over `reach` are
/// taken for zero.
///
/// Where few cells are within reach, their rows are added one by one. Otherwise the sums are a convolution, computed by
/// Fourier transforms in O(K log K · C); its rounding error is relative to the largest sums, not to each, and sums that
/// are less than this error are given as zero. Nothing where neither is possible: the transforms of this grid would
/// take over 2 GiB, which takes a grid of many axes of 3 to 9 cells.
///
/// # Errors
///
/// If `x` is not f32 on the CPU, or has not one row for each cell.
pub fn spread_on_grid(
    x: &Tensor,
    shape: &[usize],
    reach: f64,
    weight: &(dyn Fn(f64) -> f64 + Sync),
) -> Result<Option<Tensor>> {
    check(NAME, x)?;
    let &[cells, columns] = x.dims() else {
        let expected = "[K, C]".into();
        return Err(Error::Shape { operation: NAME, name: "x", expected, found: x.shape().clone() }.into());
    };
    check_shape(NAME, "x", x, (shape.iter().product::<usize>(), columns))?;
    // An axis of one cell changes nothing.
    let shape: Vec<usize> = shape.iter().copied().filter(|&side| side > 1).collect();
    let x = x.contiguous()?;
    let spread = |y: Vec<f32>| tensor(y, (cells, columns)).map(Some);
    if let Some(stencil) = Stencil::new(&shape, reach, weight) {
        return with_slice(NAME, &x, |x| spread(stencil.apply(x, columns)));
    }
    let isa = detect::best();
    match Convolution::new(isa, &shape) {
        Some(convolution) => with_slice(NAME, &x, |x| spread(convolution.apply(x, columns, reach, weight))),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{random, values, with_threads};
    use proptest::prelude::*;

    /// The sums, densely and in f64.
    fn dense(x: &[f32], columns: usize, shape: &[usize], reach: f64, weight: &dyn Fn(f64) -> f64) -> Vec<f64> {
        let cells: usize = shape.iter().product();
        let mut y = vec![0.0; x.len()];
        for a in 0..cells {
            for b in (0..cells).filter(|&b| b != a) {
                let (mut a_rest, mut b_rest, mut squared) = (a, b, 0.0);
                for &side in shape {
                    squared += ((a_rest % side) as f64 - (b_rest % side) as f64).powi(2);
                    (a_rest, b_rest) = (a_rest / side, b_rest / side);
                }
                if squared.sqrt() <= reach {
                    for c in 0..columns {
                        y[a * columns + c] += weight(squared.sqrt()) * f64::from(x[b * columns + c]);
                    }
                }
            }
        }
        y
    }

    /// How far the sums are off, as a share of the largest that could be: Σ weight · max |x|.
    fn error(shape: &[usize], columns: usize, reach: f64, decay: f64) -> f64 {
        let cells: usize = shape.iter().product();
        let weight = move |distance: f64| (-decay * distance).exp();
        let x = random(cells as u64, vec![cells, columns]).unwrap();
        let found = values(&spread_on_grid(&x, shape, reach, &weight).unwrap().unwrap());
        let expected = dense(&values(&x), columns, shape, reach, &weight);
        let ones = dense(&vec![1.0; cells], 1, shape, reach, &weight);
        let scale = ones.iter().fold(f64::MIN_POSITIVE, |most, &sum| most.max(sum));
        found.iter().zip(&expected).map(|(&f, e)| (f64::from(f) - e).abs() / scale).fold(0.0, f64::max)
    }

    #[test]
    fn odd_grids_agree_with_the_dense_sums() {
        for shape in [
            vec![1],
            vec![2],
            vec![211],
            vec![1, 127, 1],
            vec![13, 17],
            vec![17, 13],
            vec![31, 9],
            vec![5, 7, 3],
            vec![3, 2, 11],
            vec![2; 8],
            vec![3, 3, 3, 3],
        ] {
            for columns in [1, 3, 33, 65] {
                for decay in [0.01, 0.1, 1.0] {
                    let error = error(&shape, columns, f64::INFINITY, decay);
                    assert!(error < 1e-6, "{shape:?}, {columns} columns, decay {decay}: {error:e}");
                }
            }
        }
    }

    #[test]
    fn few_cells_in_reach_are_added_one_by_one() {
        for (shape, reach) in [(vec![97], 9.0), (vec![19, 23], 3.2), (vec![7, 6, 5], 1.8), (vec![2; 4], 1.5)] {
            assert!(Stencil::new(&shape, reach, &|_| 1.0).is_some(), "{shape:?}");
            let error = error(&shape, 5, reach, 0.3);
            assert!(error < 1e-6, "{shape:?}: {error:e}");
        }
        assert!(Stencil::new(&[97, 97], 20.0, &|_| 1.0).is_none());
    }

    #[test]
    fn sums_are_the_same_on_any_number_of_threads() {
        let x = random(3, vec![37 * 29, 40]).unwrap();
        for reach in [2.0, 100.0] {
            let sums = |threads| {
                with_threads(threads, || {
                    values(&spread_on_grid(&x, &[37, 29], reach, &|d| (-d / 10.0).exp()).unwrap().unwrap())
                })
            };
            assert_eq!(sums(1), sums(5));
        }
    }

    /// A column of zeros but one: far off, sums are less than what rounding leaves, and are zero, not noise.
    #[test]
    fn what_rounding_would_drown_is_zero() {
        let mut x = vec![0f32; 64 * 64];
        x[0] = 1.0;
        let x = Tensor::from_vec(x, (64 * 64, 1), &candle_core::Device::Cpu).unwrap();
        let y = values(&spread_on_grid(&x, &[64, 64], f64::INFINITY, &|d| (-d).exp()).unwrap().unwrap());
        assert!(y.iter().all(|&y| y >= 0.0) && y[64 * 64 - 1] == 0.0);
        assert!((f64::from(y[1]) - (-1f64).exp()).abs() < 1e-6, "{}", y[1]);
    }

    #[test]
    fn grids_that_do_not_fit_are_refused() {
        let x = random(1, vec![6, 2]).unwrap();
        assert!(spread_on_grid(&x, &[7], 2.0, &|_| 1.0).is_err());
        assert!(spread_on_grid(&x.flatten_all().unwrap(), &[12], 2.0, &|_| 1.0).is_err());
        assert!(Convolution::new(detect::best(), &[3; 13]).is_none());
    }

    proptest! {
        #[test]
        fn any_grid_agrees_with_the_dense_sums(
            shape in prop::collection::vec(1usize..12, 1..4),
            columns in 1usize..40,
            reach in 0.5f64..30.0,
            decay in 0.0f64..2.0,
        ) {
            let error = error(&shape, columns, reach, decay);
            // Some 30 roundings along three axes, there and back.
            prop_assert!(error < 4e-6, "{:?}: {:e}", shape, error);
        }
    }
}
