//! Data sets in files of their own format.

use std::path::Path;

#[cfg(feature = "candle-datasets")]
use ksom_datasets::ImageSource;
use ksom_datasets::sets::Validation;
use ksom_datasets::{DataOptions, DataSet, DatasetError, open};

fn open_at(kind: &str, path: &Path) -> Result<DataSet, DatasetError> {
    let options = DataOptions { valid_from: Validation::Split, ..DataOptions::default() };
    open(&format!("{kind}{}", path.display()).parse()?, &options)
}

/// What pixel (x, y) of picture `number` holds: it tells all three apart, and the channels.
fn value(number: usize, channel: usize, x: usize, y: usize) -> u8 {
    (number * 31 + channel * 90 + x + 3 * y) as u8
}

/// A label and three planes per picture, 10,000 per file.
#[cfg(feature = "candle-datasets")]
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

#[cfg(feature = "candle-datasets")]
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

#[cfg(feature = "candle-datasets")]
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
        assert!(error.contains("train-images-idx3-ubyte: it is missing (unpacked, or with .gz"), "{error}");
    }
}

#[test]
fn mnist_is_read_as_it_is_handed_out() {
    use std::io::Write;

    let root = tempfile::tempdir().unwrap();
    // Where torchvision puts it, packed.
    let folder = root.path().join("MNIST/raw");
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let file = std::fs::File::create(folder.join(name)).unwrap();
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap();
    };
    for part in ["train", "t10k"] {
        write(&format!("{part}-images-idx3-ubyte.gz"), &idx(2051, &[2, 2, 3], &[7; 12]));
        write(&format!("{part}-labels-idx1-ubyte.gz"), &idx(2049, &[2], &[4, 5]));
    }
    for path in [root.path(), folder.as_path()] {
        let data = open_at("", path).unwrap();
        assert!(data.description.starts_with("mnist "), "{}", data.description);
        assert_eq!((data.train.len(), data.test[0].1.len()), (1, 2));
        assert_eq!((data.test[0].1.image(1).unwrap().dimensions(), data.test[0].1.label(1)), ((3, 2), Some(5)));
    }
    let images = folder.join("train-images-idx3-ubyte.gz");
    for (bytes, says) in [
        (idx(2051, &[2, 2, 3], &[7; 11]), "does not fit the 11 bytes that follow"),
        (idx(2051, &[2, 2, 3], &[7; 99]), "does not fit the 13 or more bytes that follow"),
        (idx(2051, &[u32::MAX; 3], &[7; 12]), "does not fit"),
        (idx(2049, &[2], &[7; 2]), "it has only 10 bytes"),
    ] {
        write("train-images-idx3-ubyte.gz", &bytes);
        let error = open_at("mnist:", &folder).err().unwrap().to_string();
        assert!(error.contains("train-images-idx3-ubyte.gz") && error.contains(says), "{error}");
    }
    write("train-images-idx3-ubyte.gz", &idx(2051, &[2, 2, 3], &[7; 12]));
    let packed = std::fs::read(&images).unwrap();
    std::fs::write(&images, &packed[..packed.len() - 4]).unwrap();
    assert!(open_at("mnist:", &folder).err().unwrap().to_string().contains("it cannot be unpacked"));
}

/// A batch as Python 2 pickled it: a dictionary of text, a list of numbers and an array of bytes.
fn python_batch(labels: &[u8], pixels: &[u8]) -> Vec<u8> {
    let text = |text: &str| [&[b'U', text.len() as u8], text.as_bytes()].concat();
    let mut bytes = b"\x80\x02}q\x01(".to_vec();
    bytes.extend(text("batch_label"));
    bytes.extend(text("training batch 1 of 5"));
    bytes.extend(text("labels"));
    bytes.extend(b"]q\x02(");
    bytes.extend(labels.iter().flat_map(|label| [b'K', *label]));
    bytes.push(b'e');
    bytes.extend(text("data"));
    bytes.extend(b"cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87R(K\x01K");
    bytes.push(labels.len() as u8);
    bytes.extend(b"M\x00\x0c\x86cnumpy\ndtype\nq\x05U\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T");
    bytes.extend((pixels.len() as u32).to_le_bytes());
    bytes.extend(pixels);
    bytes.extend(b"tbu.");
    bytes
}

#[test]
fn cifar10_for_python() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("cifar-10-batches-py");
    std::fs::create_dir(&folder).unwrap();
    let planes = |number: usize| (0..3 * 32 * 32).map(move |at| value(number, at / 1024, at % 32, at / 32 % 32));
    for (file, name) in (1..=5).map(|n| format!("data_batch_{n}")).chain(["test_batch".to_owned()]).enumerate() {
        let pixels: Vec<u8> = (2 * file..2 * file + 2).flat_map(planes).collect();
        std::fs::write(folder.join(name), python_batch(&[file as u8, 9], &pixels)).unwrap();
    }
    let data = open_at("", root.path()).unwrap();
    assert!(data.description.starts_with("cifar10 "), "{}", data.description);
    assert_eq!((data.train.len(), data.valid[0].1.len(), data.test[0].1.len()), (8, 2, 2));
    let test = &data.test[0].1;
    assert_eq!((test.label(0), test.label(1)), (Some(5), Some(9)));
    for (x, y, pixel) in test.image(1).unwrap().enumerate_pixels() {
        assert_eq!(pixel.0, [0, 1, 2].map(|channel| value(11, channel, x as usize, y as usize)), "column {x}, row {y}");
    }
    let third = folder.join("data_batch_3");
    let sound = std::fs::read(&third).unwrap();
    for at in [0, 1, 40, 100, 200, sound.len() - 2] {
        std::fs::write(&third, &sound[..at]).unwrap();
        let error = open_at("cifar10:", &folder).err().unwrap().to_string();
        assert!(error.contains("data_batch_3: it is no batch of CIFAR-10"), "{error}");
    }
    for (labels, pixels, says) in [(2, 3072, "2 rows of 3072 bytes"), (1, 3071, "for 1 labels"), (0, 0, "for 0 labels")]
    {
        std::fs::write(&third, python_batch(&vec![0; labels], &vec![0; pixels])).unwrap();
        let error = open_at("cifar10:", &folder).err().unwrap().to_string();
        assert!(error.contains(says), "{error}");
    }
    std::fs::remove_file(&third).unwrap();
    assert!(open_at("cifar10:", &folder).err().unwrap().to_string().contains("data_batch_3"));
}
