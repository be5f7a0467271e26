//! The crate on real files, written to temporary folders by the tests themselves or kept in `data/`.

mod common;
mod decoding;
mod finding;
mod loading;
mod opening;
#[cfg(any(feature = "candle-datasets", feature = "parquet"))]
mod sets;
