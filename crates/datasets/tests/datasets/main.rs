//! The crate on real files, written to temporary folders by the tests themselves or kept in `data/`.

mod common;
mod decoding;
mod finding;
mod formats;
mod loading;
mod opening;
mod sets;
#[cfg(feature = "parquet")]
mod shards;
