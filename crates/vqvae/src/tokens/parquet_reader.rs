//! Tokens from a Parquet file.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use ksom_datasets::shards::check_parquet_pages;
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};

use crate::codes::header::KEY;
use crate::codes::images::{CodeGrid, ImageCodes};
use crate::error::{Error, Result};
use crate::system::memory;

/// What is handed a batch of keys and codes.
pub type TakeTokens<'a> = dyn FnMut(Vec<(String, ImageCodes)>) -> Result<()> + 'a;

pub(super) struct ParquetReader {
    path: PathBuf,
    reader: SerializedFileReader<File>,
}

/// The columns of a row group that is being read.
struct Group {
    keys: ColumnReaderImpl<ByteArrayType>,
    height: ColumnReaderImpl<Int32Type>,
    width: ColumnReaderImpl<Int32Type>,
    /// Each level's codes, and the highest of their definition levels.
    levels: Vec<(ColumnReaderImpl<Int32Type>, i16)>,
}

impl ParquetReader {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed = |source| Error::io("read", path, source);
        // Before it is opened: to open a pipe is to wait for its other end.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(Error::file(path, "expected a file, found a folder, pipe or device"));
        }
        let file = File::open(path).map_err(failed)?;
        let opened = catch_unwind(AssertUnwindSafe(|| SerializedFileReader::new(file)));
        let reader = opened.map_err(|_| damaged(path))?.map_err(|error| refuse(path, error))?;
        Ok(Self { path: path.to_path_buf(), reader })
    }

    /// What the file says of its tokens.
    pub(super) fn about(&self) -> Option<String> {
        let entries = self.reader.metadata().file_metadata().key_value_metadata()?;
        entries.iter().find(|entry| entry.key == KEY)?.value.clone()
    }

    /// Hands out keys and codes, `batch` rows at a time.
    pub(super) fn read(&self, levels: &[String], batch: usize, take: &mut TakeTokens) -> Result<()> {
        for number in 0..self.reader.num_row_groups() {
            // The parquet crate can panic on a damaged file.
            let opened = catch_unwind(AssertUnwindSafe(|| self.open_group(number, levels)));
            let (mut group, mut left) = opened.map_err(|_| damaged(&self.path))??;
            while left > 0 {
                let rows = left.min(batch);
                left -= rows;
                let read = catch_unwind(AssertUnwindSafe(|| group.rows(rows)));
                take(read.map_err(|_| damaged(&self.path))?.map_err(|error| refuse(&self.path, error))?)?;
            }
        }
        Ok(())
    }

    fn open_group(&self, number: usize, levels: &[String]) -> Result<(Group, usize)> {
        let path = &self.path;
        let group = self.reader.get_row_group(number).map_err(|error| refuse(path, error))?;
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let column = |name: &str| {
            let found = schema
                .columns()
                .iter()
                .position(|column| column.path().parts().first().is_some_and(|first| first == name));
            let index = found.ok_or_else(|| Error::file(path, format!("expected a column {name}, found none")))?;
            let chunk = group.metadata().column(index);
            let file = File::open(path).map_err(|source| Error::io("read", path, source))?;
            check_parquet_pages(file, chunk.byte_range())
                .map_err(|error| Error::file(path, format!("its pages cannot be read: {error}")))?;
            // A few bytes of the file can stand for any number of values.
            let bytes = u64::try_from(chunk.num_values()).unwrap_or(u64::MAX).saturating_mul(8);
            memory::require(bytes, || format!("reading {}", path.display()))?;
            Ok::<_, Error>(index)
        };
        let levels = levels.iter().map(|level| {
            let index = column(level)?;
            if schema.column(index).max_rep_level() != 2 {
                return Err(Error::file(path, format!("{level} should be a column of lists of rows")));
            }
            Ok((typed::<Int32Type>(group.as_ref(), index, path)?, schema.column(index).max_def_level()))
        });
        let levels = levels.collect::<Result<_>>()?;
        let keys = typed::<ByteArrayType>(group.as_ref(), column("key")?, path)?;
        let height = typed::<Int32Type>(group.as_ref(), column("image_height")?, path)?;
        let width = typed::<Int32Type>(group.as_ref(), column("image_width")?, path)?;
        let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        Ok((Group { keys, height, width, levels }, rows))
    }
}

fn typed<T: DataType>(group: &dyn RowGroupReader, index: usize, path: &Path) -> Result<ColumnReaderImpl<T>> {
    let reader = group.get_column_reader(index).map_err(|error| refuse(path, error))?;
    T::get_column_reader(reader).ok_or_else(|| Error::file(path, "its columns are not of the types of tokens"))
}

impl Group {
    fn rows(&mut self, rows: usize) -> Result<Vec<(String, ImageCodes)>, ParquetError> {
        let keys = flat(&mut self.keys, rows)?;
        let (heights, widths) = (flat(&mut self.height, rows)?, flat(&mut self.width, rows)?);
        let mut levels = Vec::new();
        for (column, defined) in &mut self.levels {
            levels.push(grids(column, *defined, rows)?.into_iter());
        }
        let side = |side: i32| u32::try_from(side).unwrap_or(0);
        let row = |((key, height), width): ((ByteArray, i32), i32)| {
            let key = String::from_utf8_lossy(key.data()).into_owned();
            let levels = levels.iter_mut().filter_map(Iterator::next).collect();
            (key, ImageCodes { width: side(width), height: side(height), levels })
        };
        Ok(keys.into_iter().zip(heights).zip(widths).map(row).collect())
    }
}

/// The next values of a column that has one for each row.
fn flat<T: DataType>(column: &mut ColumnReaderImpl<T>, rows: usize) -> Result<Vec<T::T>, ParquetError> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    column.read_records(rows, Some(&mut levels), None, &mut values)?;
    if values.len() != rows {
        return Err(ParquetError::General(format!("expected {rows} values, found {}", values.len())));
    }
    Ok(values)
}

/// The codes of the next rows.
fn grids(column: &mut ColumnReaderImpl<Int32Type>, defined: i16, rows: usize) -> Result<Vec<CodeGrid>, ParquetError> {
    let wrong = |what: &str| ParquetError::General(what.to_string());
    let (mut present, mut begins, mut values) = (Vec::new(), Vec::new(), Vec::new());
    column.read_records(rows, Some(&mut present), Some(&mut begins), &mut values)?;
    if present.iter().any(|level| *level != defined) || begins.len() != values.len() {
        return Err(wrong("codes are missing"));
    }
    let mut grids: Vec<CodeGrid> = Vec::new();
    let mut in_row = 0;
    for (value, begin) in values.into_iter().zip(begins) {
        match (begin, grids.last_mut()) {
            (0, _) => {
                if let Some(last) = grids.last_mut() {
                    close_row(last, in_row)?;
                }
                grids.push(CodeGrid { height: 0, width: 0, codes: Vec::new() });
                in_row = 0;
            }
            (1, Some(grid)) => {
                close_row(grid, in_row)?;
                in_row = 0;
            }
            (_, Some(_)) => {}
            (_, None) => return Err(wrong("codes begin within a picture")),
        }
        if let Some(grid) = grids.last_mut() {
            grid.codes.push(value as u32);
            in_row += 1;
        }
    }
    if let Some(last) = grids.last_mut() {
        close_row(last, in_row)?;
    }
    if grids.len() != rows {
        return Err(wrong("there are not codes for every row"));
    }
    Ok(grids)
}

/// Counts a row of codes, which must be as long as those above it.
fn close_row(grid: &mut CodeGrid, length: usize) -> Result<(), ParquetError> {
    if grid.height > 0 && grid.width != length {
        return Err(ParquetError::General("the rows of a picture's codes differ in length".to_string()));
    }
    grid.width = length;
    grid.height += 1;
    Ok(())
}

fn refuse(path: &Path, error: ParquetError) -> Error {
    Error::file(path, format!("it cannot be read: {error}"))
}

fn damaged(path: &Path) -> Error {
    Error::file(path, "it is damaged: its pages contradict each other")
}
