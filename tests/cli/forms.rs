//! Codes that others made, and files that are not what their names say.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::hostile::refused;
use crate::support::{Workspace, pixels};

/// A `.npy` file of little-endian numbers.
fn npy(descr: &str, fortran: bool, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let shape: String = shape.iter().map(|side| format!("{side},")).collect();
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({shape}), }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// A `.npy` file taken apart: type, shape, and the numbers as bytes.
fn parts(path: &Path) -> (String, String, Vec<u8>) {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00", "{}", path.display());
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + length]).unwrap();
    let between = |from: &str, to: &str| header.split_once(from).unwrap().1.split_once(to).unwrap().0.to_string();
    (between("'descr': '", "'"), between("'shape': (", ")"), bytes[10 + length..].to_vec())
}

/// A safetensors file with these tensors and metadata.
fn tensors(path: &Path, tensors: &[(&str, Dtype, &[usize], Vec<u8>)], metadata: Option<(&str, &str)>) {
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap()));
    let metadata = metadata.map(|(key, value)| [(key.to_string(), value.to_string())].into());
    std::fs::write(path, safetensors::serialize(views, metadata).unwrap()).unwrap();
}

fn numbers<const N: usize>(codes: &[u32], each: impl Fn(u32) -> [u8; N]) -> Vec<u8> {
    codes.iter().flat_map(|&code| each(code)).collect()
}

/// The pictures below a folder, by name.
fn decoded(space: &Workspace, folder: &str) -> Vec<image::RgbImage> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(space.path(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| pixels(file)).collect()
}

#[test]
fn codes_that_a_program_has_sampled_decode_in_every_form() {
    let space = Workspace::new();
    // Two pictures of 5 rows of 7 codes.
    let codes: Vec<u32> = (0..70).map(|i| i * 37 % 512).collect();
    let i64s = numbers(&codes, |code| i64::from(code).to_le_bytes());
    let fortran: Vec<u32> = (0..70).map(|at| codes[at % 2 * 35 + at / 2 % 5 * 7 + at / 10]).collect();
    std::fs::write(space.path("c.npy"), npy("<i8", false, &[2, 5, 7], &i64s)).unwrap();
    space.ok(&["decode", "c.npy", "-o", "expected", "--model", "cifar10-ksom"]);
    let expected = decoded(&space, "expected");
    assert_eq!((expected.len(), expected[0].dimensions()), (2, (28, 20)));
    assert!(expected[0] != expected[1]);

    let big = numbers(&codes, |code| (code as u16).to_be_bytes());
    let forms = [
        ("i4.npy", npy("<i4", false, &[2, 5, 7], &numbers(&codes, u32::to_le_bytes)), None),
        ("big.npy", npy(">u2", false, &[2, 5, 7], &big), None),
        ("fortran.npy", npy("<u8", true, &[2, 5, 7], &numbers(&fortran, |code| u64::from(code).to_le_bytes())), None),
        ("channel.npy", npy("<i8", false, &[2, 1, 5, 7], &i64s), None),
        ("rows.npy", npy("<i8", false, &[2, 35], &i64s), Some("28x20")),
        ("flat.npy", npy("<i8", false, &[70], &i64s), Some("28x20")),
    ];
    for (name, bytes, size) in forms {
        std::fs::write(space.path(name), bytes).unwrap();
        let size: Vec<&str> = size.iter().flat_map(|size| ["--size", size]).collect();
        space.ok(&[&["decode", name, "-o", &format!("out-{name}"), "--model", "cifar10-ksom"], &size[..]].concat());
        assert!(decoded(&space, &format!("out-{name}")) == expected, "{name}");
    }
    // One picture, smaller than its codes cover.
    let one = npy("<i8", false, &[5, 7], &i64s[..35 * 8]);
    std::fs::write(space.path("one.npy"), one).unwrap();
    space.ok(&["decode", "one.npy", "-o", "one", "--model", "cifar10-ksom", "--size", "26x17"]);
    assert!(decoded(&space, "one")[0] == image::imageops::crop_imm(&expected[0], 0, 0, 26, 17).to_image());

    // safetensors without ksom's metadata, whatever the tensor is called.
    for name in ["codes", "sampled"] {
        tensors(&space.path("bare.safetensors"), &[(name, Dtype::I64, &[2, 5, 7], i64s.clone())], None);
        space.ok(&["decode", "bare.safetensors", "-o", name, "-m", "cifar10-ksom"]);
        assert!(decoded(&space, name) == expected, "{name}");
    }

    // Through a pipe.
    let mut command = space.command(&["decode", "-", "-o", "piped", "--model", "cifar10-ksom"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&std::fs::read(space.path("c.npy")).unwrap()).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(decoded(&space, "piped") == expected);
}

#[test]
fn codes_of_others_that_do_not_fit_are_refused_by_name() {
    let space = Workspace::new();
    let write = |name: &str, descr: &str, shape: &[usize], data: &[u8]| {
        std::fs::write(space.path(name), npy(descr, false, shape, data)).unwrap();
    };
    let i64s = |codes: &[i64]| codes.iter().flat_map(|code| code.to_le_bytes()).collect::<Vec<u8>>();
    write("good.npy", "<i8", &[2, 2], &i64s(&[1, 2, 3, 4]));
    write("flat.npy", "<i8", &[4], &i64s(&[1, 2, 3, 4]));
    write("negative.npy", "<i8", &[2, 2], &i64s(&[1, -1, 3, 4]));
    write("large.npy", "<i8", &[2, 2], &i64s(&[1, 512, 3, 4]));
    write("larger.npy", "<i8", &[2, 2], &i64s(&[1, 1 << 40, 3, 4]));
    write("float.npy", "<f4", &[2, 2], &[0; 16]);
    write("lie.npy", "<i8", &[1 << 40, 1 << 40], &[0; 16]);
    write("empty.npy", "<i8", &[0, 4, 4], &[]);
    std::fs::write(space.path("other.npy"), "hello").unwrap();
    let four = numbers(&[1, 2, 3, 4], u32::to_le_bytes);
    tensors(&space.path("float.safetensors"), &[("codes", Dtype::F32, &[2, 2], four)], None);
    let cases: [(&[&str], &str); 11] = [
        (&["good.npy"], "--model"),
        (&["flat.npy", "-m", "cifar10-ksom"], "--size"),
        (&["flat.npy", "-m", "cifar10-ksom", "--size", "12x8"], "a picture of 12×8 has 3×2 codes"),
        (&["negative.npy", "-m", "cifar10-ksom"], "found -1"),
        (&["large.npy", "-m", "cifar10-ksom"], "below 512, found 512"),
        (&["larger.npy", "-m", "cifar10-ksom"], "found 1099511627776"),
        (&["float.npy", "-m", "cifar10-ksom"], "whole numbers"),
        (&["lie.npy", "-m", "cifar10-ksom"], "more bytes than there are"),
        (&["empty.npy", "-m", "cifar10-ksom"], "no codes"),
        (&["good.npy", "-m", "photos-ksom-vqvae2"], "codes_top, codes_bottom"),
        (&["float.safetensors", "-m", "cifar10-ksom"], "whole numbers, found F32"),
    ];
    for (args, says) in cases {
        let error = refused(&space, &[&["decode"], args, &["-o", "out"]].concat());
        assert!(error.contains(says), "{args:?}: {error}");
        assert!(!space.path("out").exists(), "{args:?}");
    }
    let error = refused(&space, &["decode", "other.npy", "-o", "out", "-m", "cifar10-ksom"]);
    assert!(error.contains("other.npy") && error.contains("a text file"), "{error}");
    let finished = space.run(&["decode", "good.npy", "-o", "-", "-m", "cifar10-ksom"]);
    assert_eq!(finished.code, 2, "{}", finished.stderr);
    assert!(finished.stderr.contains("standard output") && !space.path("-").exists(), "{}", finished.stderr);
}

#[test]
fn codes_take_the_fewest_bits_and_older_files_still_decode() {
    let space = Workspace::new();
    let input = space.picture("a.png", 64, 48, 1);
    let report = space.json(&["encode", &input, "-o", "c.safetensors", "--npy", "--model", "cifar10-ksom"]);
    assert_eq!(report["bits_per_pixel"], 0.5625);
    let bytes = std::fs::read(space.path("c.safetensors")).unwrap();
    let on_disk = 8.0 * bytes.len() as f64 / (64.0 * 48.0);
    assert!((report["file_bits_per_pixel"].as_f64().unwrap() - on_disk).abs() < 1e-12);
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let codes = file.tensor("codes").unwrap();
    assert_eq!((codes.dtype(), codes.shape()), (Dtype::U16, &[1, 12, 16][..]));
    let (descr, shape, numpy) = parts(&space.path("c.codes.npy"));
    assert_eq!((descr.as_str(), shape.as_str(), &numpy[..]), ("<u2", "1, 12, 16,", codes.data()));
    // Where a code lies is said in the file.
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let description = header.metadata().as_ref().unwrap()["ksom"].clone();
    assert!(description.contains("(k % 32, k // 32) on a grid of 32×16"), "{description}");
    space.ok(&["decode", "c.safetensors", "-o", "new"]);

    // A file of the first version: i32, and sizes beside each name.
    let i32s: Vec<u8> = codes.data().as_chunks::<2>().0.iter().flat_map(|code| [code[0], code[1], 0, 0]).collect();
    let value: serde_json::Value = serde_json::from_str(&description).unwrap();
    let first = serde_json::json!({
        "format_version": 1, "model": "cifar10-ksom", "fingerprint": value["fingerprint"], "levels": ["codes"],
        "images": [{"name": "a.png", "width": 64, "height": 48}],
    });
    let shape = [1, 12, 16];
    let write = |name: &str, dtype, bytes: &[u8], description: &str| {
        tensors(&space.path(name), &[("codes", dtype, &shape, bytes.to_vec())], Some(("ksom", description)));
    };
    write("first.safetensors", Dtype::I32, &i32s, &first.to_string());
    // What torch makes of codes: int64.
    let wide: Vec<u8> = i32s.as_chunks::<4>().0.iter().flat_map(|code| [&code[..], &[0; 4]].concat()).collect();
    write("torch.safetensors", Dtype::I64, &wide, &description);
    for name in ["first", "torch"] {
        space.ok(&["decode", &format!("{name}.safetensors"), "-o", name]);
        assert!(decoded(&space, name) == decoded(&space, "new"), "{name}");
    }
    let mut negative = wide;
    negative[..8].fill(0xFF);
    write("negative.safetensors", Dtype::I64, &negative, &description);
    let error = refused(&space, &["decode", "negative.safetensors", "-o", "out"]);
    assert!(error.contains("found -1"), "{error}");
    let mut unsigned = codes.data().to_vec();
    unsigned[..2].fill(0xFF);
    write("unsigned.safetensors", Dtype::U16, &unsigned, &description);
    let error = refused(&space, &["decode", "unsigned.safetensors", "-o", "out"]);
    assert!(error.contains("found 65535 (-1 as a number of 16 bits)"), "{error}");

    // Of a codebook of 16, a byte each.
    space.train("run", 0);
    space.ok(&["encode", &input, "-o", "small.safetensors", "--model", "run"]);
    let bytes = std::fs::read(space.path("small.safetensors")).unwrap();
    let small = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(small.tensor("codes").unwrap().dtype(), Dtype::U8);
}

#[test]
fn compressed_codes_come_back_as_they_were() {
    let space = Workspace::new();
    for (name, width, height) in [("p/a.png", 96, 64), ("p/b.png", 40, 120), ("p/c.png", 31, 17)] {
        space.picture(name, width, height, width);
    }
    for model in ["photos-ksom", "photos-ksom-vqvae2"] {
        let plain = space.json(&["encode", "p", "-o", "plain.safetensors", "--model", model]);
        let packed = space.json(&["encode", "p", "-o", "packed.safetensors", "--model", model, "--compress"]);
        assert_eq!(plain["bits_per_pixel"], packed["bits_per_pixel"]);
        assert!(packed["bytes"].as_u64() < plain["bytes"].as_u64(), "{model}: {packed} {plain}");
        for name in ["plain", "packed"] {
            let out = format!("{model}-{name}");
            space.ok(&["decode", &format!("{name}.safetensors"), "-o", &out, "--model", model]);
        }
        let out = |name: &str| decoded(&space, &format!("{model}-{name}"));
        assert!(out("plain") == out("packed"), "{model}");
    }
    let finished = space.run(&["encode", "p", "-o", "x.npy", "--compress"]);
    assert_eq!(finished.code, 2, "{}", finished.stderr);
}

#[test]
fn arrays_of_pictures_of_several_sizes_go_both_ways() {
    let space = Workspace::new();
    for (name, width, height) in [("p/a.png", 24, 16), ("p/b.png", 9, 30), ("p/c.png", 31, 17)] {
        space.picture(name, width, height, width);
    }
    for (model, files) in
        [("photos-ksom", &["c.npy"][..]), ("photos-ksom-vqvae2", &["c.codes_top.npy", "c.codes_bottom.npy"])]
    {
        let report = space.json(&["encode", "p", "-o", "c.npy", "--model", model]);
        let written: Vec<&str> = report["npy"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(written, [files, &["c.sizes.npy"]].concat());
        let (descr, shape, sizes) = parts(&space.path("c.sizes.npy"));
        assert_eq!((descr.as_str(), shape), ("<u4", format!("3, {},", 2 + 2 * files.len())));
        assert_eq!(sizes[..8], numbers(&[24, 16], u32::to_le_bytes)[..]);
        if let [file] = files {
            // 6×4, 3×8 and 8×5 codes, all in a row.
            assert_eq!(parts(&space.path(file)).1, format!("{},", 24 + 24 + 40));
        }
        let args =
            [&["decode"], files, &["--sizes", "c.sizes.npy", "-o", "arrays", "--overwrite", "-m", model]].concat();
        space.ok(&args);
        space.ok(&["encode", "p", "-o", "c.safetensors", "--model", model]);
        space.ok(&["decode", "c.safetensors", "-o", "whole", "--overwrite", "--model", model]);
        assert!(decoded(&space, "arrays") == decoded(&space, "whole"), "{model}");
        let mut swapped = files.to_vec();
        swapped.reverse();
        if swapped != files {
            let args = [&["decode"], &swapped[..], &["--sizes", "c.sizes.npy", "-o", "out", "-m", model]].concat();
            refused(&space, &args);
        }
    }
    // Of one size, one array of three axes, and nothing beside it.
    let report = space.json(&["encode", "p", "-o", "u.npy", "--size", "32x24"]);
    assert_eq!(report["npy"], serde_json::json!(["u.npy"]));
    assert_eq!(parts(&space.path("u.npy")).1, "3, 6, 8,");
    let finished = space.run(&["encode", "-", "-o", "c.safetensors"]);
    assert!(finished.code == 2 && finished.stderr.contains("standard input"), "{}", finished.stderr);
    for (name, says) in [("c.npz", ".npy"), ("c.pt", ".npy"), ("c.png", ".npy"), ("-", "standard output")] {
        let finished = space.run(&["encode", "p", "-o", name]);
        assert_eq!(finished.code, 2, "{name}: {}", finished.stderr);
        assert!(finished.stderr.contains(says) && !space.path(name).exists(), "{name}: {}", finished.stderr);
    }
}

#[test]
fn pictures_of_any_size_become_one_uniform_set() {
    let space = Workspace::new();
    for (name, width, height) in [("p/a.png", 64, 48), ("p/b.png", 30, 90)] {
        space.picture(name, width, height, width);
    }
    let sizes = |args: &[&str]| {
        space.ok(&[&["encode", "p", "-o", "c.safetensors", "--model", "cifar10-ksom"], args].concat());
        let report = space.json(&["decode", "c.safetensors", "-o", "out", "--overwrite"]);
        let each = report["pictures"].as_array().unwrap().iter();
        each.map(|picture| (picture["width"].clone(), picture["height"].clone())).collect::<Vec<_>>()
    };
    let all = |width: u32, height: u32| vec![(width.into(), height.into()); 2];
    assert_eq!(sizes(&["--size", "32x16"]), all(32, 16));
    assert_eq!(sizes(&["--size", "32x16", "--resize", "shorter-side"]), all(32, 16));
    assert_eq!(sizes(&["--size", "40x40", "--resize", "shorter-side", "--crop", "32x24"]), all(32, 24));
    assert_eq!(sizes(&["--crop", "20x24"]), all(20, 24));
    // The middle at its own scale: what is left of the picture's own pixels.
    space.ok(&["encode", "p/a.png", "-o", "crop.npy", "--crop", "32x32", "--model", "cifar10-ksom"]);
    image::imageops::crop_imm(&pixels(&space.path("p/a.png")), 16, 8, 32, 32)
        .to_image()
        .save(space.path("m.png"))
        .unwrap();
    space.ok(&["encode", "m.png", "-o", "middle.npy", "--model", "cifar10-ksom"]);
    assert_eq!(parts(&space.path("crop.npy")), parts(&space.path("middle.npy")));
    let error = space.fails(&["encode", "p", "-o", "c.safetensors", "--crop", "65x10"]);
    assert!(error.contains("a.png") && error.contains("65"), "{error}");
}

#[test]
fn class_folders_stay_folders() {
    let space = Workspace::new();
    for (name, seed) in [("f/cat/0000.png", 1), ("f/dog/0000.png", 2), ("f/cat/more/x.png", 3)] {
        space.picture(name, 16, 16, seed);
    }
    space.ok(&["encode", "f", "-o", "o.safetensors"]);
    space.ok(&["decode", "o.safetensors", "-o", "d"]);
    space.ok(&["reconstruct", "f", "-o", "r"]);
    for name in ["cat/0000.png", "dog/0000.png", "cat/more/x.png"] {
        assert!(pixels(&space.path("d").join(name)) == pixels(&space.path("r").join(name)), "{name}");
    }
    let error = space.fails(&["decode", "o.safetensors", "-o", "d"]);
    assert!(error.contains("exists already"), "{error}");
}

#[test]
fn files_are_called_what_they_are_wherever_they_are_opened() {
    let space = Workspace::new();
    space.train("model", 0);
    let weights = space.path("model/model.safetensors");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1588362\n";
    let page = "<!DOCTYPE html>\n<html><head><title>Log in</title></head></html>";
    let array = npy("<i4", false, &[1], &[1, 0, 0, 0]);
    let kinds: [(&[u8], &str); 4] = [
        (pointer.as_bytes(), "Git LFS pointer to a file of 1588362 bytes"),
        (page.as_bytes(), "a web page"),
        (&array, "NumPy array"),
        (b"", "an empty file"),
    ];
    let input = space.picture("a.png", 8, 8, 0);
    for (bytes, says) in kinds {
        std::fs::write(&weights, bytes).unwrap();
        std::fs::write(space.path("w.pth"), bytes).unwrap();
        std::fs::write(space.path("c.safetensors"), bytes).unwrap();
        for args in [
            &["info", "model"][..],
            &["encode", &input, "-o", "o.safetensors", "-m", "model"],
            &["convert", "w.pth", "new"],
            &["info", "w.pth"],
            &["decode", "c.safetensors", "-o", "out"],
        ] {
            let error = refused(&space, args);
            let is_codes = args[0] == "decode" && says == "NumPy array";
            assert!(is_codes || error.contains(says), "{args:?}: {error}");
        }
    }
    assert!(refused(&space, &["info", "model"]).contains("model.safetensors"));
    // Models of others, by their configuration and by the names in them.
    std::fs::write(space.path("model/config.json"), r#"{"_class_name": "VQModel", "act_fn": "silu"}"#).unwrap();
    assert!(refused(&space, &["info", "model"]).contains("a model of diffusers (VQModel)"));
    let names = ["encoder.down.0.block.0.conv1.weight", "decoder.up.0.x", "quantize.embedding.weight"];
    let vqgan: Vec<_> = names.iter().map(|name| (*name, Dtype::F32, &[1usize][..], vec![0; 4])).collect();
    tensors(&space.path("vqgan.safetensors"), &vqgan, None);
    assert!(refused(&space, &["convert", "vqgan.safetensors", "new"]).contains("a VQGAN checkpoint"));
    assert!(!space.path("new").exists());
}
