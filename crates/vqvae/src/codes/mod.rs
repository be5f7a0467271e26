//! Pictures to codes and back: pictures of any size, the files that hold codes, and codes moved on their map.

pub(crate) mod file;
pub(crate) mod images;
mod shift;
pub(crate) mod tiling;

pub use images::CodeGrid;
pub use shift::shift_codes;
