//! The kernels of an instruction set, as pointers to functions that were compiled for it.

use super::fourier::Lines;
use super::tile::{ConvTile, GradTile, ScoreTile};
use super::winograd::Transforms;

/// The kernels of one instruction set.
pub(crate) struct Isa {
    /// Its name, for messages and benches.
    pub(crate) name: &'static str,
    /// Elements per register.
    pub(crate) lanes: usize,
    /// Tiles of different shapes: the first for most products, the last one register wide for few columns.
    pub(crate) tiles: &'static [Tile],
    /// Rows of [`super::tile::dot`].
    pub(crate) dot_rows: usize,
    /// [`super::tile::dot`] for [`super::bounds::DOT_COLS`] columns.
    pub(crate) dot: unsafe fn(&ConvTile),
    /// [`super::tile::score`] of the first tile's shape.
    pub(crate) score: unsafe fn(&ScoreTile),
    /// [`super::fourier::forward`].
    pub(crate) fourier_forward: unsafe fn(&Lines),
    /// [`super::fourier::backward`].
    pub(crate) fourier_backward: unsafe fn(&Lines),
    /// The transforms for two and for three taps.
    pub(crate) winograd: [Transforms; 2],
}

/// The kernels for a tile of some shape.
pub(crate) struct Tile {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// [`super::tile::conv`].
    pub(crate) conv: unsafe fn(&ConvTile),
    /// [`super::tile::grad`].
    pub(crate) grad: unsafe fn(&GradTile),
}

impl Isa {
    /// The tile for a product with so many columns.
    pub(crate) fn tile_for(&self, columns: usize) -> &Tile {
        if columns <= self.lanes { &self.tiles[self.tiles.len() - 1] } else { &self.tiles[0] }
    }

    /// The tile that covers `rows` × `columns` with the least work: its registers of sums, and what it loads for them.
    pub(crate) fn tile_covering(&self, rows: usize, columns: usize) -> &Tile {
        let work = |tile: &&Tile| {
            let vectors = tile.cols / self.lanes;
            rows.div_ceil(tile.rows) * columns.div_ceil(tile.cols) * (tile.rows * vectors + 2 * vectors)
        };
        self.tiles.iter().min_by_key(work).unwrap_or(&self.tiles[0])
    }
}
