//! Image files and data sets as seeded, streaming, normalized batches for candle.
//!
//! The way of a picture through this crate:
//!
//! ```text
//! DataSpec ── open ──► DataSet { train, valid, test }          what there is       spec, layout, open
//!                         │ each an ImageSource                one picture         source, folder, parquet, …
//!                         ▼
//! Order / Batches ─► Loader: decode → Preprocess → Converter   worker threads      order, loader, preprocess
//!                         ▼
//!                      Batch { pixels [B, 3, H, W], indices }                      convert
//! ```
//!
//! Everything that is random is a pure function of a seed and a position, on every platform: the split
//! ([`split`]), the order ([`Order`]) and the augmentation of each sample ([`Preprocess`]). So a stream is restored
//! from the number of the step alone.
//!
//! ```no_run
//! use ksom_datasets::{DataOptions, DataSpec, Loader, LoaderOptions, Order, open};
//!
//! let spec: DataSpec = "folder:photos".parse()?;
//! let data = open(&spec, &DataOptions::default())?;
//! let order = Order::new(42, data.train.len(), 16)?;
//! for batch in Loader::new(data.train, order, 0, LoaderOptions::default())?.take(100) {
//!     let batch = batch?;
//!     println!("{:?} from {:?}", batch.pixels.shape(), batch.indices);
//! }
//! # Ok::<(), ksom_datasets::DatasetError>(())
//! ```

mod cache;
#[cfg(feature = "candle-datasets")]
mod candle_sets;
mod convert;
mod decode;
mod error;
mod find;
mod folder;
mod keep;
mod layout;
mod loader;
mod memory;
mod normalization;
mod open;
mod order;
#[cfg(feature = "parquet")]
mod parquet_pages;
#[cfg(feature = "parquet")]
mod parquet_set;
mod preprocess;
mod random;
mod resize;
mod source;
mod spec;
mod split;

pub use cache::CachedSource;
pub use convert::Converter;
pub use decode::{DecodeOptions, decode_bytes, decode_image, image_size};
pub use error::DatasetError;
pub use find::{find_images, is_image_file};
pub use folder::FolderSource;
pub use image::RgbImage;
pub use keep::KeepSource;
pub use loader::{Batch, Loader, LoaderOptions, batches};
pub use memory::MemorySource;
pub use normalization::Normalization;
pub use open::{DataOptions, DataSet, NamedSource, OnUnreadable, Part, Validation, open, open_again};
pub use order::{Batches, Order};
pub use preprocess::{Crop, Filter, Preprocess, Resize, ResizeMode};
pub use source::{Concat, ImageSource, Subset, Version};
pub use spec::{DataKind, DataSpec, Member};
pub use split::split;
