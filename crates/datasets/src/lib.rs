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
//!
//! files, folders, patterns ─► PictureFiles ─► ReadAhead        worker threads      files, loading
//!                                               ▼
//!                                             batches of pictures as they are, with their names
//! ```
//!
//! Everything that is random is a pure function of a seed and a position, on every platform: the split
//! ([`loading::split`]), the order ([`Order`]) and the augmentation of each sample ([`Preprocess`]). So a stream is
//! restored from the number of the step alone.
//!
//! Nothing is left out in silence: what was passed over is counted by kind ([`files::PassedOver`]), and what was odd about
//! a file that was read all the same is remarked on ([`sources::Remarks`]). Which formats are read, and which are not, is
//! told in [`decode`].
//!
//! A folder of photographs, in batches for training and one by one:
//!
//! ```
//! use ksom_datasets::{DataOptions, DataSpec, DecodeOptions, Loader, LoaderOptions, Order, PictureFiles, ReadAhead, open};
//!
//! # let folder = tempfile::tempdir()?;
//! # for name in ["a.png", "b.png", "c.png"] {
//! #     ksom_datasets::RgbImage::new(8, 8).save(folder.path().join(name))?;
//! # }
//! # std::fs::write(folder.path().join("d.heic"), "no picture that is read")?;
//! # let photos = folder.path().display().to_string();
//! let spec: DataSpec = format!("folder:{photos}").parse()?;
//! let data = open(&spec, &DataOptions::default())?;
//! assert_eq!((data.train.len(), data.valid[0].1.len()), (2, 1));
//! assert_eq!(data.passed_over.to_string(), "passed over 1 file: 1 .heic");
//!
//! let order = Order::new(42, data.train.len(), 16)?;
//! for batch in Loader::new(data.train, order, 0, LoaderOptions::default())?.take(3) {
//!     assert_eq!(batch?.pixels.dims(), [16, 3, 8, 8]);
//! }
//!
//! let files = PictureFiles::find([&photos])?;
//! for picture in ReadAhead::new(&files, &DecodeOptions::default()).flatten() {
//!     println!("{}: {:?}", picture.name, picture.outcome?.pixels.dimensions());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod decode;
mod error;
pub mod files;
pub mod loading;
pub mod sets;
#[cfg(feature = "shards")]
pub mod shards;
pub mod sources;

pub use image;

pub use decode::{DecodeOptions, decode_image};
pub use error::DatasetError;
pub use files::PictureFiles;
pub use image::RgbImage;
pub use loading::{Loader, LoaderOptions, Normalization, Order, Preprocess, ReadAhead};
pub use sets::{DataOptions, DataSet, DataSpec, open};
pub use sources::ImageSource;
