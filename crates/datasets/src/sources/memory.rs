//! Decoded pictures of one size, in memory.

use image::RgbImage;

use crate::error::DatasetError;
use crate::sources::source::{ImageSource, Version, out_of_range};

/// Decoded pictures of one size, in memory.
pub struct MemorySource {
    name: String,
    size: (u32, u32),
    pixels: Vec<u8>,
    labels: Option<Vec<u32>>,
    version: Version,
}

impl MemorySource {
    /// Pictures of `size` (width, height); `pixels` are theirs one after the other, each [height, width, 3].
    ///
    /// Picture i is called `name#i`. `version` is that of the file they came from.
    ///
    /// # Errors
    /// When the pixels are not those of whole pictures, or there are not as many labels as pictures.
    pub fn new(
        name: impl Into<String>,
        size: (u32, u32),
        pixels: Vec<u8>,
        labels: Option<Vec<u32>>,
        version: Version,
    ) -> Result<Self, DatasetError> {
        let source = Self { name: name.into(), size, pixels, labels, version };
        let labels = source.labels.as_ref().map_or(source.len(), Vec::len);
        if source.each() == 0 || !source.pixels.len().is_multiple_of(source.each()) || labels != source.len() {
            return Err(DatasetError::Shape {
                operation: "holding pictures in memory",
                expected: "3 · width · height bytes (not 0) and one label per picture",
                found: vec![size.0 as usize, size.1 as usize, source.pixels.len(), labels],
            });
        }
        Ok(source)
    }

    /// Bytes per picture.
    fn each(&self) -> usize {
        3 * self.size.0 as usize * self.size.1 as usize
    }
}

impl ImageSource for MemorySource {
    fn len(&self) -> usize {
        self.pixels.len() / self.each().max(1)
    }

    fn image(&self, index: usize) -> Result<RgbImage, DatasetError> {
        self.pixels
            .chunks_exact(self.each().max(1))
            .nth(index)
            .and_then(|pixels| RgbImage::from_raw(self.size.0, self.size.1, pixels.to_vec()))
            .ok_or_else(|| out_of_range(&self.name, index, self.len()))
    }

    fn name(&self, index: usize) -> String {
        format!("{}#{index}", self.name)
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.labels.as_ref()?.get(index).copied()
    }

    fn version(&self, _index: usize) -> Result<Version, DatasetError> {
        Ok(self.version)
    }
}
