//! The values of a Parquet file's columns.

use std::collections::VecDeque;
use std::path::Path;

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::RowGroupReader;

use crate::error::DatasetError;

/// What errors call this kind of data set.
pub(super) const KIND: &str = "parquet";
/// How many rows are read at once.
const ROWS: usize = 64;

/// What stops the reading of a column.
pub(super) enum Stop {
    /// The file itself.
    Parquet(ParquetError),
    /// What was done with its values.
    Other(DatasetError),
}

impl Stop {
    /// The error, with the file named.
    pub fn named(self, file: &Path) -> DatasetError {
        match self {
            Self::Parquet(error) => DatasetError::layout(KIND, file, format!("it cannot be read: {error}")),
            Self::Other(error) => error,
        }
    }
}

/// The values of a column that is not nested in lists, one after the other.
pub(super) struct Values<T: DataType> {
    column: ColumnReaderImpl<T>,
    /// Values below this definition level are nulls.
    present: i16,
    ready: VecDeque<Option<T::T>>,
}

impl<T: DataType> Values<T> {
    /// The values of a column in a row group.
    ///
    /// # Errors
    /// When they cannot be read, or are of another type.
    #[cfg(feature = "shards")]
    pub fn of(group: &dyn RowGroupReader, column: usize, present: i16) -> Result<Self, ParquetError> {
        let reader = group.get_column_reader(column)?;
        let column = T::get_column_reader(reader)
            .ok_or_else(|| ParquetError::General("a column is not of its type".to_owned()))?;
        Ok(Self { column, present, ready: VecDeque::new() })
    }

    /// Reads on, unless there is something ready; whether there is now.
    fn is_ready(&mut self) -> Result<bool, ParquetError> {
        if self.ready.is_empty() {
            let (mut levels, mut values) = (Vec::new(), Vec::new());
            let (rows, found, _) = self.column.read_records(ROWS, Some(&mut levels), None, &mut values)?;
            let mut values = values.into_iter().take(found);
            for row in 0..rows {
                // A column that must be there has no levels.
                self.ready.push_back(match levels.get(row) {
                    Some(level) if *level < self.present => None,
                    _ => values.next(),
                });
            }
        }
        Ok(!self.ready.is_empty())
    }

    /// The next value; nothing for a null.
    ///
    /// # Errors
    /// When it cannot be read, or there is none.
    #[cfg(feature = "shards")]
    pub fn next(&mut self) -> Result<Option<T::T>, ParquetError> {
        if !self.is_ready()? {
            return Err(ParquetError::General("a column has fewer rows than are stated".to_owned()));
        }
        Ok(self.ready.pop_front().flatten())
    }
}

/// Calls `take` with each value of a column that is not nested in lists; `None` for nulls, whose definition level is
/// below `present`.
fn each_value<T: DataType>(
    column: ColumnReaderImpl<T>,
    present: i16,
    mut take: impl FnMut(Option<T::T>) -> Result<(), DatasetError>,
) -> Result<(), Stop> {
    let mut values = Values { column, present, ready: VecDeque::new() };
    while values.is_ready().map_err(Stop::Parquet)? {
        values.ready.drain(..).try_for_each(&mut take).map_err(Stop::Other)?;
    }
    Ok(())
}

/// The values of a column of bytes in a row group, each handed to `take`.
pub(super) fn each_bytes(
    group: &dyn RowGroupReader,
    column: usize,
    present: i16,
    take: impl FnMut(Option<ByteArray>) -> Result<(), DatasetError>,
) -> Result<(), Stop> {
    match group.get_column_reader(column).map_err(Stop::Parquet)? {
        ColumnReader::ByteArrayColumnReader(column) => each_value(column, present, take),
        _ => Err(Stop::Parquet(ParquetError::General("a column of images holds no bytes".to_owned()))),
    }
}

/// The classes of a row group; `None` where there is none, or a negative one (as of hidden test labels).
pub(super) fn read_labels(group: &dyn RowGroupReader, column: usize, present: i16) -> Result<Vec<Option<u32>>, Stop> {
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
