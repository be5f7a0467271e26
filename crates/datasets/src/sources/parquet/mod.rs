//! Parquet files as the Hub serves image data sets: a column of encoded images (or of paths of image files), and one of
//! labels.

mod columns;
mod outside;
mod pages;
#[cfg(feature = "shards")]
mod rows;
mod store;
#[cfg(test)]
mod tests;
mod values;

use std::fs::File;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use image::RgbImage;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::decode::{DecodeOptions, decode_bytes, decode_file};
use crate::error::DatasetError;
use crate::files::names::relative;
use crate::sources::parquet::columns::{image_columns, label_column};
use crate::sources::parquet::outside::file_beside;
use crate::sources::parquet::pages::check_pages;
use crate::sources::parquet::store::{Bytes, Sink};
use crate::sources::parquet::values::{KIND, each_bytes, read_labels};
use crate::sources::remarks::Remarks;
use crate::sources::source::{ImageSource, Version, out_of_range};

#[cfg(feature = "shards")]
pub use pages::check_pages as check_parquet_pages;
#[cfg(feature = "shards")]
pub(crate) use rows::ParquetRows;

/// Encoded images that take more than this are kept in a temporary file instead of in memory.
const IN_MEMORY: u64 = 1 << 30;

/// The images of some Parquet files: encoded in memory (or, of large sets, in a temporary file that is
/// memory-mapped), decoded when they are asked for.
pub(crate) struct ParquetSource {
    rows: Vec<Row>,
    files: Vec<ParquetFile>,
    bytes: Bytes,
    decode: DecodeOptions,
    remarks: Remarks,
}

/// A file: its name, where it lies and its state.
struct ParquetFile {
    name: String,
    path: PathBuf,
    version: Version,
}

/// One image.
struct Row {
    /// Which file it is of.
    file: usize,
    /// Which row of the file.
    number: usize,
    content: Content,
    label: Option<u32>,
}

/// Where an image is.
enum Content {
    /// Among the encoded images; nowhere for a null.
    Bytes(Range<u64>),
    /// In a file of its own, by its path relative to the Parquet file.
    File(String),
}

impl ParquetSource {
    /// Reads the image and label columns of `files`; names are relative to `root`. `column` is what the column of
    /// images is called, where that is to be said.
    ///
    /// # Errors
    /// When a file cannot be read, is no Parquet file, or has no column of images.
    pub fn open(
        root: &Path,
        files: &[PathBuf],
        column: Option<&str>,
        decode: DecodeOptions,
        remarks: Remarks,
    ) -> Result<Self, DatasetError> {
        let mut source = Self::open_within(root, files, column, decode, IN_MEMORY)?;
        source.remarks = remarks;
        Ok(source)
    }

    /// As [`Self::open`], with at most `in_memory` bytes of encoded images in memory.
    fn open_within(
        root: &Path,
        files: &[PathBuf],
        column: Option<&str>,
        decode: DecodeOptions,
        in_memory: u64,
    ) -> Result<Self, DatasetError> {
        let mut known = Vec::new();
        for file in files {
            known.push(ParquetFile { name: relative(root, file), path: file.clone(), version: Version::of(file)? });
        }
        let (mut rows, mut sink) = (Vec::new(), Sink::new(in_memory));
        for (number, file) in files.iter().enumerate() {
            // The parquet crate can panic on a damaged file.
            catch_unwind(AssertUnwindSafe(|| read(number, file, column, &mut rows, &mut sink))).unwrap_or_else(
                |_| Err(DatasetError::layout(KIND, file, "it is damaged: its pages contradict each other")),
            )?;
        }
        Ok(Self { rows, files: known, bytes: sink.finish()?, decode, remarks: Remarks::default() })
    }

    /// A row and its file.
    fn row(&self, index: usize) -> Result<(&Row, &ParquetFile), DatasetError> {
        let row = self.rows.get(index).and_then(|row| Some((row, self.files.get(row.file)?)));
        row.ok_or_else(|| out_of_range("a Parquet data set", index, self.rows.len()))
    }
}

impl ImageSource for ParquetSource {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn image(&self, index: usize) -> Result<RgbImage, DatasetError> {
        let (row, file) = self.row(index)?;
        let name = self.name(index);
        let decoded = match &row.content {
            Content::Bytes(range) => match self.bytes.get(range) {
                Some(bytes) => decode_bytes(bytes, &name, &self.decode)?,
                None => return Err(DatasetError::image(&name, "it lies beyond what this machine can address")),
            },
            Content::File(path) => decode_file(file_beside(&file.path, path, &name)?, &self.decode)?,
        };
        Ok(self.remarks.keep(decoded, || name))
    }

    fn name(&self, index: usize) -> String {
        self.row(index).map_or_else(|_| format!("#{index}"), |(row, file)| format!("{}#{}", file.name, row.number))
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.rows.get(index)?.label
    }

    fn version(&self, index: usize) -> Result<Version, DatasetError> {
        let (row, file) = self.row(index)?;
        match &row.content {
            Content::Bytes(_) => Ok(file.version),
            Content::File(path) => Version::of(&file_beside(&file.path, path, &self.name(index))?),
        }
    }
}

/// Reads one file.
fn read(
    number: usize,
    file: &Path,
    column: Option<&str>,
    rows: &mut Vec<Row>,
    sink: &mut Sink,
) -> Result<(), DatasetError> {
    let refuse = |reason: String| DatasetError::layout(KIND, file, reason);
    let failed = |error: ParquetError| refuse(format!("it cannot be read: {error}"));
    // Before it is opened: to open a pipe is to wait for its other end.
    if !file.is_file() {
        return Err(refuse("it is a folder, pipe or device".to_owned()));
    }
    let handle = File::open(file).map_err(DatasetError::io("read", file))?;
    let reader = SerializedFileReader::new(handle).map_err(failed)?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let images = image_columns(schema, column).map_err(refuse)?;
    let labels = label_column(schema);
    let mut row = 0;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(failed)?;
        for column in [images.bytes, images.paths, labels].into_iter().flatten() {
            let handle = File::open(file).map_err(DatasetError::io("read", file))?;
            check_pages(handle, group.metadata().column(column).byte_range())
                .map_err(|error| refuse(format!("its pages cannot be read: {error}")))?;
        }
        let mut found: Vec<Content> = Vec::new();
        if let Some(bytes) = images.bytes {
            let present = schema.column(bytes).max_def_level();
            each_bytes(group.as_ref(), bytes, present, |value| {
                let bytes = sink.push(value.as_ref().map_or(&[], ByteArray::data))?;
                found.push(Content::Bytes(bytes));
                Ok(())
            })
            .map_err(|error| error.named(file))?;
        }
        if let Some(paths) = images.paths {
            let present = schema.column(paths).max_def_level();
            let mut at = 0;
            each_bytes(group.as_ref(), paths, present, |value| {
                let path = value.map(|value| String::from_utf8_lossy(value.data()).into_owned());
                if images.bytes.is_none() {
                    found.push(path.map_or(Content::Bytes(0..0), Content::File));
                } else if let (Some(path), Some(content @ Content::Bytes(_))) = (path, found.get_mut(at))
                    && matches!(content, Content::Bytes(range) if range.is_empty())
                {
                    *content = Content::File(path);
                }
                at += 1;
                Ok(())
            })
            .map_err(|error| error.named(file))?;
        }
        let expected = group.metadata().num_rows();
        if i64::try_from(found.len()) != Ok(expected) {
            return Err(refuse(format!("a row group has {} images, {expected} are stated", found.len())));
        }
        let mut classes = vec![None; found.len()];
        if let Some(labels) = labels {
            let present = schema.column(labels).max_def_level();
            classes = read_labels(group.as_ref(), labels, present).map_err(|error| error.named(file))?;
            if classes.len() != found.len() {
                return Err(refuse(format!("{} labels for {} images", classes.len(), found.len())));
            }
        }
        for (content, label) in found.into_iter().zip(classes) {
            rows.push(Row { file: number, number: row, content, label });
            row += 1;
        }
    }
    Ok(())
}
