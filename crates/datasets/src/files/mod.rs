//! Files, folders and patterns → the pictures they name, and what was passed over on the way.
//!
//! One set of rules, whether pictures are named by a folder, by a pattern or one by one:
//!
//! - A file passes for a picture if its extension says so, in capitals or not, or else its first bytes.
//! - Hidden files and folders, and `__MACOSX`, are entered only where they are named.
//! - Links are followed. One that leads nowhere or back to where it came from, and whatever may not be opened, is
//!   passed over with its reason, as are pipes, sockets and devices.
//! - What is passed over is counted by kind: [`PassedOver`].
//!
//! A file that is named alone is taken whatever it holds, so that decoding it says what is wrong with it.

#[cfg_attr(not(feature = "parquet"), allow(dead_code, reason = "only shards have such names"))]
pub(crate) mod braces;
pub(crate) mod formats;
pub(crate) mod listing;
pub(crate) mod names;
pub(crate) mod passed_over;
pub(crate) mod pattern;
pub(crate) mod picture_files;
pub(crate) mod walk;

pub use formats::is_picture_file;
pub use passed_over::{PassedOver, Unreachable};
pub use picture_files::{PictureFile, PictureFiles};
