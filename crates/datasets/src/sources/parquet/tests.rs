//! Reading Parquet files, sound and damaged.

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
        let source = ParquetSource::open_within(
            folder.path(),
            std::slice::from_ref(&file),
            None,
            DecodeOptions::default(),
            limit,
        )
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
    let open = || {
        ParquetSource::open_within(folder.path(), std::slice::from_ref(&file), None, DecodeOptions::default(), u64::MAX)
    };
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
