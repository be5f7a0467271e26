//! How large tiles are at most.

/// Upper bound of a tile's rows.
pub(crate) const MAX_ROWS: usize = 24;

/// Upper bound of a tile's columns.
pub(crate) const MAX_COLS: usize = 48;

/// Upper bound of the first tile's columns.
pub(crate) const MAX_SCORE_COLS: usize = 32;

/// Columns for which there is [`tile::dot`]: the channels of a picture.
pub(crate) const DOT_COLS: usize = 3;
