//! Image files and data sets as seeded, streaming, normalized batches for candle.
//!
//! The way of a picture through this crate:
//!
//! ```text
//! DataSpec ── open ──► DataSet { train, valid, test }          what there is       sets
//!                         │ each an ImageSource                one picture         sources, decode
//!                         ▼
//! Order / Batches ─► Loader: decode → Preprocess → Converter   worker threads      loading
//!                         ▼
//!                      Batch { pixels [B, 3, H, W], indices }
//! ```
//!
//! Everything that is random is a pure function of a seed and a position, on every platform: the split
//! ([`loading::split`]), the order ([`Order`]) and the augmentation of each sample ([`Preprocess`]). So a stream is restored
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

pub mod decode;
mod error;
pub mod files;
pub mod loading;
pub mod sets;
pub mod sources;

pub use image;

pub use decode::{DecodeOptions, decode_image};
pub use error::DatasetError;
pub use image::RgbImage;
pub use loading::{Loader, LoaderOptions, Normalization, Order, Preprocess};
pub use sets::{DataOptions, DataSet, DataSpec, open};
pub use sources::ImageSource;
