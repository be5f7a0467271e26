//! Pictures to codes and back: pictures of any size, the files that hold codes, and codes moved on their map.

mod arithmetic;
mod batches;
mod coding;
pub(crate) mod file;
mod given;
pub(crate) mod header;
pub(crate) mod images;
mod layout;
mod mixing;
pub(crate) mod npy;
pub(crate) mod numbers;
mod part;
mod shift;
pub(crate) mod tiling;

pub use file::Packing;
pub use given::{BareCodes, GivenCodes, GivenSizes};
pub use images::CodeGrid;
pub use layout::grid_layout;
pub use shift::{shift_codes, shift_part};

/// Bits that each code takes in a file where it is not compressed: 8, 16 or 32.
pub fn stored_bits(num_codes: usize) -> u32 {
    numbers::Width::of(num_codes).bits()
}
