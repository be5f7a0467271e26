//! The binary version of CIFAR-10, read by candle-datasets.

use std::path::Path;

use candle_core::Tensor;
use candle_datasets::vision;

use crate::error::DatasetError;
use crate::sources::cifar10::folder::find;
use crate::sources::from_candle::{numbers, pixels};
use crate::sources::memory::MemorySource;
use crate::sources::planes::interleave;
use crate::sources::source::Version;

/// What errors call this kind of data set.
const KIND: &str = "cifar10";
/// A label and 3 · 32 · 32 values per picture, 10,000 pictures per file.
const CIFAR10_FILE: u64 = 10_000 * (1 + 3 * 32 * 32);

/// CIFAR-10's training and test images: `data_batch_1.bin` … `data_batch_5.bin` and `test_batch.bin`.
pub(crate) fn read(path: &Path) -> Result<(MemorySource, MemorySource), DatasetError> {
    let folder = find(path).ok_or_else(|| {
        DatasetError::layout(
            KIND,
            path,
            "data_batch_1.bin is missing (the binary version is read; for image files use folder:PATH, \
             for Parquet files parquet:PATH)",
        )
    })?;
    let mut version = Version::default();
    for name in (1..=5).map(|n| format!("data_batch_{n}.bin")).chain(["test_batch.bin".to_owned()]) {
        let file = folder.join(name);
        let own = Version::of(&file)?;
        if own.bytes != CIFAR10_FILE {
            let reason = format!("it has {} bytes, not the {CIFAR10_FILE} of 10,000 images", own.bytes);
            return Err(DatasetError::layout(KIND, &file, reason));
        }
        version.modified = version.modified.max(own.modified);
        version.bytes += own.bytes;
    }
    let data = vision::cifar::load_dir(&folder)?;
    let source = |name: &str, images: &Tensor, labels: &Tensor| {
        let pixels = pixels(images, 3 * 32 * 32, interleave)?;
        MemorySource::new(format!("cifar10/{name}"), (32, 32), pixels, Some(numbers(labels)?), version)
    };
    Ok((
        source("train", &data.train_images, &data.train_labels)?,
        source("test", &data.test_images, &data.test_labels)?,
    ))
}
