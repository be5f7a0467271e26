//! Parquet files.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;

use ksom_datasets::sets::Validation;
use ksom_datasets::{DataOptions, DataSet, DatasetError, open};

use crate::common::{picture, save};

fn open_at(kind: &str, path: &Path) -> Result<DataSet, DatasetError> {
    let options = DataOptions { valid_from: Validation::Split, ..DataOptions::default() };
    open(&format!("{kind}{}", path.display()).parse()?, &options)
}

/// A file as the Hub has them: {bytes, path} and a label, several row groups.
fn write(path: &Path, column: &str, rows: Range<u32>, compression: Compression) {
    let schema = format!(
        "message schema {{
            optional group {column} {{ optional binary bytes; optional binary path (STRING); }}
            optional int64 label;
        }}"
    );
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, properties).unwrap();
    let rows: Vec<u32> = rows.collect();
    for rows in rows.chunks(70) {
        let mut group = writer.next_row_group().unwrap();
        let pictures: Vec<ByteArray> = rows
            .iter()
            .map(|row| {
                let mut png = std::io::Cursor::new(Vec::new());
                picture(*row, 5, 3).write_to(&mut png, image::ImageFormat::Png).unwrap();
                png.into_inner().into()
            })
            .collect();
        let names: Vec<ByteArray> = rows.iter().map(|row| format!("{row}.png").as_str().into()).collect();
        for values in [&pictures, &names] {
            let mut column = group.next_column().unwrap().unwrap();
            let levels = vec![2; rows.len()];
            column.typed::<ByteArrayType>().write_batch(values, Some(&levels), None).unwrap();
            column.close().unwrap();
        }
        let labels: Vec<i64> = rows.iter().map(|row| i64::from(row % 10)).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&labels, Some(&vec![1; rows.len()]), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn files_as_on_the_hub() {
    let folder = tempfile::tempdir().unwrap();
    let snappy = Compression::SNAPPY;
    let at = |name: &str| folder.path().join("plain_text").join(name);
    write(&at("train-00000-of-00002.parquet"), "img", 0..200, snappy);
    write(&at("train-00001-of-00002.parquet"), "img", 200..250, Compression::ZSTD(ZstdLevel::default()));
    write(&at("test-00000-of-00001.parquet"), "img", 1000..1010, Compression::UNCOMPRESSED);
    let data = open_at("", folder.path()).unwrap();
    assert!(data.description.starts_with("parquet "), "{}", data.description);
    assert_eq!((data.train.len(), data.valid[0].1.len(), data.test[0].1.len()), (200, 50, 10));
    let test = &data.test[0].1;
    for row in 0..10 {
        assert_eq!(test.image(row as usize).unwrap(), picture(1000 + row, 5, 3));
        assert_eq!(test.label(row as usize), Some(row));
    }
    let mut seen = 0;
    for source in [&data.train, &data.valid[0].1] {
        for index in 0..source.len() {
            let name = source.name(index);
            let (file, row) = name.rsplit_once('#').unwrap();
            let row = row.parse::<u32>().unwrap() + if file.contains("00001-of") { 200 } else { 0 };
            assert_eq!(source.image(index).unwrap(), picture(row, 5, 3), "{name}");
            assert_eq!(source.label(index), Some(row % 10));
            seen += 1;
        }
    }
    assert_eq!(seen, 250);
}

#[test]
fn a_single_file_and_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("test.parquet");
    write(&file, "image", 0..10, Compression::SNAPPY);
    assert_eq!(open_at("", &file).unwrap().train.len(), 8);
    assert_eq!(open_at("parquet:", folder.path()).unwrap().train.len(), 8);
    write(&file, "sound", 0..10, Compression::SNAPPY);
    assert_eq!(open_at("parquet:", &file).unwrap().train.len(), 8, "the only column of bytes is taken");
    std::fs::write(&file, b"PAR1 and nothing else PAR1").unwrap();
    let error = open_at("parquet:", &file).err().unwrap().to_string();
    assert!(error.contains("test.parquet: it cannot be read"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = open_at("parquet:", empty.path()).err().unwrap().to_string();
    assert!(error.contains("no .parquet file"), "{error}");
}

/// A file of columns of optional bytes, which the schema may call text.
fn write_columns(path: &Path, schema: &str, columns: &[&[Option<&[u8]>]]) {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer =
        SerializedFileWriter::new(File::create(path).unwrap(), schema.clone(), Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for values in columns {
        let mut column = group.next_column().unwrap().unwrap();
        let typed = column.typed::<ByteArrayType>();
        let most = typed.get_descriptor().max_def_level();
        let levels: Vec<i16> = values.iter().map(|value| most - i16::from(value.is_none())).collect();
        let present: Vec<ByteArray> = values.iter().flatten().map(|value| value.to_vec().into()).collect();
        typed.write_batch(&present, Some(&levels), None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

fn png(seed: u32) -> Vec<u8> {
    let mut png = std::io::Cursor::new(Vec::new());
    picture(seed, 5, 3).write_to(&mut png, image::ImageFormat::Png).unwrap();
    png.into_inner()
}

#[test]
fn columns_are_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (first, second) = (png(1), png(2));
    let both = "message schema {
        optional group before { optional binary bytes; optional binary path (STRING); }
        optional group after { optional binary bytes; optional binary path (STRING); }
    }";
    write_columns(&at("two.parquet"), both, &[&[Some(&first)], &[None], &[Some(&second)], &[None]]);
    let error = open_at("", &at("two.parquet")).err().unwrap().to_string();
    assert!(error.contains("several columns of images (before, after)") && error.contains("PATH#COLUMN"), "{error}");
    for (column, seed) in [("before", 1), ("after", 2)] {
        for kind in ["", "parquet:"] {
            let data = open_at(kind, &at(&format!("two.parquet#{column}"))).unwrap();
            assert_eq!(data.train.image(0).unwrap(), picture(seed, 5, 3));
        }
    }
    let error = open_at("parquet:", &at("two.parquet#between")).err().unwrap().to_string();
    assert!(error.contains("no column of images \"between\"") && error.contains("before.bytes"), "{error}");
    // Bytes of any name are found where there are no others.
    write_columns(
        &at("jpg.parquet"),
        "message schema { optional binary jpg; optional binary text (STRING); }",
        &[&[Some(&first)], &[Some(b"x")]],
    );
    assert_eq!(open_at("", &at("jpg.parquet")).unwrap().train.image(0).unwrap(), picture(1, 5, 3));
    write_columns(&at("none.parquet"), "message schema { optional binary text (STRING); }", &[&[Some(b"x")]]);
    assert!(open_at("", &at("none.parquet")).err().unwrap().to_string().contains("no column of images found"));
}

#[test]
fn paths_lead_to_files_beside() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    save(&inner, "sub/a.png", &picture(1, 5, 3));
    save(folder.path(), "secret.png", &picture(2, 5, 3));
    #[cfg(unix)]
    std::os::unix::fs::symlink("../secret.png", inner.join("link.png")).unwrap();
    let absolute = folder.path().join("secret.png").display().to_string();
    let paths = ["sub/a.png", "../secret.png", &absolute, "link.png", "missing.png"];
    let paths: Vec<Option<&[u8]>> = paths.iter().map(|path| Some(path.as_bytes())).collect();
    let file = inner.join("train.parquet");
    let check = |spec: &Path| {
        let data = open(
            &spec.display().to_string().parse().unwrap(),
            &DataOptions { valid_fraction: 0.0, ..DataOptions::default() },
        );
        let data = data.unwrap();
        assert_eq!(data.train.image(0).unwrap(), picture(1, 5, 3));
        let error = |at: usize| data.train.image(at).unwrap_err().to_string();
        for leaving in 1..if cfg!(unix) { 4 } else { 3 } {
            assert!(error(leaving).contains("leads out of the folder"), "{}", error(leaving));
        }
        assert!(error(4).contains("missing.png"), "{}", error(4));
    };
    write_columns(&file, "message schema { optional binary image (STRING); }", &[&paths]);
    check(&file);
    let group = "message schema { optional group image { optional binary bytes; optional binary path (STRING); } }";
    write_columns(&file, group, &[&[None; 5], &paths]);
    check(&file);
    write_columns(&file, "message schema { optional binary file_name (STRING); }", &[&paths]);
    check(&inner.join("train.parquet#file_name"));
}

#[test]
fn patterns_of_shards() {
    let folder = tempfile::tempdir().unwrap();
    for (name, rows) in [("train-0", 0..4), ("train-1", 4..7), ("test-0", 7..9)] {
        write(&folder.path().join(format!("{name}.parquet")), "image", rows, Compression::SNAPPY);
    }
    std::fs::write(folder.path().join("train-notes.txt"), "").unwrap();
    for kind in ["", "parquet:"] {
        let data = open_at(kind, &folder.path().join("train-*.parquet")).unwrap();
        assert_eq!((data.train.len() + data.valid[0].1.len(), data.test.len()), (7, 0));
        let data = open_at(kind, &folder.path().join("*-0.parquet#image")).unwrap();
        assert_eq!((data.train.len() + data.valid[0].1.len(), data.test[0].1.len()), (4, 2));
    }
    let data = open_at("parquet:", &folder.path().join("train*")).unwrap();
    assert_eq!(data.passed_over.to_string(), "passed over 1 file: 1 .txt");
    assert!(
        open_at("", &folder.path().join("valid-*.parquet")).err().unwrap().to_string().contains("no .parquet file")
    );
}
