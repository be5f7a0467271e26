//! Pictures → batches: of normalized tensors, in an order that a seed decides ([`Loader`]); or of files' pixels as they
//! are, in the files' order ([`ReadAhead`]).

mod ahead;
pub(crate) mod convert;
pub(crate) mod loader;
pub(crate) mod normalization;
pub(crate) mod order;
pub(crate) mod preprocess;
pub(crate) mod random;
mod read_ahead;
mod resize;
mod runs;
#[cfg(feature = "shards")]
mod shard_ahead;
pub(crate) mod share;
pub(crate) mod split;

pub use convert::Converter;
pub use loader::{Batch, Loader, LoaderOptions, batches};
pub use normalization::Normalization;
pub use order::{Batches, Order};
pub use preprocess::{Crop, Preprocess, Resize, ResizeMode};
pub use read_ahead::{Read, ReadAhead};
pub use resize::Filter;
#[cfg(feature = "shards")]
pub use shard_ahead::{ShardAhead, ShardPiece};
pub use share::Share;
pub use split::split;
