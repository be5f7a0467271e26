//! Where pictures come from: the trait, and the sources made of other sources.

use std::sync::Arc;

use image::RgbImage;

use crate::DatasetError;

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

    /// What picture `index` is called: a path relative to its folder, or the entry of a file.
    fn name(&self, index: usize) -> String;

    /// The class of picture `index`, where the data set has classes.
    fn label(&self, index: usize) -> Option<u32> {
        let _ = index;
        None
    }

    /// What changes when picture `index` may have: by default nothing, as for pictures that are always the same.
    ///
    /// # Errors
    /// When its file cannot be found.
    fn version(&self, index: usize) -> Result<Version, DatasetError> {
        let _ = index;
        Ok(Version::default())
    }
}

/// Some of the pictures of another source.
pub struct Subset {
    source: Arc<dyn ImageSource>,
    indices: Vec<usize>,
}

impl Subset {
    /// The pictures `indices` of `source`, in this order.
    ///
    /// # Errors
    /// When an index is not below the source's length.
    pub fn new(source: Arc<dyn ImageSource>, indices: Vec<usize>) -> Result<Self, DatasetError> {
        let len = source.len();
        match indices.iter().find(|index| **index >= len) {
            Some(&index) => Err(out_of_range("a data set to select from", index, len)),
            None => Ok(Self { source, indices }),
        }
    }

    /// Which pictures of the other source these are.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    fn at(&self, index: usize) -> Result<usize, DatasetError> {
        let at = self.indices.get(index).copied();
        at.ok_or_else(|| out_of_range("part of a data set", index, self.indices.len()))
    }
}

impl ImageSource for Subset {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn image(&self, index: usize) -> Result<RgbImage, DatasetError> {
        self.source.image(self.at(index)?)
    }

    fn name(&self, index: usize) -> String {
        self.at(index).map_or_else(|_| format!("#{index}"), |at| self.source.name(at))
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.at(index).ok().and_then(|at| self.source.label(at))
    }

    fn version(&self, index: usize) -> Result<Version, DatasetError> {
        self.source.version(self.at(index)?)
    }
}

/// Several sources, one after the other: a mixture, once it is shuffled.
pub struct Concat {
    sources: Vec<Arc<dyn ImageSource>>,
    /// `ends[i]` is the number of pictures in the sources up to and with the i-th.
    ends: Vec<usize>,
}

impl Concat {
    /// The pictures of all `sources`, in order.
    pub fn new(sources: Vec<Arc<dyn ImageSource>>) -> Self {
        let ends = sources
            .iter()
            .scan(0, |end, source| {
                *end += source.len();
                Some(*end)
            })
            .collect();
        Self { sources, ends }
    }

    /// The source that holds picture `index`, and the picture's number there.
    fn at(&self, index: usize) -> Result<(&dyn ImageSource, usize), DatasetError> {
        let which = self.ends.partition_point(|end| *end <= index);
        let start = which.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        match self.sources.get(which) {
            Some(source) => Ok((source.as_ref(), index - start)),
            None => Err(out_of_range("a mixture of data sets", index, self.len())),
        }
    }
}

impl ImageSource for Concat {
    fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn image(&self, index: usize) -> Result<RgbImage, DatasetError> {
        let (source, at) = self.at(index)?;
        source.image(at)
    }

    fn name(&self, index: usize) -> String {
        self.at(index).map_or_else(|_| format!("#{index}"), |(source, at)| source.name(at))
    }

    /// The class within the picture's own data set: classes of different sets share their numbers.
    fn label(&self, index: usize) -> Option<u32> {
        let (source, at) = self.at(index).ok()?;
        source.label(at)
    }

    fn version(&self, index: usize) -> Result<Version, DatasetError> {
        let (source, at) = self.at(index)?;
        source.version(at)
    }
}

/// For an index that is not below the length.
pub(crate) fn out_of_range(what: &str, index: usize, len: usize) -> DatasetError {
    DatasetError::Index { what: what.to_owned(), index, len }
}
