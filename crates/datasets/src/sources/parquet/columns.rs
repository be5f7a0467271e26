//! Which columns of a Parquet file hold images and classes.

use parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

/// The names that columns of images go by.
const IMAGES: [&str; 2] = ["image", "img"];
/// The names that columns of classes go by.
const LABELS: [&str; 4] = ["label", "labels", "fine_label", "class"];

/// The names that columns of keys go by.
#[cfg(feature = "shards")]
const KEYS: [&str; 2] = ["key", "__key__"];

/// Where images are: the numbers of the columns with their bytes, and with paths of files that hold them where there
/// are no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ImageColumns {
    pub bytes: Option<usize>,
    pub paths: Option<usize>,
    /// Whether they form a group.
    nested: bool,
}

/// Finds the column of images: `wanted`; else the one that is called so, or the only one there is.
///
/// An image is a group of `bytes` and `path` (`image.bytes`), or bytes by themselves, or a path by itself. Text of another
/// name could be anything, and counts only where it is asked for.
pub(super) fn image_columns(schema: &SchemaDescriptor, wanted: Option<&str>) -> Result<ImageColumns, String> {
    let found = candidates(schema);
    let columns = || {
        let names: Vec<_> = schema.columns().iter().map(|column| column.path().string()).collect();
        names.join(", ")
    };
    let named = |wanted: &str| found.iter().find(|(name, _)| *name == wanted).map(|(_, columns)| *columns);
    if let Some(wanted) = wanted {
        return named(wanted).ok_or_else(|| format!("it has no column of images {wanted:?} (it has {})", columns()));
    }
    let called = |bytes: bool| {
        let columns = IMAGES.iter().filter_map(|name| named(name));
        columns.into_iter().find(|columns| columns.bytes.is_some() == bytes)
    };
    if let Some(columns) = called(true) {
        return Ok(columns);
    }
    let with_bytes =
        |nested: bool| found.iter().filter(move |(_, columns)| columns.bytes.is_some() && columns.nested == nested);
    let several = match (with_bytes(true).count(), with_bytes(false).count()) {
        (0, _) if let Some(paths) = called(false) => return Ok(paths),
        (0, 0) => {
            return Err(format!("no column of images found (it has {}); name one as parquet:PATH#COLUMN", columns()));
        }
        (0, _) => with_bytes(false),
        _ => with_bytes(true),
    };
    match several.collect::<Vec<_>>().as_slice() {
        [(_, columns)] => Ok(*columns),
        several => {
            let names: Vec<_> = several.iter().map(|(name, _)| name.as_str()).collect();
            Err(format!("it has several columns of images ({}); name one as parquet:PATH#COLUMN", names.join(", ")))
        }
    }
}

/// All columns that could hold images, by name.
fn candidates(schema: &SchemaDescriptor) -> Vec<(String, ImageColumns)> {
    let mut found: Vec<(String, ImageColumns)> = Vec::new();
    for (number, column) in schema.columns().iter().enumerate() {
        if column.physical_type() != PhysicalType::BYTE_ARRAY || column.max_rep_level() != 0 {
            continue;
        }
        let (name, is_path, nested) = match column.path().parts() {
            [group, last] if last == "bytes" => (group, false, true),
            [group, last] if last == "path" => (group, true, true),
            [name] => (name, is_text(column), false),
            _ => continue,
        };
        let at = found.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            found.push((name.clone(), ImageColumns { bytes: None, paths: None, nested }));
            found.len() - 1
        });
        let columns = &mut found[at].1;
        *(if is_path { &mut columns.paths } else { &mut columns.bytes }) = Some(number);
    }
    found
}

fn is_text(column: &ColumnDescriptor) -> bool {
    column.converted_type() == ConvertedType::UTF8 || matches!(column.logical_type_ref(), Some(LogicalType::String))
}

/// The column of classes, if there is one of whole numbers.
pub(super) fn label_column(schema: &SchemaDescriptor) -> Option<usize> {
    LABELS.iter().find_map(|wanted| {
        schema.columns().iter().position(|column| {
            column.path().parts() == [*wanted]
                && column.max_rep_level() == 0
                && matches!(column.physical_type(), PhysicalType::INT32 | PhysicalType::INT64)
        })
    })
}

/// The column of keys, if there is one of text.
#[cfg(feature = "shards")]
pub(super) fn key_column(schema: &SchemaDescriptor) -> Option<usize> {
    KEYS.iter().find_map(|wanted| {
        schema.columns().iter().position(|column| {
            column.path().parts() == [*wanted]
                && column.max_rep_level() == 0
                && column.physical_type() == PhysicalType::BYTE_ARRAY
        })
    })
}
