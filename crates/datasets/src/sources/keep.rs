//! Keeps decoded pictures in memory, up to a budget.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use image::RgbImage;

use crate::error::DatasetError;
use crate::sources::source::{ImageSource, Version};

/// Keeps the pictures of another source decoded in memory after they were first asked for, as long as a budget lasts;
/// the others are decoded each time. What is returned is the same either way.
pub struct KeepSource {
    source: Arc<dyn ImageSource>,
    kept: Vec<OnceLock<RgbImage>>,
    left: Arc<AtomicU64>,
}

impl KeepSource {
    /// Keeps pictures of `source`; `left` is the number of bytes there are for them, which several sources may share.
    pub fn new(source: Arc<dyn ImageSource>, left: Arc<AtomicU64>) -> Self {
        let kept = std::iter::repeat_with(OnceLock::new).take(source.len()).collect();
        Self { source, kept, left }
    }
}

impl ImageSource for KeepSource {
    fn len(&self) -> usize {
        self.source.len()
    }

    fn image(&self, index: usize) -> Result<RgbImage, DatasetError> {
        let Some(slot) = self.kept.get(index) else {
            return self.source.image(index);
        };
        if let Some(image) = slot.get() {
            return Ok(image.clone());
        }
        let image = self.source.image(index)?;
        let bytes = image.as_raw().len() as u64;
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        if taken.is_ok() && slot.set(image.clone()).is_err() {
            // Another thread was faster.
            self.left.fetch_add(bytes, Ordering::Relaxed);
        }
        Ok(image)
    }

    fn size(&self, index: usize) -> Result<(u32, u32), DatasetError> {
        self.source.size(index)
    }

    fn name(&self, index: usize) -> String {
        self.source.name(index)
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.source.label(index)
    }

    fn runs(&self) -> Vec<usize> {
        self.source.runs()
    }

    fn version(&self, index: usize) -> Result<Version, DatasetError> {
        self.source.version(index)
    }
}
