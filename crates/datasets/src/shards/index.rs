//! Where a tar file's pictures lie, so that they can be read in any order.

use std::fs::File;
use std::io::{BufReader, Result, Write};
use std::path::Path;

use crate::decode::DecodeOptions;
use crate::error::DatasetError;
use crate::files::formats::is_picture_name;
use crate::files::passed_over::PassedOver;
use crate::shards::entries::{Entries, Input, Seeking, Stream};
use crate::shards::reader::{max_picture, refused};
use crate::shards::samples::place;
use crate::shards::unpack::{is_packed, unpacked};

/// The longest class that is read, in bytes.
const MAX_CLASS: u64 = 64;

/// A tar file's pictures.
#[derive(Debug, Default)]
pub(crate) struct ShardIndex {
    /// In the order of the file.
    pub pictures: Vec<Picture>,
    /// All keys with their extensions, one behind the other.
    names: String,
    /// Whether the file is compressed: places are those of what it unpacks to.
    pub packed: bool,
    pub passed_over: PassedOver,
}

/// Where a picture lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Picture {
    pub start: u64,
    pub length: u64,
    pub label: Option<u32>,
    /// Where its name ends among all names.
    name_end: usize,
}

impl ShardIndex {
    /// Looks at a shard's headers; of a compressed one at all of it.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn of(path: &Path, decode: &DecodeOptions) -> std::result::Result<Self, DatasetError> {
        let file = File::open(path).map_err(DatasetError::io("read", path))?;
        let indexed = is_packed(&file).and_then(|packed| {
            let mut index = Self { packed, ..Self::default() };
            match packed {
                true => index.read(Stream(unpacked(file)?), max_picture(decode))?,
                false => index.read(Seeking::new(BufReader::new(file))?, max_picture(decode))?,
            }
            Ok(index)
        });
        indexed.map_err(|error| refused(path, error))
    }

    fn read(&mut self, input: impl Input, max_picture: u64) -> Result<()> {
        let mut entries = Entries::new(input);
        // The sample that is being read, and whether it has a picture, as its neighbors in the file do.
        let (mut sample, mut picture, mut label) = (String::new(), None, None);
        while let Some(entry) = entries.next()? {
            let (key, extension) = match place(&entry) {
                Ok(Some(place)) => place,
                Ok(None) => continue,
                Err(kind) => {
                    self.passed_over.kind(&kind);
                    continue;
                }
            };
            if key != sample {
                self.close(&sample, picture.take(), label.take());
                sample = key;
            }
            if extension == "cls" && entry.size <= MAX_CLASS {
                let text = entries.read(MAX_CLASS)?.unwrap_or_default();
                label = String::from_utf8(text).ok().and_then(|text| text.trim().parse().ok());
            } else if is_picture_name(&extension) && picture.is_none() {
                match entry.size <= max_picture {
                    true => picture = Some((entry.start, entry.size, extension)),
                    false => self.passed_over.kind("that are too large"),
                }
            }
        }
        self.close(&sample, picture, label);
        Ok(())
    }

    fn close(&mut self, key: &str, picture: Option<(u64, u64, String)>, label: Option<u32>) {
        let Some((start, length, extension)) = picture else { return };
        self.names.push_str(key);
        self.names.push('.');
        self.names.push_str(&extension);
        self.pictures.push(Picture { start, length, label, name_end: self.names.len() });
    }

    /// A picture's name in the shard.
    pub fn name(&self, number: usize) -> &str {
        let end = |number: usize| self.pictures.get(number).map_or(0, |picture| picture.name_end);
        let start = number.checked_sub(1).map_or(0, end);
        self.names.get(start..end(number)).unwrap_or_default()
    }
}

/// Unpacks a shard into a file without a name.
pub(crate) fn unpack(path: &Path) -> std::result::Result<File, DatasetError> {
    let file = File::open(path).map_err(DatasetError::io("read", path))?;
    let mut input = unpacked(file).map_err(|error| refused(path, error))?;
    let folder = DatasetError::io("write a temporary file in", std::env::temp_dir());
    let mut output = tempfile::tempfile().map_err(folder)?;
    std::io::copy(&mut input, &mut output).and_then(|_| output.flush()).map_err(|error| {
        refused(path, format!("it cannot be unpacked into {}: {error}", std::env::temp_dir().display()))
    })?;
    Ok(output)
}
