//! The shapes of neighborhoods on the grid, early and late in a training.

use image::RgbImage;
use ksom_quantizers::{Grid, Neighborhood, NeighborhoodKind, QuantizerConfig};

use crate::error::{Error, Result};
use crate::figures::code_map::white;
use crate::figures::heat::{fill_cell, shade};
use crate::figures::layout::GridLayout;

/// The kinds that have a shape, and their names.
pub(super) const KINDS: [(NeighborhoodKind, &str); 2] =
    [(NeighborhoodKind::Hard, "Hard neighborhood"), (NeighborhoodKind::Gaussian, "Gaussian neighborhood")];

/// Draws the neighborhood of the code in the middle of the grid, a square of `cell` pixels a code, the darker, the
/// more it learns along: hard above gaussian, from left to right at each of `steps`.
///
/// # Errors
/// The configuration is out of bounds, there is no step, or the picture does not fit into memory.
pub fn neighborhood_picture(config: &QuantizerConfig, steps: &[u64], cell: u32) -> Result<RgbImage> {
    let grid = Grid::new(config.grid.clone())?;
    if steps.is_empty() || cell == 0 {
        return Err(Error::Invalid("there is no step to draw a neighborhood at, or no pixel to a cell".into()));
    }
    let layout = GridLayout::new(&grid, cell);
    let (width, height) = layout.size();
    let gap = cell.saturating_mul(2);
    let columns = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    let too_large = || Error::Invalid(format!("{columns} neighborhoods of {width}×{height} do not fit on a picture"));
    let total = columns.checked_mul(width.saturating_add(gap)).map(|total| total - gap).ok_or_else(too_large)?;
    let rows = (KINDS.len() as u32).saturating_mul(height.saturating_add(gap)).saturating_sub(gap);
    let mut picture = white((total, rows))?;
    let middle: Vec<usize> = grid.shape().iter().map(|side| side / 2).collect();
    let middle = grid.code_at(&middle)?;
    for (row, &(kind, _)) in KINDS.iter().enumerate() {
        let neighborhood = of_kind(config, kind)?;
        for (column, &t) in steps.iter().enumerate() {
            let mut map = white((width, height))?;
            for code in 0..grid.len() {
                fill_cell(&mut map, &layout, code, shade(neighborhood.weight(grid.distance(middle, code)?, t)));
            }
            let place = |number: usize, side: u32| (number as u32 * (side + gap)).into();
            image::imageops::replace(&mut picture, &map, place(column, width), place(row, height));
        }
    }
    Ok(picture)
}

/// The neighborhood of `config`, of another kind.
pub(super) fn of_kind(config: &QuantizerConfig, kind: NeighborhoodKind) -> Result<Neighborhood> {
    Ok(Neighborhood::new(&QuantizerConfig { neighborhood: kind, ..config.clone() })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_drawn_at_every_step() {
        let config = QuantizerConfig::ksom(12, 4);
        let picture = neighborhood_picture(&config, &[0, 10, 1000], 2).unwrap();
        // 3 × 4 cells of 2 pixels, and gaps of 4.
        assert_eq!(picture.dimensions(), (3 * 6 + 2 * 4, 2 * 8 + 4));
        // The code itself learns in full, its neighbors ever less.
        let dark = |x, y| *picture.get_pixel(x, y) == shade(1.0);
        assert!(dark(2, 4) && dark(0, 4) && !dark(2, 0) && dark(10 + 2, 4) && !dark(10, 4));
        assert!(neighborhood_picture(&config, &[], 2).is_err());
    }
}
