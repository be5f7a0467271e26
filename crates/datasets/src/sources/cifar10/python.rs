//! The Python version of CIFAR-10: pickled dictionaries of pixels and labels, which torchvision unpacks.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::DatasetError;
use crate::sources::cifar10::pickle::{Value, parse};
use crate::sources::memory::MemorySource;
use crate::sources::planes::interleave;
use crate::sources::source::Version;

/// What errors call this kind of data set.
const KIND: &str = "cifar10";
/// Values of a picture: three planes.
const PICTURE: usize = 3 * 32 * 32;
/// The most bytes of a file; those that are handed out have 31 MB.
const LONGEST: u64 = 256 << 20;

/// `data_batch_1` … `data_batch_5`, and `test_batch`.
pub(super) fn read(folder: &Path) -> Result<(MemorySource, MemorySource), DatasetError> {
    let training: Vec<String> = (1..=5).map(|number| format!("data_batch_{number}")).collect();
    Ok((source(folder, "train", &training)?, source(folder, "test", &["test_batch".to_owned()])?))
}

fn source(folder: &Path, name: &str, files: &[String]) -> Result<MemorySource, DatasetError> {
    let (mut pixels, mut labels, mut version) = (Vec::new(), Vec::new(), Version::default());
    for file in files {
        let file = folder.join(file);
        version = version.with(Version::of(&file)?);
        let mut bytes = Vec::new();
        let read = File::open(&file).and_then(|handle| handle.take(LONGEST + 1).read_to_end(&mut bytes));
        read.map_err(DatasetError::io("read", &file))?;
        if bytes.len() as u64 > LONGEST {
            return Err(DatasetError::layout(KIND, &file, format!("it is larger than {LONGEST} bytes")));
        }
        let refuse = |reason| DatasetError::layout(KIND, &file, format!("it is no batch of CIFAR-10: {reason}"));
        let (data, own) = batch(&bytes).map_err(refuse)?;
        for picture in data.chunks_exact(PICTURE) {
            interleave(picture, &mut pixels);
        }
        labels.extend(own);
    }
    MemorySource::new(format!("cifar10/{name}"), (32, 32), pixels, Some(labels), version)
}

/// Pixels [N, 3, 32, 32] and N labels.
pub(super) fn batch(bytes: &[u8]) -> Result<(Vec<u8>, Vec<u32>), String> {
    let pickle = parse(bytes)?;
    let entry = |name: &str| pickle.entry(name).ok_or_else(|| format!("expected a dictionary with {name:?}"));
    let (shape, data) = entry("data")?.array()?;
    let labels = match entry("labels")? {
        Value::List(labels) => labels,
        _ => return Err("expected a list of labels".to_owned()),
    };
    let labels = labels.iter().map(|&label| pickle.number(label).and_then(|label| u32::try_from(label).ok()));
    let labels = labels.collect::<Option<Vec<u32>>>().ok_or("expected labels from 0")?;
    if labels.is_empty() || shape != [labels.len(), PICTURE] || data.len() != labels.len() * PICTURE {
        let (found, bytes) = (labels.len(), data.len());
        return Err(format!(
            "expected {found} rows of {PICTURE} bytes for {found} labels, found {shape:?} and {bytes} bytes"
        ));
    }
    Ok((data.into_owned(), labels))
}
