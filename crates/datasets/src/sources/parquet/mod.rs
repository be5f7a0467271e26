//! Parquet files as the Hub serves image data sets: a column of encoded images, and one of labels.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use image::RgbImage;
use memmap2::Mmap;
use parquet::basic::Type as PhysicalType;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::SchemaDescriptor;

use crate::decode::{DecodeOptions, decode_bytes};
use crate::error::DatasetError;
use crate::files::relative::relative;
use crate::sources::parquet::pages::check_pages;
use crate::sources::source::{ImageSource, Version, out_of_range};

/// What errors call this kind of data set.
const KIND: &str = "parquet";
/// Encoded images that take more than this are kept in a temporary file instead of in memory.
const IN_MEMORY: u64 = 1 << 30;
/// How many rows are read at once.
const ROWS: usize = 64;
/// The names that columns of images go by.
const IMAGES: [&str; 2] = ["image", "img"];
/// The names that columns of classes go by.
const LABELS: [&str; 4] = ["label", "labels", "fine_label", "class"];

/// The images of some Parquet files: encoded in memory (or, of large sets, in a temporary file that is
/// memory-mapped), decoded when they are asked for.
pub(crate) struct ParquetSource {
    rows: Vec<Row>,
    files: Vec<(String, Version)>,
    bytes: Bytes,
    decode: DecodeOptions,
}

/// One image.
struct Row {
    /// Which file it is of.
    file: usize,
    /// Which row of the file.
    number: usize,
    /// Where its bytes lie; none for a null.
    bytes: Range<u64>,
    label: Option<u32>,
}

/// The encoded images, one after the other.
enum Bytes {
    Memory(Vec<u8>),
    Mapped(Mmap),
}

impl ParquetSource {
    /// Reads the image and label columns of `files`; names are relative to `root`.
    ///
    /// # Errors
    /// When a file cannot be read, is no Parquet file, or has no column of images.
    pub fn open(root: &Path, files: &[PathBuf], decode: DecodeOptions) -> Result<Self, DatasetError> {
        Self::open_within(root, files, decode, IN_MEMORY)
    }

    /// As [`Self::open`], with at most `in_memory` bytes of encoded images in memory.
    fn open_within(
        root: &Path,
        files: &[PathBuf],
        decode: DecodeOptions,
        in_memory: u64,
    ) -> Result<Self, DatasetError> {
        let mut versions = Vec::new();
        for file in files {
            versions.push((relative(root, file), Version::of(file)?));
        }
        let mut rows = Vec::new();
        let mut sink = Sink { memory: Vec::new(), spilled: None, written: 0, in_memory };
        for (number, file) in files.iter().enumerate() {
            // The parquet crate can panic on a damaged file.
            catch_unwind(AssertUnwindSafe(|| read(number, file, &mut rows, &mut sink))).unwrap_or_else(|_| {
                Err(DatasetError::layout(KIND, file, "it is damaged: its pages contradict each other"))
            })?;
        }
        Ok(Self { rows, files: versions, bytes: sink.finish()?, decode })
    }

    fn row(&self, index: usize) -> Result<&Row, DatasetError> {
        self.rows.get(index).ok_or_else(|| out_of_range("a Parquet data set", index, self.rows.len()))
    }
}

impl ImageSource for ParquetSource {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn image(&self, index: usize) -> Result<RgbImage, DatasetError> {
        let Range { start, end } = self.row(index)?.bytes;
        let all: &[u8] = match &self.bytes {
            Bytes::Memory(bytes) => bytes,
            Bytes::Mapped(bytes) => bytes,
        };
        let (Ok(start), Ok(end)) = (usize::try_from(start), usize::try_from(end)) else {
            return Err(DatasetError::image(&self.name(index), "it lies beyond what this machine can address"));
        };
        decode_bytes(all.get(start..end).unwrap_or_default(), &self.name(index), &self.decode)
    }

    fn name(&self, index: usize) -> String {
        match self.row(index) {
            Ok(row) => {
                format!("{}#{}", self.files.get(row.file).map_or("", |(name, _)| name), row.number)
            }
            Err(_) => format!("#{index}"),
        }
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.rows.get(index)?.label
    }

    fn version(&self, index: usize) -> Result<Version, DatasetError> {
        let row = self.row(index)?;
        Ok(self.files.get(row.file).map_or_else(Version::default, |(_, version)| *version))
    }
}

/// Takes encoded images: in memory at first, in a temporary file once they are too many.
struct Sink {
    memory: Vec<u8>,
    spilled: Option<BufWriter<File>>,
    written: u64,
    in_memory: u64,
}

impl Sink {
    fn push(&mut self, bytes: &[u8]) -> Result<Range<u64>, DatasetError> {
        let start = self.written;
        self.written += bytes.len() as u64;
        if self.spilled.is_none() && self.written > self.in_memory {
            let mut file = BufWriter::new(tempfile::tempfile().map_err(spilling())?);
            file.write_all(&self.memory).map_err(spilling())?;
            self.memory = Vec::new();
            self.spilled = Some(file);
        }
        match &mut self.spilled {
            Some(file) => file.write_all(bytes).map_err(spilling())?,
            None => self.memory.extend_from_slice(bytes),
        }
        Ok(start..self.written)
    }

    fn finish(self) -> Result<Bytes, DatasetError> {
        let Some(file) = self.spilled else {
            return Ok(Bytes::Memory(self.memory));
        };
        let file = file.into_inner().map_err(|error| spilling()(error.into_error()))?;
        // SAFETY: the file has no name (or is removed when it is closed), so nobody else changes it, and this
        // process writes to it no more. Bytes of any value may be decoded.
        Ok(Bytes::Mapped(unsafe { Mmap::map(&file) }.map_err(spilling())?))
    }
}

fn spilling() -> impl FnOnce(std::io::Error) -> DatasetError {
    DatasetError::io("write a temporary file in", std::env::temp_dir())
}

/// Reads one file.
fn read(number: usize, file: &Path, rows: &mut Vec<Row>, sink: &mut Sink) -> Result<(), DatasetError> {
    let refuse = |reason: String| DatasetError::layout(KIND, file, reason);
    let failed = |error: ParquetError| refuse(format!("it cannot be read: {error}"));
    // Before it is opened: to open a pipe is to wait for its other end.
    if !file.is_file() {
        return Err(refuse("it is a folder, pipe or device".to_owned()));
    }
    let handle = File::open(file).map_err(DatasetError::io("read", file))?;
    let reader = SerializedFileReader::new(handle).map_err(failed)?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let images = image_column(schema).map_err(refuse)?;
    let labels = label_column(schema);
    let mut row = 0;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(failed)?;
        let before = rows.len();
        for column in [Some(images), labels].into_iter().flatten() {
            let handle = File::open(file).map_err(DatasetError::io("read", file))?;
            check_pages(handle, group.metadata().column(column).byte_range())
                .map_err(|error| refuse(format!("its pages cannot be read: {error}")))?;
        }
        let ColumnReader::ByteArrayColumnReader(column) = group.get_column_reader(images).map_err(failed)? else {
            return Err(refuse("its column of images holds no bytes".to_owned()));
        };
        each_value(column, schema.column(images).max_def_level(), |value: Option<ByteArray>| {
            let bytes = sink.push(value.as_ref().map_or(&[], ByteArray::data))?;
            rows.push(Row { file: number, number: row, bytes, label: None });
            row += 1;
            Ok(())
        })
        .map_err(|error| error.named(file))?;
        let expected = group.metadata().num_rows();
        if i64::try_from(rows.len() - before) != Ok(expected) {
            return Err(refuse(format!("a row group has {} images, {expected} are stated", rows.len() - before)));
        }
        if let Some(labels) = labels {
            let present = schema.column(labels).max_def_level();
            let found = read_labels(group.as_ref(), labels, present).map_err(|error| error.named(file))?;
            if found.len() != rows.len() - before {
                return Err(refuse(format!("{} labels for {} images", found.len(), rows.len() - before)));
            }
            for (row, label) in rows.iter_mut().skip(before).zip(found) {
                row.label = label;
            }
        }
    }
    Ok(())
}

/// What stops the reading of a column.
enum Stop {
    Parquet(ParquetError),
    Other(DatasetError),
}

impl Stop {
    fn named(self, file: &Path) -> DatasetError {
        match self {
            Self::Parquet(error) => DatasetError::layout(KIND, file, format!("it cannot be read: {error}")),
            Self::Other(error) => error,
        }
    }
}

/// Calls `take` with each value of a column that is not nested in lists; `None` for nulls, whose definition level is
/// below `present`.
fn each_value<T: DataType>(
    mut column: ColumnReaderImpl<T>,
    present: i16,
    mut take: impl FnMut(Option<T::T>) -> Result<(), DatasetError>,
) -> Result<(), Stop> {
    loop {
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let (rows, found, _) =
            column.read_records(ROWS, Some(&mut levels), None, &mut values).map_err(Stop::Parquet)?;
        if rows == 0 {
            return Ok(());
        }
        let mut values = values.into_iter().take(found);
        for row in 0..rows {
            // A column that must be there has no levels.
            let value = match levels.get(row) {
                Some(level) if *level < present => None,
                _ => values.next(),
            };
            take(value).map_err(Stop::Other)?;
        }
    }
}

/// The classes of a row group; `None` where there is none, or a negative one (as of hidden test labels).
fn read_labels(group: &dyn RowGroupReader, column: usize, present: i16) -> Result<Vec<Option<u32>>, Stop> {
    let mut labels = Vec::new();
    match group.get_column_reader(column).map_err(Stop::Parquet)? {
        ColumnReader::Int64ColumnReader(column) => each_value(column, present, |value| {
            labels.push(value.and_then(|value| u32::try_from(value).ok()));
            Ok(())
        })?,
        ColumnReader::Int32ColumnReader(column) => each_value(column, present, |value| {
            labels.push(value.and_then(|value| u32::try_from(value).ok()));
            Ok(())
        })?,
        _ => (),
    }
    Ok(labels)
}

/// The column of encoded images: `bytes` within a group (`image.bytes`), or a column of bytes by itself.
fn image_column(schema: &SchemaDescriptor) -> Result<usize, String> {
    let mut nested = Vec::new();
    let mut plain = Vec::new();
    for (number, column) in schema.columns().iter().enumerate() {
        if column.physical_type() != PhysicalType::BYTE_ARRAY || column.max_rep_level() != 0 {
            continue;
        }
        match column.path().parts() {
            [group, last] if last == "bytes" => nested.push((number, group)),
            [name] if IMAGES.contains(&name.as_str()) => plain.push((number, name)),
            _ => (),
        }
    }
    let named = IMAGES.iter().find_map(|wanted| nested.iter().find(|(_, group)| group == wanted));
    match (named, nested.as_slice(), plain.as_slice()) {
        (Some((number, _)), _, _) | (None, [(number, _)], _) | (None, [], [(number, _)]) => Ok(*number),
        _ => {
            let columns: Vec<_> = schema.columns().iter().map(|column| column.path().string()).collect();
            Err(format!("no column of images found (expected image.bytes or img.bytes; it has {})", columns.join(", ")))
        }
    }
}

/// The column of classes, if there is one of whole numbers.
fn label_column(schema: &SchemaDescriptor) -> Option<usize> {
    LABELS.iter().find_map(|wanted| {
        schema.columns().iter().position(|column| {
            column.path().parts() == [*wanted]
                && column.max_rep_level() == 0
                && matches!(column.physical_type(), PhysicalType::INT32 | PhysicalType::INT64)
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::data_type::{ByteArrayType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;

    /// Five red pictures 1 … 5 wide, the third a null, in two row groups.
    fn write(path: &Path) {
        let schema = "message schema {
            optional group image { optional binary bytes; optional binary path (STRING); }
            optional int64 label;
        }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = Arc::new(WriterProperties::builder().build());
        let file = File::create(path).unwrap();
        let mut writer = SerializedFileWriter::new(file, schema, properties).unwrap();
        for rows in [1..4u32, 4..6] {
            let mut group = writer.next_row_group().unwrap();
            let present: Vec<u32> = rows.clone().filter(|row| *row != 3).collect();
            let levels: Vec<i16> = rows.clone().map(|row| if row == 3 { 0 } else { 2 }).collect();
            let pictures: Vec<ByteArray> = present
                .iter()
                .map(|width| {
                    let mut png = std::io::Cursor::new(Vec::new());
                    let picture = RgbImage::from_pixel(*width, 2, image::Rgb([255, 0, 0]));
                    picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
                    png.into_inner().into()
                })
                .collect();
            let names: Vec<ByteArray> = present.iter().map(|_| "x.png".into()).collect();
            for values in [&pictures, &names] {
                let mut column = group.next_column().unwrap().unwrap();
                column.typed::<ByteArrayType>().write_batch(values, Some(&levels), None).unwrap();
                column.close().unwrap();
            }
            let labels: Vec<i64> = rows.map(|row| if row == 5 { -1 } else { i64::from(row) }).collect();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<Int64Type>().write_batch(&labels, Some(&vec![1; labels.len()]), None).unwrap();
            column.close().unwrap();
            group.close().unwrap();
        }
        writer.close().unwrap();
    }

    #[test]
    fn nulls_keep_rows_and_labels_together() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.parquet");
        write(&file);
        // In memory, and in a temporary file.
        for limit in [u64::MAX, 1] {
            let source =
                ParquetSource::open_within(folder.path(), std::slice::from_ref(&file), DecodeOptions::default(), limit)
                    .unwrap();
            assert_eq!(matches!(source.bytes, Bytes::Mapped(_)), limit == 1);
            let widths: Vec<_> = (0..5).map(|row| source.image(row).ok().map(|image| image.width())).collect();
            assert_eq!(widths, [Some(1), Some(2), None, Some(4), Some(5)]);
            let labels: Vec<_> = (0..5).map(|row| source.label(row)).collect();
            assert_eq!(labels, [Some(1), Some(2), Some(3), Some(4), None]);
            let error = source.image(2).unwrap_err().to_string();
            assert!(error.contains("a.parquet#2") && error.contains("0 bytes"), "{error}");
        }
    }

    #[test]
    fn damage_is_an_error_not_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.parquet");
        write(&file);
        let whole = std::fs::read(&file).unwrap();
        let open = || ParquetSource::open(folder.path(), std::slice::from_ref(&file), DecodeOptions::default());
        for cut in [0, 3, 10, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&file, &whole[..cut]).unwrap();
            let error = open().err().unwrap().to_string();
            assert!(error.contains("a.parquet"), "{error}");
        }
        let mut refused = 0;
        for at in (0..whole.len()).step_by(3) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            std::fs::write(&file, &damaged).unwrap();
            refused += usize::from(open().is_err());
        }
        assert!(refused > 0);
    }
}
