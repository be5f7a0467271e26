//! The rows of a Parquet file one after the other, as the samples of a shard.

use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::SchemaDescriptor;

use crate::error::DatasetError;
use crate::shards::{Member, Piece, Sample};
use crate::sources::parquet::columns::{ImageColumns, image_columns, key_column, label_column};
use crate::sources::parquet::outside::file_beside;
use crate::sources::parquet::pages::check_pages;
use crate::sources::parquet::values::{KIND, Values};

/// A Parquet file's images with their keys and classes, row by row. What is held is a page of each column.
pub(crate) struct ParquetRows {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    columns: Columns,
    /// The most bytes of a picture in a file of its own.
    max_picture: u64,
    /// The row group that is opened next.
    next_group: usize,
    group: Option<Group>,
    row: u64,
    ended: bool,
}

struct Columns {
    images: ImageColumns,
    labels: Option<usize>,
    keys: Option<usize>,
}

/// The columns of a row group that is being read.
struct Group {
    left: i64,
    bytes: Option<Values<ByteArrayType>>,
    paths: Option<Values<ByteArrayType>>,
    keys: Option<Values<ByteArrayType>>,
    labels: Option<Labels>,
}

enum Labels {
    Wide(Values<Int64Type>),
    Narrow(Values<Int32Type>),
}

impl ParquetRows {
    /// Opens a file; behind its name may stand `#` and a column's name.
    ///
    /// # Errors
    /// It cannot be read, is no Parquet file, or has no column of images.
    pub fn open(path: &Path, max_picture: u64) -> Result<Self, DatasetError> {
        let refuse = |reason: String| DatasetError::layout(KIND, path, reason);
        let file = File::open(path).map_err(DatasetError::io("read", path))?;
        let reader = catch_unwind(AssertUnwindSafe(|| SerializedFileReader::new(file)))
            .map_err(|_| damaged(path))?
            .map_err(|error| failed(path, &error))?;
        let schema = reader.metadata().file_metadata().schema_descr();
        let columns = Columns {
            images: image_columns(schema, None).map_err(refuse)?,
            labels: label_column(schema),
            keys: key_column(schema),
        };
        let path = path.to_path_buf();
        Ok(Self { path, reader, columns, max_picture, next_group: 0, group: None, row: 0, ended: false })
    }

    fn piece(&mut self) -> Result<Option<Piece>, DatasetError> {
        loop {
            if let Some(group) = self.group.as_mut().filter(|group| group.left > 0) {
                group.left -= 1;
                let row = group.row().map_err(|error| failed(&self.path, &error))?;
                let sample = self.sample(row)?;
                self.row += 1;
                return Ok(Some(Piece::Sample(sample)));
            }
            if self.next_group == self.reader.num_row_groups() {
                return Ok(None);
            }
            self.open_group()?;
            self.next_group += 1;
        }
    }

    fn open_group(&mut self) -> Result<(), DatasetError> {
        let group = self.reader.get_row_group(self.next_group).map_err(|error| failed(&self.path, &error))?;
        let Columns { images, labels, keys } = &self.columns;
        for column in [images.bytes, images.paths, *labels, *keys].into_iter().flatten() {
            let file = File::open(&self.path).map_err(DatasetError::io("read", &self.path))?;
            check_pages(file, group.metadata().column(column).byte_range()).map_err(|error| {
                DatasetError::layout(KIND, &self.path, format!("its pages cannot be read: {error}"))
            })?;
        }
        let schema: &SchemaDescriptor = self.reader.metadata().file_metadata().schema_descr();
        let present = |column: usize| schema.column(column).max_def_level();
        let bytes = |column: Option<usize>| {
            column.map(|column| Values::<ByteArrayType>::of(group.as_ref(), column, present(column))).transpose()
        };
        let all = || -> Result<Group, ParquetError> {
            let labels = match labels {
                Some(column) => match Values::<Int64Type>::of(group.as_ref(), *column, present(*column)) {
                    Ok(wide) => Some(Labels::Wide(wide)),
                    Err(_) => Some(Labels::Narrow(Values::<Int32Type>::of(group.as_ref(), *column, present(*column))?)),
                },
                None => None,
            };
            Ok(Group {
                left: group.metadata().num_rows(),
                bytes: bytes(images.bytes)?,
                paths: bytes(images.paths)?,
                keys: bytes(*keys)?,
                labels,
            })
        };
        let opened = all().map_err(|error| failed(&self.path, &error))?;
        self.group = Some(opened);
        Ok(())
    }

    /// A row as a sample.
    fn sample(&self, row: Row) -> Result<Sample, DatasetError> {
        let text = |value: &ByteArray| String::from_utf8_lossy(value.data()).into_owned();
        let path = row.path.as_ref().map(text);
        let key = match row.key.as_ref().map(text) {
            Some(key) if !key.is_empty() => key,
            _ => format!("{:08}", self.row),
        };
        let extension = |path: Option<&str>| {
            let extension = path.and_then(|path| path.rsplit_once('.')).map(|(_, extension)| extension);
            extension.unwrap_or("image").to_lowercase()
        };
        let bytes = row.bytes.filter(|bytes| !bytes.is_empty());
        let picture = match (bytes, path) {
            (Some(bytes), path) => Some(Member { extension: extension(path.as_deref()), bytes: bytes.data().to_vec() }),
            (None, Some(path)) => {
                // What is wrong with a file of its own is that picture's fault: it comes out as one that is empty.
                let file = file_beside(&self.path, &path, &key);
                let bytes = file.ok().and_then(|file| read(&file, self.max_picture).ok()).unwrap_or_default();
                Some(Member { extension: extension(Some(&path)), bytes })
            }
            (None, None) => None,
        };
        let class = |label: i64| Member { extension: "cls".to_owned(), bytes: label.to_string().into_bytes() };
        Ok(Sample { key, picture, others: row.label.map(class).into_iter().collect() })
    }
}

/// A row's values.
struct Row {
    key: Option<ByteArray>,
    bytes: Option<ByteArray>,
    path: Option<ByteArray>,
    label: Option<i64>,
}

impl Group {
    fn row(&mut self) -> Result<Row, ParquetError> {
        let next = |column: &mut Option<Values<ByteArrayType>>| match column {
            Some(values) => values.next(),
            None => Ok(None),
        };
        Ok(Row {
            key: next(&mut self.keys)?,
            bytes: next(&mut self.bytes)?,
            path: next(&mut self.paths)?,
            label: match &mut self.labels {
                Some(Labels::Wide(values)) => values.next()?,
                Some(Labels::Narrow(values)) => values.next()?.map(i64::from),
                None => None,
            },
        })
    }
}

impl Iterator for ParquetRows {
    type Item = Result<Piece, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        // The parquet crate can panic on a damaged file.
        let piece = catch_unwind(AssertUnwindSafe(|| self.piece())).unwrap_or_else(|_| Err(damaged(&self.path)));
        self.ended = !matches!(piece, Ok(Some(_)));
        piece.transpose()
    }
}

fn read(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if std::fs::metadata(path)?.is_file() {
        File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn failed(path: &Path, error: &ParquetError) -> DatasetError {
    DatasetError::layout(KIND, path, format!("it cannot be read: {error}"))
}

fn damaged(path: &Path) -> DatasetError {
    DatasetError::layout(KIND, path, "it is damaged: its pages contradict each other")
}
