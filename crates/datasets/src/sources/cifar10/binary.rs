//! The binary version of CIFAR-10, read by candle-datasets.
//!
//! candle hands out floats in 0 … 1, [N, 3, 32, 32]; here they become bytes again, exactly.

use std::path::Path;

use candle_core::Tensor;
use candle_datasets::vision;

use crate::error::DatasetError;
use crate::sources::memory::MemorySource;
use crate::sources::planes::interleave;
use crate::sources::source::Version;

/// What errors call this kind of data set.
const KIND: &str = "cifar10";
/// Values of a picture.
const PICTURE: usize = 3 * 32 * 32;
/// A label and the values of a picture, 10,000 times per file.
const FILE: u64 = 10_000 * (1 + PICTURE as u64);
/// How many pictures become bytes at once: the floats of all would double the memory.
const AT_ONCE: usize = 1_000;

/// `data_batch_1.bin` … `data_batch_5.bin`, and `test_batch.bin`.
pub(super) fn read(folder: &Path) -> Result<(MemorySource, MemorySource), DatasetError> {
    let mut version = Version::default();
    for name in (1..=5).map(|n| format!("data_batch_{n}.bin")).chain(["test_batch.bin".to_owned()]) {
        let file = folder.join(name);
        let own = Version::of(&file)?;
        if own.bytes != FILE {
            let reason = format!("it has {} bytes, not the {FILE} of 10,000 images", own.bytes);
            return Err(DatasetError::layout(KIND, &file, reason));
        }
        version = version.with(own);
    }
    let data = vision::cifar::load_dir(folder)?;
    let source = |name: &str, images: &Tensor, labels: &Tensor| {
        let labels = labels.to_vec1::<u8>()?.into_iter().map(u32::from).collect();
        MemorySource::new(format!("cifar10/{name}"), (32, 32), pixels(images)?, Some(labels), version)
    };
    Ok((
        source("train", &data.train_images, &data.train_labels)?,
        source("test", &data.test_images, &data.test_labels)?,
    ))
}

/// Bytes [N, 32, 32, 3] from values in 0 … 1.
fn pixels(images: &Tensor) -> Result<Vec<u8>, DatasetError> {
    let count = images.dim(0)?;
    let mut pixels = Vec::new();
    for start in (0..count).step_by(AT_ONCE) {
        let part = images.narrow(0, start, AT_ONCE.min(count - start))?;
        let values = part.flatten_all()?.to_vec1::<f32>()?;
        // v / 255 · 255 is within a rounding error of v. `as` saturates.
        let bytes: Vec<u8> = values.iter().map(|value| (value * 255.0).round() as u8).collect();
        for picture in bytes.chunks_exact(PICTURE) {
            interleave(picture, &mut pixels);
        }
    }
    Ok(pixels)
}
