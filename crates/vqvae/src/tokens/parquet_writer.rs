//! Tokens as a Parquet file: a row for each picture, codes as lists of rows.

use std::io::Write;
use std::sync::Arc;

use ksom_datasets::shards::Member;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use crate::codes::header::KEY;
use crate::codes::images::ImageCodes;
use crate::codes::numbers::Width;
use crate::error::{Error, Result};
use crate::tokens::kept::Kept;
use crate::tokens::manifest::{Manifest, width_of};

/// A row group ends once it has so many codes, or so many rows.
const CODES_PER_GROUP: usize = 1 << 20;
const ROWS_PER_GROUP: usize = 1 << 14;

/// What is compressed takes about as long as with less effort, and is smaller.
const ZSTD_LEVEL: i32 = 3;

pub(super) struct ParquetWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    rows: Rows,
}

/// The rows of the next row group, column by column.
#[derive(Default)]
struct Rows {
    keys: Vec<ByteArray>,
    levels: Vec<Level>,
    image_height: Vec<i32>,
    image_width: Vec<i32>,
    label: Optional<i64>,
    json: Optional<ByteArray>,
    txt: Optional<ByteArray>,
}

/// A level's codes, and which of them begins a picture (0) or a row (1).
#[derive(Default)]
struct Level {
    codes: Vec<i32>,
    begins: Vec<i16>,
    height: Vec<i32>,
    width: Vec<i32>,
}

/// Values that not every row has.
struct Optional<T> {
    values: Vec<T>,
    present: Vec<i16>,
}

impl<T> Default for Optional<T> {
    fn default() -> Self {
        Self { values: Vec::new(), present: Vec::new() }
    }
}

impl<T> Optional<T> {
    fn push(&mut self, value: Option<T>) {
        self.present.push(i16::from(value.is_some()));
        self.values.extend(value);
    }
}

impl<W: Write + Send> ParquetWriter<W> {
    pub(super) fn new(manifest: &Manifest, output: W) -> Result<Self> {
        let bits = match width_of(manifest.num_codes) {
            Width::U32 => 32,
            _ => 16,
        };
        let levels: String = manifest.levels.iter().map(|level| columns(level, bits)).collect();
        let schema = format!(
            "message tokens {{ required binary key (STRING); {levels}
             required int32 image_height; required int32 image_width; optional int64 label;
             optional binary json (STRING); optional binary txt (STRING); }}"
        );
        let schema = Arc::new(parse_message_type(&schema).map_err(failed)?);
        let level = ZstdLevel::try_new(ZSTD_LEVEL).map_err(failed)?;
        let about = vec![KeyValue::new(KEY.to_string(), manifest.to_json())];
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_statistics_enabled(EnabledStatistics::None)
            .set_key_value_metadata(Some(about))
            .build();
        let file = SerializedFileWriter::new(output, schema, Arc::new(properties)).map_err(failed)?;
        Ok(Self { file, rows: Rows::of(manifest.levels.len()) })
    }

    pub(super) fn push(
        &mut self,
        key: &str,
        codes: &ImageCodes,
        others: &[Member],
        lost: impl FnMut(&str),
    ) -> Result<()> {
        let rows = &mut self.rows;
        rows.keys.push(ByteArray::from(key));
        for (level, grid) in rows.levels.iter_mut().zip(&codes.levels) {
            level.codes.extend(grid.codes.iter().map(|&code| code as i32));
            let begins = |at: usize| match at {
                0 => 0,
                at if at % grid.width == 0 => 1,
                _ => 2,
            };
            level.begins.extend((0..grid.codes.len()).map(begins));
            level.height.push(grid.height as i32);
            level.width.push(grid.width as i32);
        }
        rows.image_height.push(codes.height as i32);
        rows.image_width.push(codes.width as i32);
        let Kept { label, json, txt } = Kept::of(others, lost);
        rows.label.push(label);
        rows.json.push(json.map(|text| ByteArray::from(text.into_bytes())));
        rows.txt.push(txt.map(|text| ByteArray::from(text.into_bytes())));
        let codes: usize = rows.levels.iter().map(|level| level.codes.len()).sum();
        if codes >= CODES_PER_GROUP || rows.keys.len() >= ROWS_PER_GROUP {
            self.write_group()?;
        }
        Ok(())
    }

    fn write_group(&mut self) -> Result<()> {
        let count = self.rows.levels.len();
        let rows = std::mem::replace(&mut self.rows, Rows::of(count));
        let mut group = self.file.next_row_group().map_err(failed)?;
        rows.write(&mut group).and_then(|()| group.close().map(drop)).map_err(failed)
    }

    pub(super) fn finish(mut self) -> Result<()> {
        if !self.rows.keys.is_empty() {
            self.write_group()?;
        }
        self.file.close().map(drop).map_err(failed)
    }
}

impl Rows {
    fn of(levels: usize) -> Self {
        Self { levels: (0..levels).map(|_| Level::default()).collect(), ..Self::default() }
    }

    fn write<W: Write + Send>(&self, group: &mut SerializedRowGroupWriter<'_, W>) -> Result<(), ParquetError> {
        column::<ByteArrayType, _>(group, &self.keys, None, None)?;
        for level in &self.levels {
            // Two lists, none of which is ever empty or absent.
            let present = vec![2; level.codes.len()];
            column::<Int32Type, _>(group, &level.codes, Some(&present), Some(&level.begins))?;
            column::<Int32Type, _>(group, &level.height, None, None)?;
            column::<Int32Type, _>(group, &level.width, None, None)?;
        }
        column::<Int32Type, _>(group, &self.image_height, None, None)?;
        column::<Int32Type, _>(group, &self.image_width, None, None)?;
        column::<Int64Type, _>(group, &self.label.values, Some(&self.label.present), None)?;
        column::<ByteArrayType, _>(group, &self.json.values, Some(&self.json.present), None)?;
        column::<ByteArrayType, _>(group, &self.txt.values, Some(&self.txt.present), None)
    }
}

/// Writes the next column of a row group.
fn column<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    present: Option<&[i16]>,
    begins: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let missing = || ParquetError::General("the file has fewer columns than are written".to_string());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<T>().write_batch(values, present, begins)?;
    column.close()
}

/// A level's columns: its codes, and how many rows and columns of them there are.
fn columns(level: &str, bits: u32) -> String {
    let suffix = level.strip_prefix("codes").unwrap_or_default();
    format!(
        "required group {level} (LIST) {{ repeated group list {{ required group element (LIST) {{
         repeated group list {{ required int32 element (INTEGER({bits}, false)); }} }} }} }}
         required int32 height{suffix}; required int32 width{suffix}; "
    )
}

fn failed(error: ParquetError) -> Error {
    Error::Invalid(format!("tokens cannot be written as Parquet: {error}"))
}
