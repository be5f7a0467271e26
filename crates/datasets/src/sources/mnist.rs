//! MNIST and Fashion-MNIST: IDX files, read by candle-datasets.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use candle_core::Tensor;
use candle_datasets::vision;

use crate::error::DatasetError;
use crate::sources::from_candle::{numbers, pixels};
use crate::sources::memory::MemorySource;
use crate::sources::source::Version;

/// The most bytes of pixels that an IDX file may claim.
const MAX_IDX: u64 = 1 << 30;

/// The training and test images of MNIST or Fashion-MNIST; gray becomes R = G = B.
pub(crate) fn mnist(kind: &str, path: &Path) -> Result<(MemorySource, MemorySource), DatasetError> {
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
fn idx(kind: &str, folder: &Path, part: &str) -> Result<Idx, DatasetError> {
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
fn header<const N: usize>(kind: &str, file: &Path) -> Result<[u32; N], DatasetError> {
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
