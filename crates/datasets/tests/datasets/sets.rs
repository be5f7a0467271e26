//! Data sets in files of their own format.

use std::path::Path;

use ksom_datasets::sets::Validation;
use ksom_datasets::{DataOptions, DataSet, DatasetError, open};

fn open_at(kind: &str, path: &Path) -> Result<DataSet, DatasetError> {
    let options = DataOptions { valid_from: Validation::Split, ..DataOptions::default() };
    open(&format!("{kind}{}", path.display()).parse()?, &options)
}

#[cfg(feature = "candle-datasets")]
mod candle {
    use super::*;
    use ksom_datasets::ImageSource;

    /// What pixel (x, y) of picture `number` holds: it tells all three apart, and the channels.
    fn value(number: usize, channel: usize, x: usize, y: usize) -> u8 {
        (number * 31 + channel * 90 + x + 3 * y) as u8
    }

    /// A label and three planes per picture, 10,000 per file.
    fn write_cifar10(folder: &Path) {
        let files = (1..=5).map(|n| format!("data_batch_{n}.bin")).chain(["test_batch.bin".to_owned()]);
        for (file, name) in files.enumerate() {
            let mut bytes = Vec::with_capacity(30_730_000);
            for number in 0..10_000 {
                let number = file * 10_000 + number;
                bytes.push((number % 10) as u8);
                for channel in 0..3 {
                    for y in 0..32 {
                        bytes.extend((0..32).map(|x| value(number, channel, x, y)));
                    }
                }
            }
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }

    fn check(source: &dyn ImageSource, offset: usize) {
        for index in (0..source.len()).step_by(997) {
            // Where the picture lies among all is the number in its name.
            let name = source.name(index);
            let number: usize = offset + name.rsplit('#').next().unwrap().parse::<usize>().unwrap();
            let image = source.image(index).unwrap();
            assert_eq!(source.label(index), Some((number % 10) as u32));
            for (x, y, pixel) in image.enumerate_pixels() {
                let expected = [0, 1, 2].map(|channel| value(number, channel, x as usize, y as usize));
                assert_eq!(pixel.0, expected, "{name} at column {x}, row {y}");
            }
        }
    }

    #[test]
    fn cifar10_is_not_transposed() {
        let folder = tempfile::tempdir().unwrap();
        let nested = folder.path().join("cifar-10-batches-bin");
        std::fs::create_dir(&nested).unwrap();
        write_cifar10(&nested);
        let data = open_at("", folder.path()).unwrap();
        assert!(data.description.starts_with("cifar10 "), "{}", data.description);
        assert_eq!((data.train.len(), data.valid[0].1.len(), data.test[0].1.len()), (40_000, 10_000, 10_000));
        check(data.train.as_ref(), 0);
        check(data.valid[0].1.as_ref(), 0);
        check(data.test[0].1.as_ref(), 50_000);
        drop(data);
        let third = nested.join("data_batch_3.bin");
        std::fs::write(&third, [0; 3073]).unwrap();
        let error = open_at("cifar10:", &nested).err().unwrap().to_string();
        assert!(error.contains("data_batch_3.bin") && error.contains("3073 bytes"), "{error}");
        std::fs::remove_file(&third).unwrap();
        assert!(open_at("cifar10:", &nested).err().unwrap().to_string().contains("data_batch_3.bin"));
        let empty = tempfile::tempdir().unwrap();
        assert!(open_at("cifar10:", empty.path()).err().unwrap().to_string().contains("data_batch_1.bin is missing"));
    }

    fn idx(magic: u32, sizes: &[u32], values: &[u8]) -> Vec<u8> {
        let mut bytes = magic.to_be_bytes().to_vec();
        bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
        bytes.extend(values);
        bytes
    }

    #[test]
    fn mnist_keeps_rows_and_columns() {
        let root = tempfile::tempdir().unwrap();
        for (folder, kind) in [("digits", "mnist"), ("fashion", "fashion-mnist")] {
            let folder = root.path().join(folder);
            std::fs::create_dir(&folder).unwrap();
            // 3 columns and 2 rows, so that a transposition is seen.
            for (part, count) in [("train", 10u8), ("t10k", 2)] {
                let pixels: Vec<u8> = (0..count * 6).map(|value| value.wrapping_mul(4)).collect();
                let labels: Vec<u8> = (0..count).collect();
                let images = idx(2051, &[u32::from(count), 2, 3], &pixels);
                std::fs::write(folder.join(format!("{part}-images-idx3-ubyte")), images).unwrap();
                let labels = idx(2049, &[u32::from(count)], &labels);
                std::fs::write(folder.join(format!("{part}-labels-idx1-ubyte")), labels).unwrap();
            }
            let data = open_at("", &folder).unwrap();
            assert!(data.description.starts_with(&format!("{kind} ")), "{}", data.description);
            assert_eq!((data.train.len(), data.valid[0].1.len(), data.test[0].1.len()), (8, 2, 2));
            let second = data.test[0].1.image(1).unwrap();
            assert_eq!(second.dimensions(), (3, 2));
            assert!(second.pixels().zip(6u8..).all(|(pixel, value)| pixel.0 == [4 * value; 3]));
            assert_eq!(data.test[0].1.label(1), Some(1));

            let claims_too_much = idx(2051, &[u32::MAX, u32::MAX, u32::MAX], &[0; 60]);
            let images = folder.join("train-images-idx3-ubyte");
            std::fs::write(&images, claims_too_much).unwrap();
            let error = open_at(&format!("{kind}:"), &folder).err().unwrap().to_string();
            assert!(error.contains("does not fit an IDX file of 76 bytes"), "{error}");
            std::fs::remove_file(images).unwrap();
            let error = open_at(&format!("{kind}:"), &folder).err().unwrap().to_string();
            assert!(error.contains("it is missing (the files must be unpacked"), "{error}");
        }
    }
}

#[cfg(feature = "parquet")]
mod parquet {
    use std::fs::File;
    use std::ops::Range;
    use std::sync::Arc;

    use ::parquet::basic::{Compression, ZstdLevel};
    use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use ::parquet::file::properties::WriterProperties;
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::parser::parse_message_type;

    use super::*;
    use crate::common::picture;

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
}
