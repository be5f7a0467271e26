//! Codes of a picture moved on the grid: all of them, or those of a part of one level.

use std::ops::Range;

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
    for (level, grid) in codes.levels.iter().enumerate() {
        shift_part(model, &mut shifted, level, (0..grid.width, 0..grid.height), axis, offset)?;
    }
    Ok(shifted)
}

/// Moves the codes of a part of one level, columns and rows of its grid of codes, as [`shift_codes`] moves all. What
/// reaches beyond the picture is left out.
///
/// # Errors
/// There is no such level, its codes do not fit the model, or its grid has no such axis.
pub fn shift_part(
    model: &Model,
    codes: &mut ImageCodes,
    level: usize,
    (columns, rows): (Range<usize>, Range<usize>),
    axis: usize,
    offset: i64,
) -> Result<()> {
    let quantizers = model.quantizers();
    let (Some(quantizer), Some(grid)) = (quantizers.get(level), codes.levels.get_mut(level)) else {
        return Err(Error::Invalid(format!("expected a level below {}, found {level}", quantizers.len())));
    };
    let cells = quantizer.grid();
    if axis >= cells.shape().len() {
        return Err(Error::Invalid(format!(
            "expected one of the {} axes of a grid of shape {:?}, found axis {axis}",
            cells.shape().len(),
            cells.shape()
        )));
    }
    let columns = columns.start.min(grid.width)..columns.end.min(grid.width);
    if columns.is_empty() {
        return Ok(());
    }
    for row in rows.start..rows.end.min(grid.height) {
        for code in &mut grid.codes[row * grid.width..][columns.clone()] {
            *code = shift_code(cells, *code, axis, offset)?;
        }
    }
    Ok(())
}

fn shift_code(grid: &Grid, code: u32, axis: usize, offset: i64) -> Result<u32> {
    let mut place = grid.coordinates(code as usize)?;
    let last = grid.shape()[axis] as i64 - 1;
    place[axis] = (place[axis] as i64).saturating_add(offset).clamp(0, last) as usize;
    Ok(grid.code_at(&place)? as u32)
}

#[cfg(test)]
mod tests {
    use ksom_quantizers::QuantizerConfig;

    use super::*;
    use crate::codes::images::CodeGrid;
    use crate::model::Architecture;
    use crate::{Compute, ModelConfig};

    #[test]
    fn codes_move_along_their_axis_and_stay_at_the_edge() {
        let grid = Grid::new(vec![4, 3]).unwrap();
        let shift = |code, axis, offset| shift_code(&grid, code, axis, offset).unwrap();
        assert_eq!((shift(5, 0, 1), shift(5, 0, -1), shift(5, 1, 1), shift(5, 1, -1)), (6, 4, 9, 1));
        assert_eq!((shift(5, 0, 9), shift(5, 0, i64::MIN), shift(11, 1, i64::MAX), shift(7, 1, 0)), (7, 4, 11, 7));
    }

    #[test]
    fn a_part_moves_alone() {
        let architecture = Architecture { hidden: 4, residual_layers: 0, residual_hidden: 1, ..Architecture::vqvae() };
        let config = ModelConfig::new(architecture, QuantizerConfig::ksom(16, 4));
        let model = Model::init(&config, 0, &Compute::cpu()).unwrap();
        let level = CodeGrid { width: 3, height: 2, codes: vec![5; 6] };
        let mut codes = ImageCodes { width: 12, height: 8, levels: vec![level] };
        shift_part(&model, &mut codes, 0, (1..9, 0..1), 0, 1).unwrap();
        assert_eq!(codes.levels[0].codes, [5, 6, 6, 5, 5, 5]);
        shift_part(&model, &mut codes, 0, (7..9, 0..2), 0, 1).unwrap();
        shift_part(&model, &mut codes, 0, (0..3, 5..9), 0, 1).unwrap();
        shift_part(&model, &mut codes, 0, (0..1, 1..9), 1, -1).unwrap();
        assert_eq!(codes.levels[0].codes, [5, 6, 6, 1, 5, 5]);
        assert_eq!(shift_codes(&model, &codes, 1, 1).unwrap().levels[0].codes, [9, 10, 10, 5, 9, 9]);
        assert!(shift_part(&model, &mut codes, 1, (0..1, 0..1), 0, 1).is_err());
        assert!(shift_part(&model, &mut codes, 0, (0..1, 0..1), 2, 1).is_err());
    }
}
