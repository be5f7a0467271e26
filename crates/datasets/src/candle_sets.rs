//! CIFAR-10's binary files, MNIST and Fashion-MNIST, read by candle-datasets.
//!
//! candle hands out floats in 0 … 1, [N, 3, 32, 32] or [N, rows · columns]; here they become bytes again, exactly.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use candle_core::Tensor;
use candle_datasets::vision;

use crate::convert::interleave;
use crate::layout::cifar10_folder;
use crate::{DataKind, DatasetError, MemorySource, Version};

/// A label and 3 · 32 · 32 values per picture, 10,000 pictures per file.
const CIFAR10_FILE: u64 = 10_000 * (1 + 3 * 32 * 32);
/// How many pictures become bytes at once: the floats of all would double the memory.
const AT_ONCE: usize = 1_000;
/// The most bytes of pixels that an IDX file may claim.
const MAX_IDX: u64 = 1 << 30;

/// CIFAR-10's training and test images: `data_batch_1.bin` … `data_batch_5.bin` and `test_batch.bin`.
pub(crate) fn cifar10(path: &Path) -> Result<(MemorySource, MemorySource), DatasetError> {
    let kind = DataKind::Cifar10;
    let folder = cifar10_folder(path).ok_or_else(|| {
        DatasetError::layout(
            kind,
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
            return Err(DatasetError::layout(kind, &file, reason));
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

/// The training and test images of MNIST or Fashion-MNIST; gray becomes R = G = B.
pub(crate) fn mnist(kind: DataKind, path: &Path) -> Result<(MemorySource, MemorySource), DatasetError> {
    let train = idx(kind, path, "train")?;
    let test = idx(kind, path, "t10k")?;
    let data = vision::mnist::load_dir(path)?;
    let source = |name: &str, idx: Idx, images: &Tensor, labels: &Tensor| {
        let each = idx.size.0 as usize * idx.size.1 as usize;
        let gray = |values: &[u8], out: &mut Vec<u8>| out.extend(values.iter().flat_map(|value| [*value; 3]));
        let pixels = pixels(images, each, gray)?;
        MemorySource::new(format!("{kind}/{name}"), idx.size, pixels, Some(numbers(labels)?), idx.version)
    };
    Ok((
        source("train", train, &data.train_images, &data.train_labels)?,
        source("test", test, &data.test_images, &data.test_labels)?,
    ))
}

/// What an IDX file of images states.
struct Idx {
    /// Columns and rows.
    size: (u32, u32),
    version: Version,
}

/// Checks a pair of IDX files before what they claim is believed.
fn idx(kind: DataKind, folder: &Path, part: &str) -> Result<Idx, DatasetError> {
    let images = folder.join(format!("{part}-images-idx3-ubyte"));
    let labels = folder.join(format!("{part}-labels-idx1-ubyte"));
    let [magic, count, rows, columns] = header(kind, &images)?;
    let [label_magic, label_count] = header(kind, &labels)?;
    let version = Version::of(&images)?;
    let pixels = u64::from(count)
        .checked_mul(u64::from(rows))
        .and_then(|product| product.checked_mul(u64::from(columns)))
        .filter(|pixels| (1..=MAX_IDX).contains(pixels));
    let reason = if magic != 2051 || pixels.is_none_or(|pixels| pixels + 16 != version.bytes) {
        Some((
            &images,
            format!(
                "its header (magic {magic}, {count} images of {rows}x{columns}) does not fit an IDX file of {} bytes",
                version.bytes
            ),
        ))
    } else if label_magic != 2049 || label_count != count || Version::of(&labels)?.bytes != u64::from(count) + 8 {
        Some((&labels, format!("expected an IDX file of {count} labels, found magic {label_magic} and {label_count}")))
    } else {
        None
    };
    match reason {
        Some((file, reason)) => Err(DatasetError::layout(kind, file, reason)),
        None => Ok(Idx { size: (columns, rows), version }),
    }
}

/// The first `N` big-endian numbers of an IDX file.
fn header<const N: usize>(kind: DataKind, file: &Path) -> Result<[u32; N], DatasetError> {
    if !file.is_file() {
        let reason = "it is missing (the files must be unpacked and keep their names, such as train-images-idx3-ubyte)";
        return Err(DatasetError::layout(kind, file, reason));
    }
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|handle| handle.take(4 * N as u64).read_to_end(&mut bytes));
    read.map_err(DatasetError::io("read", file))?;
    if bytes.len() != 4 * N {
        return Err(DatasetError::layout(kind, file, format!("it has only {} bytes", bytes.len())));
    }
    let mut numbers = [0; N];
    for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks().0) {
        *number = u32::from_be_bytes(*bytes);
    }
    Ok(numbers)
}

/// Bytes from values in 0 … 1; `arrange` writes the `each` bytes of a picture as [height, width, 3].
fn pixels(images: &Tensor, each: usize, arrange: impl Fn(&[u8], &mut Vec<u8>)) -> Result<Vec<u8>, DatasetError> {
    let count = images.dim(0)?;
    let mut pixels = Vec::new();
    for start in (0..count).step_by(AT_ONCE) {
        let part = images.narrow(0, start, AT_ONCE.min(count - start))?;
        let values = part.flatten_all()?.to_vec1::<f32>()?;
        // v / 255 · 255 is within a rounding error of v. `as` saturates.
        let bytes: Vec<u8> = values.iter().map(|value| (value * 255.0).round() as u8).collect();
        for picture in bytes.chunks_exact(each) {
            arrange(picture, &mut pixels);
        }
    }
    Ok(pixels)
}

fn numbers(labels: &Tensor) -> Result<Vec<u32>, DatasetError> {
    Ok(labels.to_vec1::<u8>()?.into_iter().map(u32::from).collect())
}
