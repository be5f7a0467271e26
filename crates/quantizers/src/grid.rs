//! Grids of any dimension on which codes lie.

use crate::error::{QuantizerError, Result};

/// The largest number of codes.
pub const MAX_CODES: usize = 1 << 20;

/// The largest number of axes of a grid.
pub const MAX_AXES: usize = 32;

/// Cells closer than this, by Euclidean distance, are neighbors: one step along an axis, or along two at once.
pub const NEIGHBOR_DISTANCE: f64 = 1.5;

/// A rectangular grid whose cells are the codes. A code's coordinates count the first axis fastest.
///
/// ```
/// let grid = ksom_quantizers::Grid::auto(24, 2)?;
/// assert_eq!(grid.shape(), [6, 4]);
/// assert_eq!(grid.coordinates(7)?, [1, 1]);
/// assert_eq!(grid.neighbors(0)?, [1, 6, 7]);
/// # Ok::<(), ksom_quantizers::QuantizerError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    shape: Vec<usize>,
    len: usize,
}

impl Grid {
    /// A grid of the given shape.
    ///
    /// # Errors
    /// [`QuantizerError::Grid`] if there are not 1 to 32 axes, one is of length 0, or there are more than 2^20 cells.
    pub fn new(shape: Vec<usize>) -> Result<Self> {
        let refuse = |expected: String| Err(QuantizerError::Grid { expected, found: format!("{shape:?}") });
        if !(1..=MAX_AXES).contains(&shape.len()) {
            return refuse(format!("1 to {MAX_AXES} axes"));
        }
        if shape.contains(&0) {
            return refuse("axes of at least one cell".into());
        }
        match shape.iter().try_fold(1usize, |len, &axis| len.checked_mul(axis)) {
            Some(len) if len <= MAX_CODES => Ok(Self { shape, len }),
            _ => refuse(format!("at most {MAX_CODES} cells")),
        }
    }

    /// A grid of `num_codes` cells and `dims` axes, as near to a cube as divisors allow: the last axis is the largest
    /// divisor of K that is ≤ ⌈K^(1/dims)⌉, the quotient is factorized the same way over the axes before it.
    ///
    /// # Errors
    /// [`QuantizerError::Grid`] if there are not 1 to 2^20 codes and 1 to 32 axes.
    pub fn auto(num_codes: usize, dims: usize) -> Result<Self> {
        if !(1..=MAX_CODES).contains(&num_codes) || !(1..=MAX_AXES).contains(&dims) {
            return Err(QuantizerError::Grid {
                expected: format!("1 to {MAX_CODES} codes on 1 to {MAX_AXES} axes"),
                found: format!("{num_codes} codes on {dims} axes"),
            });
        }
        let mut shape = vec![1; dims];
        let mut rest = num_codes;
        for axis in (0..dims).rev() {
            let root = ceil_root(rest, axis + 1);
            let length = (1..=root).rev().find(|length| rest.is_multiple_of(*length)).unwrap_or(1);
            shape[axis] = length;
            rest /= length;
        }
        Self::new(shape)
    }

    /// Cells along each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of cells.
    #[allow(clippy::len_without_is_empty, reason = "a grid has at least one cell")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The coordinates of a code, one per axis.
    ///
    /// # Errors
    /// [`QuantizerError::Grid`] if the grid has no such cell.
    pub fn coordinates(&self, code: usize) -> Result<Vec<usize>> {
        self.check(code)?;
        Ok(self.coordinates_of(code).collect())
    }

    /// The code at the given coordinates.
    ///
    /// # Errors
    /// [`QuantizerError::Grid`] if there is not one coordinate per axis, or one is outside the grid.
    pub fn code_at(&self, coordinates: &[usize]) -> Result<usize> {
        let inside = coordinates.len() == self.shape.len() && coordinates.iter().zip(&self.shape).all(|(c, s)| c < s);
        if !inside {
            return Err(QuantizerError::Grid {
                expected: format!("coordinates in a grid of shape {:?}", self.shape),
                found: format!("{coordinates:?}"),
            });
        }
        Ok(coordinates.iter().zip(&self.shape).rev().fold(0, |code, (c, s)| code * s + c))
    }

    /// Euclidean distance between two codes' coordinates.
    ///
    /// # Errors
    /// [`QuantizerError::Grid`] if the grid has no such cell.
    pub fn distance(&self, a: usize, b: usize) -> Result<f64> {
        self.check(a)?;
        self.check(b)?;
        Ok((self.squared_distance(a, b) as f64).sqrt())
    }

    /// The other codes at distance < 1.5, ascending.
    ///
    /// # Errors
    /// [`QuantizerError::Grid`] if the grid has no such cell.
    pub fn neighbors(&self, code: usize) -> Result<Vec<usize>> {
        let here = self.coordinates(code)?;
        // Strides of the axes, and the steps that stay inside the grid along each.
        let mut steps: Vec<(usize, isize)> = Vec::new();
        let mut stride = 1;
        for (axis, (&c, &s)) in here.iter().zip(&self.shape).enumerate() {
            if c > 0 {
                steps.push((axis, -(stride as isize)));
            }
            if c + 1 < s {
                steps.push((axis, stride as isize));
            }
            stride *= s;
        }
        let mut found = Vec::new();
        for (i, &(axis, step)) in steps.iter().enumerate() {
            found.push(code.wrapping_add_signed(step));
            let others = steps[i + 1..].iter().filter(|(other, _)| *other != axis);
            found.extend(others.map(|(_, other)| code.wrapping_add_signed(step + other)));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The coordinates of a code that the grid has.
    pub(crate) fn coordinates_of(&self, code: usize) -> impl Iterator<Item = usize> + '_ {
        let mut rest = code;
        self.shape.iter().map(move |&axis| {
            let coordinate = rest % axis;
            rest /= axis;
            coordinate
        })
    }

    /// Squared distance between two codes that the grid has.
    pub(crate) fn squared_distance(&self, a: usize, b: usize) -> u64 {
        self.coordinates_of(a).zip(self.coordinates_of(b)).map(|(a, b)| (a.abs_diff(b) as u64).pow(2)).sum()
    }

    /// Whether two codes that the grid has are the same or at distance < 1.5.
    pub(crate) fn are_close(&self, a: usize, b: usize) -> bool {
        (self.squared_distance(a, b) as f64) < NEIGHBOR_DISTANCE * NEIGHBOR_DISTANCE
    }

    fn check(&self, code: usize) -> Result<()> {
        if code < self.len {
            return Ok(());
        }
        Err(QuantizerError::Grid { expected: format!("a code less than {}", self.len), found: code.to_string() })
    }
}

/// The smallest r with r^degree ≥ n.
fn ceil_root(n: usize, degree: usize) -> usize {
    let reaches = |r: usize| (0..degree).try_fold(1usize, |p, _| p.checked_mul(r)).is_none_or(|p| p >= n);
    let (mut low, mut high) = (1, n);
    while low < high {
        let middle = low.midpoint(high);
        if reaches(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_exact() {
        for (n, degree, root) in [(1, 3, 1), (8, 3, 2), (9, 3, 3), (512, 2, 23), (243, 5, 3), (1 << 20, 20, 2)] {
            assert_eq!(ceil_root(n, degree), root, "{n}^(1/{degree})");
        }
    }

    #[test]
    fn bad_grids_are_refused() {
        for shape in [vec![], vec![3, 0], vec![1 << 11, 1 << 11], vec![usize::MAX, 2], vec![1; 33]] {
            assert!(Grid::new(shape.clone()).is_err(), "{shape:?}");
        }
        assert!(Grid::auto(0, 2).is_err() && Grid::auto(4, 0).is_err() && Grid::auto(MAX_CODES + 1, 1).is_err());
        let grid = Grid::new(vec![3, 2]).unwrap();
        assert!(grid.coordinates(6).is_err() && grid.neighbors(6).is_err() && grid.distance(0, 6).is_err());
        assert!(grid.code_at(&[3, 0]).is_err() && grid.code_at(&[0]).is_err());
    }
}
