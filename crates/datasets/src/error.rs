//! What can go wrong, each with the file or the operation named.

use std::path::{Path, PathBuf};

use crate::files::passed_over::PassedOver;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A file or folder could not be read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done: "read", "list", "write".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is not a picture that can be decoded.
    #[error("cannot decode image {name}: {reason}")]
    Image {
        /// The file's path, or the name of the entry in a data set.
        name: String,
        /// What was wrong with it.
        reason: String,
    },
    /// A picture is larger than is allowed.
    #[error(
        "image {name} has {width}x{height} pixels, more than the {max_pixels} allowed; scale it down or raise the limit"
    )]
    TooLarge {
        /// The file's path, or the name of the entry in a data set.
        name: String,
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
        /// The largest number of pixels allowed.
        max_pixels: u64,
    },
    /// There is nothing where pictures were expected.
    #[error(
        "no images found in {place:?} ({passed_over}looked for JPEG, PNG, WebP, BMP, GIF, TIFF, TGA, QOI and PNM files)"
    )]
    NothingFound {
        /// Where they were looked for.
        place: String,
        /// What was found instead, and a semicolon; empty where nothing was.
        passed_over: String,
    },
    /// A glob pattern is malformed.
    #[error("{pattern:?} is not a valid pattern: {reason}")]
    Pattern {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A data set was not named in a form that is known.
    #[error("data set {spec:?}: {reason}")]
    Spec {
        /// The specification as given.
        spec: String,
        /// What is wrong with it, and what is accepted.
        reason: String,
    },
    /// A data set's files are not laid out as its kind demands.
    #[error("{kind} data set {}: {reason}", path.display())]
    Layout {
        /// The kind of data set.
        kind: String,
        /// The file or folder.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// A shard cannot be read.
    #[error("{}: {reason}", path.display())]
    Shard {
        /// The shard.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// The kind of data set is known, but reading it was left out of this build.
    #[error("{kind} data sets need the cargo feature `{feature}` of ksom-datasets, which was left out of this build")]
    Feature {
        /// The kind of data set.
        kind: String,
        /// The cargo feature that reads it.
        feature: &'static str,
    },
    /// An option has a value that makes no sense.
    #[error("{option} is {value}: {reason}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// Its value.
        value: String,
        /// What is accepted.
        reason: String,
    },
    /// An index lies outside of a data set.
    #[error("image {index} asked of {what}, which has {len}")]
    Index {
        /// What was asked.
        what: String,
        /// The index asked for.
        index: usize,
        /// How many images there are.
        len: usize,
    },
    /// Pictures of different sizes cannot share a batch.
    #[error(
        "images of different sizes cannot share a batch: {first} has {}x{} pixels, {second} has {}x{}; \
         set a resize (width and height) or a batch size of 1",
        first_size.0, first_size.1, second_size.0, second_size.1
    )]
    Sizes {
        /// The name of the batch's first picture.
        first: String,
        /// Its width and height.
        first_size: (u32, u32),
        /// The name of the picture that differs.
        second: String,
        /// Its width and height.
        second_size: (u32, u32),
    },
    /// A crop does not fit into a picture.
    #[error(
        "image {name} has {}x{} pixels, too small for a crop of {}x{}; set a resize",
        size.0, size.1, crop.0, crop.1
    )]
    Crop {
        /// The picture's name.
        name: String,
        /// Its width and height.
        size: (u32, u32),
        /// The crop's width and height.
        crop: (u32, u32),
    },
    /// A tensor has another shape than pictures have.
    #[error("{operation}: expected {expected}, got a tensor of shape {found:?}")]
    Shape {
        /// What was being done.
        operation: &'static str,
        /// The shape expected.
        expected: &'static str,
        /// The shape found.
        found: Vec<usize>,
    },
    /// A worker thread of a loader stopped in a way it should not.
    #[error("a loader's worker thread failed: {0}")]
    Worker(String),
    /// candle refused an operation.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl DatasetError {
    /// For `map_err`: names the operation and the file.
    pub(crate) fn io(doing: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { doing, path: path.as_ref().to_path_buf(), source }
    }

    /// No pictures, but what was passed over.
    pub(crate) fn nothing_found(place: impl ToString, passed_over: &PassedOver) -> Self {
        let passed_over = if passed_over.is_empty() { String::new() } else { format!("{passed_over}; ") };
        Self::NothingFound { place: place.to_string(), passed_over }
    }

    /// A picture that cannot be decoded, and why.
    pub(crate) fn image(name: &str, reason: impl ToString) -> Self {
        Self::Image { name: name.to_owned(), reason: reason.to_string().trim_end().to_owned() }
    }

    /// Files that are not laid out as the kind of data set demands.
    pub(crate) fn layout(kind: impl ToString, path: &Path, reason: impl ToString) -> Self {
        Self::Layout { kind: kind.to_string(), path: path.to_path_buf(), reason: reason.to_string() }
    }
}
