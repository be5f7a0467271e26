//! The shapes of neighborhoods on the grid, early and late in a training.

use image::RgbImage;
use ksom_quantizers::{Grid, Neighborhood, NeighborhoodKind, QuantizerConfig};

use crate::error::{Error, Result};
use crate::figures::code_map::white;
use crate::figures::heat::{fill_cell, shade};
use crate::figures::layout::GridLayout;
use crate::figures::sheet::{Sheet, SheetCell, SheetRow};

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
    let middle: Vec<usize> = grid.shape().iter().map(|side| side / 2).collect();
    let middle = grid.code_at(&middle)?;
    let mut rows = Vec::new();
    for (kind, title) in KINDS {
        let neighborhood = of_kind(config, kind)?;
        let mut cells = Vec::new();
        for &t in steps {
            let mut map = white(layout.size())?;
            for code in 0..grid.len() {
                fill_cell(&mut map, &layout, code, shade(neighborhood.weight(grid.distance(middle, code)?, t)));
            }
            cells.push(SheetCell { picture: map, caption: String::new() });
        }
        rows.push(SheetRow { title: title.to_string(), cells });
    }
    let sides: Vec<String> = grid.shape().iter().map(ToString::to_string).collect();
    let columns = steps.iter().map(|t| format!("step {t}")).collect();
    let notes = vec![format!(
        "grid {}, shrink step τ = {}, gaussian base {}: from pale (learns nothing along) to dark (learns in full)",
        sides.join("×"),
        config.shrink_step,
        config.gaussian_base
    )];
    Sheet { title: "What learns along with the code in the middle".into(), notes, columns, rows }.draw()
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
        // The code itself learns in full, its neighbors ever less.
        let dark = |t: &[u64]| {
            let picture = neighborhood_picture(&config, t, 2).unwrap();
            picture.pixels().filter(|&&pixel| pixel == shade(1.0)).count()
        };
        // A code and, of the hard neighborhood at first, those beside it; 4 pixels each.
        assert_eq!(dark(&[100_000]), 2 * 4);
        assert!(dark(&[0]) > dark(&[10]) && dark(&[10]) >= dark(&[1000]));
        assert!(picture.width() > 3 * 6 && picture.height() > 2 * 8);
        assert!(neighborhood_picture(&config, &[], 2).is_err());
    }
}
