//! Pictures → batches of normalized tensors, in an order that a seed decides.

pub(crate) mod convert;
pub(crate) mod loader;
pub(crate) mod normalization;
pub(crate) mod order;
pub(crate) mod preprocess;
pub(crate) mod random;
mod resize;
pub(crate) mod split;

pub use convert::Converter;
pub use loader::{Batch, Loader, LoaderOptions, batches};
pub use normalization::Normalization;
pub use order::{Batches, Order};
pub use preprocess::{Crop, Preprocess, Resize, ResizeMode};
pub use resize::Filter;
pub use split::split;
