//! All codes of a picture moved the same way on the grid.

use ksom_quantizers::Grid;

use crate::codes::images::ImageCodes;
use crate::error::{Error, Result};
use crate::model::Model;

/// The codes of a picture, each moved by `offset` cells along `axis` of its grid, at every level.
///
/// Where the grid ends, codes stay at its edge: a map is no ring, and the cell at its other end would mean something
/// else altogether.
///
/// # Errors
/// The codes do not fit the model, or its grids have no such axis.
pub fn shift_codes(model: &Model, codes: &ImageCodes, axis: usize, offset: i64) -> Result<ImageCodes> {
    codes.validate(model).map_err(Error::Invalid)?;
    let mut shifted = codes.clone();
    for (grid, quantizer) in shifted.levels.iter_mut().zip(model.quantizers()) {
        let cells = quantizer.grid();
        if axis >= cells.shape().len() {
            return Err(Error::Invalid(format!(
                "expected one of the {} axes of a grid of shape {:?}, found axis {axis}",
                cells.shape().len(),
                cells.shape()
            )));
        }
        for code in &mut grid.codes {
            *code = shift_code(cells, *code, axis, offset)?;
        }
    }
    Ok(shifted)
}

fn shift_code(grid: &Grid, code: u32, axis: usize, offset: i64) -> Result<u32> {
    let mut place = grid.coordinates(code as usize)?;
    let last = grid.shape()[axis] as i64 - 1;
    place[axis] = (place[axis] as i64).saturating_add(offset).clamp(0, last) as usize;
    Ok(grid.code_at(&place)? as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_move_along_their_axis_and_stay_at_the_edge() {
        let grid = Grid::new(vec![4, 3]).unwrap();
        let shift = |code, axis, offset| shift_code(&grid, code, axis, offset).unwrap();
        assert_eq!((shift(5, 0, 1), shift(5, 0, -1), shift(5, 1, 1), shift(5, 1, -1)), (6, 4, 9, 1));
        assert_eq!((shift(5, 0, 9), shift(5, 0, i64::MIN), shift(11, 1, i64::MAX), shift(7, 1, 0)), (7, 4, 11, 7));
    }
}
