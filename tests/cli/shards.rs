//! Shards of pictures in, shards of tokens out.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use image::{ImageFormat, RgbImage};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::record::Field;
use parquet::schema::parser::parse_message_type;
use safetensors::SafeTensors;
use serde_json::{Value, json};
use tar::{Builder, Header};

use crate::support::{Workspace, picture, pixels};

/// A picture as a PNG file.
pub fn png(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A tar file of these entries.
pub fn tar_of<'a>(entries: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    tar.into_inner().unwrap()
}

/// A shard of pictures of 32×32 with these numbers, each with its class.
pub fn shard(numbers: std::ops::Range<u32>) -> Vec<u8> {
    let names: Vec<_> =
        numbers.map(|number| (number, format!("p{number:04}.png"), format!("p{number:04}.cls"))).collect();
    tar_of(names.iter().flat_map(|(number, picture_name, class)| {
        [
            (picture_name.as_str(), png(&picture(32, 32, *number))),
            (class.as_str(), (number % 10).to_string().into_bytes()),
        ]
    }))
}

/// Three shards of four pictures: as it is, and compressed in two ways.
pub fn three_shards(space: &Workspace) {
    std::fs::create_dir_all(space.path("shards")).unwrap();
    std::fs::write(space.path("shards/000.tar"), shard(0..4)).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&shard(4..8)).unwrap();
    std::fs::write(space.path("shards/001.tar.gz"), gzip.finish().unwrap()).unwrap();
    std::fs::write(space.path("shards/002.tar.zst"), zstd::encode_all(&shard(8..12)[..], 1).unwrap()).unwrap();
}

/// The rows of a Parquet file.
pub fn rows(path: &Path) -> Vec<Value> {
    fn value(field: &Field) -> Value {
        match field {
            Field::Str(text) => json!(text),
            Field::Int(number) => json!(number),
            Field::UShort(number) => json!(number),
            Field::Long(number) => json!(number),
            Field::ListInternal(list) => list.elements().iter().map(value).collect(),
            Field::Null => Value::Null,
            other => panic!("{other:?}"),
        }
    }
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap().map(|row| {
        let row = row.unwrap();
        Value::Object(row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect())
    });
    rows.collect()
}

/// The entries of a tar file.
pub fn entries(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(std::fs::File::open(path).unwrap());
    let mut found = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        assert!(found.insert(name, bytes).is_none());
    }
    found
}

pub fn report(space: &Workspace, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(space.path(name)).unwrap()).unwrap()
}

const MODEL: [&str; 2] = ["--model", "cifar10-ksom"];

/// The codes of the pictures with these numbers, as a codes file has them: 64 numbers of 16 bits for each.
fn expected(space: &Workspace, numbers: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    for number in numbers {
        space.picture(&format!("flat/p{number:04}.png"), 32, 32, number);
    }
    space.ok(&[&["encode", "flat", "-o", "flat.safetensors"], &MODEL[..]].concat());
    let bytes = std::fs::read(space.path("flat.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    tensors.tensor("codes").unwrap().data().chunks(128).map(<[u8]>::to_vec).collect()
}

#[test]
fn shards_become_tokens_with_the_same_keys() {
    let space = Workspace::new();
    three_shards(&space);
    let expected = expected(&space, 0..12);
    for form in ["parquet", "tar", "safetensors", "packed"] {
        let args = ["encode", "shards/{000..000}.tar", "shards/*.tar.*", "-o", form, "--form", form];
        let told = space.json(&[&args, &MODEL[..]].concat());
        assert_eq!((&told["shards"], &told["made"], &told["pictures"]), (&json!(3), &json!(3), &json!(12)), "{told}");
        for (number, name) in ["000", "001", "002"].into_iter().enumerate() {
            let report = report(&space, &format!("{form}/{name}.json"));
            assert_eq!(
                (&report["pictures"], &report["codes"], &report["skipped"]),
                (&json!(4), &json!(256), &json!([]))
            );
            if form == "tar" {
                let entries = entries(&space.path(&format!("tar/{name}.tar")));
                // The note, and of each sample codes, size and class.
                assert_eq!(entries.len(), 1 + 4 * 3);
                for picture in 4 * number..4 * number + 4 {
                    let codes = &entries[&format!("p{picture:04}.codes.npy")];
                    assert_eq!(codes[codes.len() - 128..], expected[picture], "{picture}");
                    assert_eq!(entries[&format!("p{picture:04}.cls")], (picture % 10).to_string().into_bytes());
                }
            }
            if form == "safetensors" {
                let bytes = std::fs::read(space.path(&format!("safetensors/{name}.safetensors"))).unwrap();
                let tensors = SafeTensors::deserialize(&bytes).unwrap();
                assert_eq!(tensors.tensor("codes").unwrap().data(), expected[4 * number..4 * number + 4].concat());
            }
        }
        let out = format!("{form}-pictures");
        space.ok(&["decode", form, "-o", &out]);
        if form != "parquet" {
            for number in 0..12 {
                let name = format!("{:03}/p{number:04}.png", number / 4);
                let same = space.path("parquet-pictures").join(&name);
                assert_eq!(pixels(&space.path(&out).join(&name)), pixels(&same), "{form} {name}");
            }
        }
    }
    let rows = rows(&space.path("parquet/001.parquet"));
    for (row, number) in rows.iter().zip(4..) {
        assert_eq!((&row["key"], &row["label"]), (&json!(format!("p{number:04}")), &json!(number % 10)));
        assert_eq!([&row["height"], &row["width"], &row["image_height"], &row["image_width"]], [8, 8, 32, 32]);
        let codes: Vec<u8> = row["codes"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|line| line.as_array().unwrap())
            .flat_map(|code| (code.as_u64().unwrap() as u16).to_le_bytes())
            .collect();
        assert_eq!(codes, expected[number]);
    }
    // A single shard of one level: pictures lie in the folder itself.
    space.ok(&["decode", "parquet/001.parquet", "-o", "one"]);
    assert!(space.path("one/p0004.png").is_file());
}

#[test]
fn pictures_of_any_size_keep_theirs() {
    let space = Workspace::new();
    let sizes = [(40, 24), (33, 21), (40, 24), (16, 50)];
    let files: Vec<_> =
        sizes.iter().zip(0..).map(|(&(w, h), seed)| (format!("d/{w}-{seed}.png"), png(&picture(w, h, seed)))).collect();
    std::fs::create_dir(space.path("in")).unwrap();
    std::fs::write(space.path("in/a.tar"), tar_of(files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone()))))
        .unwrap();
    for model in ["photos-ksom", "photos-ksom-vqvae2"] {
        for form in ["parquet", "tar", "packed"] {
            let (tokens, out) = (format!("{model}-{form}"), format!("{model}-{form}-out"));
            space.ok(&["encode", "in", "-o", &tokens, "--form", form, "--model", model]);
            space.ok(&["decode", &tokens, "-o", &out]);
            for (&(w, h), (name, _)) in sizes.iter().zip(&files) {
                assert_eq!(pixels(&space.path(&out).join(name)).dimensions(), (w, h), "{form} {name}");
            }
        }
    }
    // All of one size: the manifest says their shape.
    space.ok(&["encode", "in", "-o", "sized", "--size", "32x16", "--model", "photos-ksom"]);
    let manifest = report(&space, "sized/manifest.json");
    assert_eq!((&manifest["shapes"], &manifest["code_type"]), (&json!([[4, 8]]), &json!("uint16")));
    // Another size would be other tokens.
    let error = space.fails(&["encode", "in", "-o", "sized", "--size", "16x16", "--model", "photos-ksom"]);
    assert!(error.contains("in another way"), "{error}");
}

#[test]
fn what_is_no_picture_is_listed_and_nothing_else_is_lost() {
    let space = Workspace::new();
    let good = png(&picture(32, 32, 1));
    let files = [
        ("a.png", good.clone()),
        ("b.jpg", b"no picture".to_vec()),
        ("b.json", b"{}".to_vec()),
        ("c.cls", b"1".to_vec()),
        ("d.png", good[..good.len() / 2].to_vec()),
        ("README", b"?".to_vec()),
        ("e.seg.png", good.clone()),
        ("e.png", good.clone()),
        ("f.npy", b"x".to_vec()),
        ("f.webp", Vec::new()),
        ("a.png", good.clone()),
        ("g.txt", b"a caption".to_vec()),
        ("g.PNG", good.clone()),
        ("g.json", br#"{"at": 1}"#.to_vec()),
    ];
    std::fs::create_dir(space.path("in")).unwrap();
    std::fs::write(space.path("in/s.tar"), tar_of(files.iter().map(|(name, bytes)| (*name, bytes.clone())))).unwrap();
    let told = space.ok(&[&["encode", "in", "-o", "out"], &MODEL[..]].concat());
    assert!(
        told.stderr.contains("skipped b of s") && told.stderr.contains("4 pictures cannot be used"),
        "{}",
        told.stderr
    );
    let report = report(&space, "out/s.json");
    assert_eq!((&report["pictures"], &report["without_picture"]), (&json!(3), &json!(1)), "{report}");
    let skipped: Vec<&str> =
        report["skipped"].as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap()).collect();
    assert_eq!(skipped, ["b", "d", "f", "a"]);
    assert!(report["skipped"][3]["reason"].as_str().unwrap().contains("another sample"), "{report}");
    assert_eq!(report["passed_over"], json!({"without a key and an extension": 1}));
    // `e.png` is a second picture of its sample.
    assert_eq!(report["not_kept"], json!({".png": 1}));
    let rows = rows(&space.path("out/s.parquet"));
    assert_eq!(rows.iter().map(|row| row["key"].as_str().unwrap()).collect::<Vec<_>>(), ["a", "e", "g"]);
    assert_eq!(
        (&rows[2]["txt"], &rows[2]["json"], &rows[2]["label"]),
        (&json!("a caption"), &json!(r#"{"at": 1}"#), &Value::Null)
    );
}

#[test]
fn rows_of_parquet_files_are_samples() {
    let space = Workspace::new();
    std::fs::create_dir(space.path("in")).unwrap();
    let schema = "message m { optional group image { optional binary bytes; optional binary path (UTF8); }
                  required int64 label; %s }";
    for (name, keys) in [("plain.parquet", ""), ("keyed.parquet", "optional binary key (UTF8);")] {
        let schema = Arc::new(parse_message_type(&schema.replace("%s", keys)).unwrap());
        let file = std::fs::File::create(space.path("in").join(name)).unwrap();
        let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
        for half in 0..2 {
            let mut group = writer.next_row_group().unwrap();
            let bytes: Vec<ByteArray> = (0..70).map(|i| png(&picture(32, 32, 70 * half + i)).into()).collect();
            let mut column = group.next_column().unwrap().unwrap();
            // The last of each row group is a null.
            let defined: Vec<i16> = (0..71).map(|i| if i < 70 { 2 } else { 0 }).collect();
            column.typed::<ByteArrayType>().write_batch(&bytes, Some(&defined), None).unwrap();
            column.close().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&[], Some(&[0; 71]), None).unwrap();
            column.close().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            let labels: Vec<i64> = (0..71).map(|i| i64::from(71 * half + i)).collect();
            column.typed::<Int64Type>().write_batch(&labels, None, None).unwrap();
            column.close().unwrap();
            if !keys.is_empty() {
                let keys: Vec<ByteArray> = (0..71).map(|i| format!("k/{half}-{i}").into_bytes().into()).collect();
                let mut column = group.next_column().unwrap().unwrap();
                column.typed::<ByteArrayType>().write_batch(&keys, Some(&[1; 71]), None).unwrap();
                column.close().unwrap();
            }
            group.close().unwrap();
        }
        writer.close().unwrap();
    }
    let told = space.json(&[&["encode", "in/*.parquet", "-o", "out"], &MODEL[..]].concat());
    assert_eq!((&told["made"], &told["pictures"]), (&json!(2), &json!(280)), "{told}");
    let expected = expected(&space, 0..140);
    for (name, first, last) in [("plain", "00000000", "00000140"), ("keyed", "k/0-0", "k/1-69")] {
        assert_eq!(report(&space, &format!("out/{name}.json"))["without_picture"], 2);
        let rows = rows(&space.path(&format!("out/{name}.parquet")));
        assert_eq!((rows[0]["key"].as_str(), rows[139]["key"].as_str()), (Some(first), Some(last)));
        assert_eq!((&rows[0]["label"], &rows[139]["label"]), (&json!(0), &json!(140)));
        let first_code = |row: usize| rows[row]["codes"][0][0].as_u64().unwrap() as u16;
        assert_eq!(expected.len(), 140);
        for (row, expected) in expected.iter().enumerate() {
            assert_eq!(first_code(row).to_le_bytes(), expected[..2], "{name} {row}");
        }
    }
}

#[test]
fn a_shard_comes_from_a_pipe() {
    let space = Workspace::new();
    let mut args = vec!["encode", "-", "-o", "tokens/000123.parquet"];
    let ends = |args: &[&str]| {
        let mut child =
            space.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let _ = input.write_all(&zstd::encode_all(&shard(0..5)[..], 1).unwrap());
        drop(input);
        child.wait_with_output().unwrap()
    };
    assert_eq!(ends(&args).status.code(), Some(2), "without a model nothing says which");
    args.extend(MODEL);
    let output = ends(&args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = report(&space, "tokens/000123.json");
    assert_eq!((&report["pictures"], &report["input"]), (&json!(5), &json!("standard input")));
    assert!(space.path("tokens/manifest.json").is_file());
    assert!(ends(&args).status.success(), "it is there already");
    assert_eq!(space.run(&["encode", "-", "a.tar", "-o", "x"]).code, 2);
    assert_eq!(space.run(&["encode", "a.tar", "b.png", "-o", "x"]).code, 2);
}
