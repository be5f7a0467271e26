//! Where pictures come from.

use image::RgbImage;

use crate::error::DatasetError;

/// What tells one state of a picture's file from another, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Version {
    /// The file's size in bytes.
    pub bytes: u64,
    /// When it was last written, in nanoseconds since 1970 (0 where that is not known).
    pub modified: u128,
}

impl Version {
    /// The state of a file.
    ///
    /// # Errors
    /// When it cannot be found.
    pub fn of(path: &std::path::Path) -> Result<Self, DatasetError> {
        let metadata = std::fs::metadata(path).map_err(DatasetError::io("read", path))?;
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        Ok(Self { bytes: metadata.len(), modified: modified.map_or(0, |time| time.as_nanos()) })
    }

    /// The state of two files together.
    pub(crate) fn with(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(other.bytes), modified: self.modified.max(other.modified) }
    }
}

/// A numbered collection of pictures, decoded when they are asked for, by any number of threads.
pub trait ImageSource: Send + Sync {
    /// How many pictures there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Picture `index`, as stored, in 8-bit RGB.
    ///
    /// # Errors
    /// When it cannot be read or decoded, or `index` is not below [`Self::len`].
    fn image(&self, index: usize) -> Result<RgbImage, DatasetError>;

    /// The width and height of picture `index`. Sources that can tell without decoding it do; so this may succeed where
    /// [`Self::image`] does not.
    ///
    /// # Errors
    /// As [`Self::image`].
    fn size(&self, index: usize) -> Result<(u32, u32), DatasetError> {
        Ok(self.image(index)?.dimensions())
    }

    /// What picture `index` is called: a path relative to its folder, or the entry of a file.
    fn name(&self, index: usize) -> String;

    /// The class of picture `index`, where the data set has classes. None unless a source says so.
    fn label(&self, _index: usize) -> Option<u32> {
        None
    }

    /// How many pictures lie together in each shard, where they lie in shards that are better read one after the other: in
    /// order, and all of them. Nothing unless a source says so.
    fn runs(&self) -> Vec<usize> {
        Vec::new()
    }

    /// What changes when picture `index` may have. Always the same unless a source says so, which is right for pictures
    /// that never change.
    ///
    /// # Errors
    /// When its file cannot be found.
    fn version(&self, _index: usize) -> Result<Version, DatasetError> {
        Ok(Version::default())
    }
}

/// For an index that is not below the length.
pub(crate) fn out_of_range(what: &str, index: usize, len: usize) -> DatasetError {
    DatasetError::Index { what: what.to_owned(), index, len }
}
