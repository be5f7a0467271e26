//! MNIST and Fashion-MNIST: IDX files, unpacked or as they are handed out (`.gz`).

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::error::DatasetError;
use crate::sources::memory::MemorySource;
use crate::sources::source::Version;

/// The most bytes of pixels that an IDX file may claim.
const MAX_IDX: u64 = 1 << 30;
/// What the magic number of a file of bytes is, less the number of its axes.
const MAGIC: u32 = 2048;
/// Folders below the one that is named: torchvision's.
const FOLDERS: [&str; 4] = ["", "raw", "MNIST/raw", "FashionMNIST/raw"];

/// The folder that holds the files: `path` or one that torchvision makes in it.
pub(crate) fn find(path: &Path) -> Option<PathBuf> {
    let folders = FOLDERS.iter().map(|folder| path.join(folder));
    folders.into_iter().find(|folder| file_of(folder, "train-images", "idx3").is_some())
}

/// The training and test images of MNIST or Fashion-MNIST; gray becomes R = G = B.
pub(crate) fn open(kind: &str, path: &Path) -> Result<(MemorySource, MemorySource), DatasetError> {
    let folder = find(path).unwrap_or_else(|| path.to_path_buf());
    Ok((source(kind, &folder, "train", "train")?, source(kind, &folder, "t10k", "test")?))
}

/// `train-images-idx3-ubyte`, or as some archives write it `train-images.idx3-ubyte`; each also as `.gz`.
fn file_of(folder: &Path, part: &str, idx: &str) -> Option<PathBuf> {
    let names = ["-", "."].map(|dot| format!("{part}{dot}{idx}-ubyte"));
    let files = names.iter().flat_map(|name| [folder.join(name), folder.join(format!("{name}.gz"))]);
    files.into_iter().find(|file| file.is_file())
}

fn source(kind: &str, folder: &Path, part: &str, name: &str) -> Result<MemorySource, DatasetError> {
    let images = idx::<4>(kind, folder, &format!("{part}-images"), "idx3")?;
    let labels = idx::<2>(kind, folder, &format!("{part}-labels"), "idx1")?;
    let [_, count, rows, columns] = images.header;
    if labels.header[1] != count {
        let reason = format!("expected an IDX file of {count} labels, found {}", labels.header[1]);
        return Err(DatasetError::layout(kind, &labels.file, reason));
    }
    let pixels = images.values.iter().flat_map(|value| [*value; 3]).collect();
    let numbers = labels.values.into_iter().map(u32::from).collect();
    MemorySource::new(format!("{kind}/{name}"), (columns, rows), pixels, Some(numbers), Version::of(&images.file)?)
}

/// An IDX file of bytes: magic number and lengths of its axes, and its values.
struct Idx<const N: usize> {
    file: PathBuf,
    header: [u32; N],
    values: Vec<u8>,
}

fn idx<const N: usize>(kind: &str, folder: &Path, part: &str, idx: &str) -> Result<Idx<N>, DatasetError> {
    let file = file_of(folder, part, idx).ok_or_else(|| {
        let file = folder.join(format!("{part}-{idx}-ubyte"));
        DatasetError::layout(kind, &file, "it is missing (unpacked, or with .gz behind its name)")
    })?;
    let handle = File::open(&file).map_err(DatasetError::io("read", &file))?;
    let is_packed = file.extension().is_some_and(|extension| extension == "gz");
    let stored = handle.metadata().map_err(DatasetError::io("read", &file))?.len();
    let mut reader: Box<dyn Read> =
        if is_packed { Box::new(GzDecoder::new(BufReader::new(handle))) } else { Box::new(handle) };
    let refuse = |reason: String| DatasetError::layout(kind, &file, reason);
    let mut bytes = Vec::new();
    let read = reader.by_ref().take(4 * N as u64).read_to_end(&mut bytes);
    read.map_err(|error| refuse(format!("it cannot be read: {error}")))?;
    let mut header = [0; N];
    if bytes.len() != 4 * N {
        return Err(refuse(format!("it has only {} bytes", bytes.len())));
    }
    for (number, bytes) in header.iter_mut().zip(bytes.as_chunks().0) {
        *number = u32::from_be_bytes(*bytes);
    }
    let claimed = header[1..].iter().try_fold(1u64, |product, axis| product.checked_mul(u64::from(*axis)));
    let claimed = claimed.filter(|claimed| (1..=MAX_IDX).contains(claimed));
    let unlike = |what: String| {
        let [magic, axes @ ..] = header.as_slice() else { return what };
        let axes: Vec<_> = axes.iter().map(ToString::to_string).collect();
        format!("its header (magic {magic}, {}) does not fit {what}", axes.join("x"))
    };
    let fits = |claimed: u64| is_packed || stored == claimed + 4 * N as u64;
    let Some(claimed) = claimed.filter(|claimed| header[0] == MAGIC + N as u32 - 1 && fits(*claimed)) else {
        return Err(refuse(unlike(format!("an IDX file of {stored} bytes"))));
    };
    let mut values = Vec::new();
    let read = reader.take(claimed + 1).read_to_end(&mut values);
    read.map_err(|error| refuse(format!("it cannot be unpacked: {error}")))?;
    if values.len() as u64 != claimed {
        let more = if values.len() as u64 > claimed { " or more" } else { "" };
        return Err(refuse(unlike(format!("the {}{more} bytes that follow", values.len()))));
    }
    Ok(Idx { file, header, values })
}
