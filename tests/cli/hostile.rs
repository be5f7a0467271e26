//! Models, codes, recipes and pictures from strangers: refused by name, in bounded memory, with nothing overwritten.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{TINY, Workspace};

/// Address space that a refusal may use at most, in KiB.
pub const MEMORY: &str = "4000000";

/// Runs a command that should be refused without much memory or time; gives its message.
pub fn refused(space: &Workspace, args: &[&str]) -> String {
    let error = if cfg!(target_os = "linux") {
        // Seconds of computing, too.
        let limits = format!("ulimit -v {MEMORY}; ulimit -t 60; exec \"$0\" \"$@\"");
        space.fails_as(std::process::Command::new("sh").args(["-c", &limits, env!("CARGO_BIN_EXE_ksom")]).args(args))
    } else {
        space.fails(args)
    };
    assert!(error.len() < 20_000, "{error:.1000}");
    error
}

/// A safetensors file taken apart.
#[derive(Clone)]
struct Tensors {
    header: Value,
    data: Vec<u8>,
}

impl Tensors {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        Self { header, data: bytes[8 + length..].to_vec() }
    }

    fn bytes(&self) -> Vec<u8> {
        let header = self.header.to_string().into_bytes();
        [(header.len() as u64).to_le_bytes().as_slice(), &header, &self.data].concat()
    }

    /// The same with a changed header.
    fn with(&self, change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut changed = self.clone();
        change(&mut changed.header);
        changed.bytes()
    }

    /// The same with other bytes in place of a tensor's.
    fn replacing(&self, name: &str, dtype: &str, bytes: &[u8]) -> Vec<u8> {
        let (mut header, mut data) = (json!({}), Vec::new());
        for (key, entry) in self.header.as_object().unwrap() {
            if key == "__metadata__" {
                header[key] = entry.clone();
                continue;
            }
            let [start, end] = [0, 1].map(|i| entry["data_offsets"][i].as_u64().unwrap() as usize);
            let begin = data.len();
            data.extend_from_slice(if key == name { bytes } else { &self.data[start..end] });
            header[key] = entry.clone();
            header[key]["data_offsets"] = json!([begin, data.len()]);
            if key == name {
                header[key]["dtype"] = dtype.into();
            }
        }
        Self { header, data }.bytes()
    }
}

const BIAS: &str = "_decoder._conv_1.bias";

/// Every file of a folder and those below, with its bytes.
fn contents(folder: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(contents(&entry));
        } else if entry.is_file() {
            found.insert(entry.clone(), std::fs::read(&entry).unwrap());
        }
    }
    found
}

#[test]
fn weights_that_lie_are_refused() {
    let space = Workspace::new();
    space.train("run", 0);
    let weights = space.path("run/model.safetensors");
    let good = Tensors::read(&weights);
    let whole = good.bytes();
    let length = |claimed: u64| [claimed.to_le_bytes().as_slice(), &whole[8..]].concat();
    let entry = |field: &'static str, value: Value| good.with(move |header| header[BIAS][field] = value);
    // 8 values.
    let f32s = |value: f32| value.to_le_bytes().repeat(8);
    let cases = [
        ("no bytes", vec![]),
        ("a header of no length", vec![0; 8]),
        ("a header without end", length(u64::MAX)),
        ("a header longer than the file", length(whole.len() as u64)),
        ("a header cut short", length(5)),
        ("offsets out of the file", entry("data_offsets", json!([0, 1u64 << 40]))),
        ("offsets backwards", entry("data_offsets", json!([32, 0]))),
        ("overlapping tensors", entry("data_offsets", json!([0, 4]))),
        ("a shape that overflows", entry("shape", json!([1u64 << 62, 1u64 << 62]))),
        ("a shape of other size", entry("shape", json!([9]))),
        ("an unknown type", entry("dtype", "F31".into())),
        ("integers", good.replacing(BIAS, "I32", &f32s(1.0))),
        ("not a number", good.replacing(BIAS, "F32", &f32s(f32::NAN))),
        ("infinity", good.replacing(BIAS, "F32", &f32s(f32::NEG_INFINITY))),
        ("more than an f32 holds", good.replacing(BIAS, "F64", &1e300f64.to_le_bytes().repeat(8))),
        ("a tensor left out", {
            let mut header = good.header.clone();
            header.as_object_mut().unwrap().remove(BIAS);
            Tensors { header, data: good.data.clone() }.bytes()
        }),
    ];
    for (what, bytes) in cases {
        std::fs::write(&weights, bytes).unwrap();
        let before = contents(&space.path("run"));
        let error = refused(&space, &["info", "run"]);
        assert!(error.contains("model.safetensors"), "{what}: {error}");
        assert!(contents(&space.path("run")) == before, "{what}");
    }
    // Half precision is welcome, and so is what f64 holds no better than f32.
    std::fs::write(&weights, good.replacing(BIAS, "F64", &0.5f64.to_le_bytes().repeat(8))).unwrap();
    space.ok(&["info", "run"]);
}

#[test]
fn configurations_that_make_no_sense_are_refused() {
    let space = Workspace::new();
    space.train("run", 0);
    let path = space.path("run/config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let good: Value = serde_json::from_str(&text).unwrap();
    let with = |at: &str, value: Value| {
        let mut config = good.clone();
        *config.pointer_mut(at).unwrap_or_else(|| panic!("{at}")) = value;
        config.to_string()
    };
    let mut unknown = good.clone();
    unknown["surprise"] = 1.into();
    let mut huge = good.clone();
    huge["architecture"] = json!({"kind": "vqvae", "hidden": 4096, "residual_layers": 64, "residual_hidden": 4096});
    let cases = [
        ("an unknown field", unknown.to_string(), "surprise"),
        ("another version", with("/schema_version", 99.into()), "a newer ksom"),
        ("a version below 0", with("/schema_version", (-1).into()), "config.json"),
        ("no channels", with("/architecture/hidden", 0.into()), "architecture.hidden"),
        ("other channels", with("/architecture/hidden", 16.into()), "do not fit"),
        ("tensors of 86 GB", huge.to_string(), "do not fit"),
        ("a codebook of 2^36 values", with("/quantizer/dim", (1 << 20).into()), "dim"),
        ("more codes", with("/quantizer/num_codes", 32.into()), "grid"),
        ("another grid", with("/quantizer/grid", json!([3, 5])), "grid"),
        ("a decay of 1", with("/quantizer/decay", json!(1.0)), "decay"),
        ("no deviation", with("/preprocessing/normalization/std", json!([0, 1, 1])), "normalization"),
        ("not a number", text.replace("0.99", "NaN"), "config.json"),
        ("deep nesting", "[".repeat(100_000), "config.json"),
        (
            "deep nesting after the version",
            format!("{{\"schema_version\":1,\"x\":{}", "[".repeat(100_000)),
            "config.json",
        ),
        ("half a file", text[..text.len() / 2].to_string(), "config.json"),
        ("zeros", "\0".repeat(64), "config.json"),
        ("2 MiB", " ".repeat(2 << 20) + &text, "at most 1048576 bytes"),
    ];
    for (what, text, says) in cases {
        std::fs::write(&path, text).unwrap();
        let error = refused(&space, &["info", "run"]);
        assert!(error.contains("run") && error.contains(says), "{what}: {error}");
    }
    std::fs::write(&path, [0xFF, 0xFE]).unwrap();
    assert!(refused(&space, &["info", "run"]).contains("UTF-8"));
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_no_files_of_a_model() {
    let space = Workspace::new();
    space.train("run", 0);
    let weights = space.path("run/model.safetensors");
    let config = space.path("run/config.json");
    std::fs::remove_file(&weights).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &weights).unwrap();
    assert!(refused(&space, &["info", "run"]).contains("expected a file"));
    assert!(refused(&space, &["decode", "run/model.safetensors", "-o", "out"]).contains("expected a file"));
    std::fs::remove_file(&weights).unwrap();
    // Opening it would wait for ever.
    assert!(std::process::Command::new("mkfifo").arg(&weights).status().unwrap().success());
    assert!(refused(&space, &["info", "run"]).contains("expected a file"));
    std::fs::remove_file(&config).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &config).unwrap();
    assert!(refused(&space, &["info", "run"]).contains("expected a model directory"));
}

#[test]
fn codes_that_mean_nothing_are_refused() {
    let space = Workspace::new();
    let input = space.picture("a.png", 8, 12, 0);
    space.ok(&["encode", &input, "-o", "good.safetensors"]);
    let good = Tensors::read(&space.path("good.safetensors"));
    let description: Value = serde_json::from_str(good.header["__metadata__"]["ksom"].as_str().unwrap()).unwrap();
    // As given, with one value in it changed.
    let described = |at: &str, value: Value| {
        let mut changed = description.clone();
        *changed.pointer_mut(at).unwrap_or_else(|| panic!("{at}")) = value;
        good.with(|header| header["__metadata__"]["ksom"] = changed.to_string().into())
    };
    let shaped = |shape: Value| good.with(|header| header["codes"]["shape"] = shape);
    let codes = |code: i32| good.replacing("codes", "I32", &code.to_le_bytes().repeat(6));
    let cases = [
        ("a code out of the book", codes(512), "below 512, found 512"),
        ("a code below 0", codes(-1), "from 0 up, found -1"),
        ("another rank", shaped(json!([3, 2])), "rank 3"),
        ("another shape", shaped(json!([1, 2, 3])), "found 3×2"),
        ("another number of pictures", shaped(json!([2, 3, 1])), "1 pictures, found 2"),
        ("floats", good.replacing("codes", "F32", &[0; 24]), "whole numbers, found F32"),
        ("another model", described("/fingerprint", "00".into()), "another model"),
        ("another version", described("/format_version", 3.into()), "format version 1 or 2"),
        ("another size", described("/sizes/0/0", 9.into()), "codes, found"),
        ("no size", described("/sizes/0/0", 0.into()), "cannot be 0×12"),
        ("the largest size", described("/sizes/0/0", u32::MAX.into()), "cannot be"),
        ("a size below 0", described("/sizes/0/1", (-1).into()), "malformed"),
        ("two levels", described("/levels", json!(["codes_top", "codes_bottom"])), "codes_top"),
        ("a level many times", described("/levels", json!(vec!["codes"; 100_000])), "expected levels codes"),
        ("no level", described("/levels", json!([])), "expected levels codes"),
        ("more pictures than codes", described("/names", json!(vec!["a.png"; 100_000])), "100000 pictures"),
        ("fewer sizes than pictures", described("/sizes", json!([])), "expected sizes of 1 pictures, found 0"),
        ("a grid of another size", described("/grid", json!([32, 17])), "544 codes, found 512"),
        ("a grid without cells", described("/grid", json!([0])), "at least one cell"),
        ("more codes than there can be", described("/num_codes", (1u64 << 40).into()), "num_codes"),
        ("no description", good.with(|header| header["__metadata__"] = json!({})), "--model"),
        ("a description of another kind", good.with(|h| h["__metadata__"]["ksom"] = "[]".into()), "malformed"),
    ];
    let refused_as = |what: &str, bytes: &[u8], says: &str| {
        std::fs::write(space.path("bad.safetensors"), bytes).unwrap();
        let error = refused(&space, &["decode", "bad.safetensors", "-o", "out"]);
        assert!(error.contains("bad.safetensors") && error.contains(says), "{what}: {error}");
        assert!(!space.path("out").exists(), "{what}");
    };
    for (what, bytes, says) in cases {
        refused_as(what, &bytes, says);
    }
    // Compressed ones, which a few bytes may claim any number of.
    space.ok(&["encode", &input, "-o", "packed.safetensors", "--compress"]);
    let packed = Tensors::read(&space.path("packed.safetensors"));
    let described = |at: &str, value: Value| {
        let text = packed.header["__metadata__"]["ksom"].as_str().unwrap();
        let mut changed: Value = serde_json::from_str(text).unwrap();
        *changed.pointer_mut(at).unwrap_or_else(|| panic!("{at}")) = value;
        packed.with(|header| header["__metadata__"]["ksom"] = changed.to_string().into())
    };
    let holding = |bytes: &[u8]| {
        let mut changed = packed.clone();
        changed.header["codes"] = json!({"dtype": "U8", "shape": [bytes.len()], "data_offsets": [0, bytes.len()]});
        changed.data = bytes.to_vec();
        changed.bytes()
    };
    let cases = [
        ("another form", described("/coding", "ksom-mix-9".into()), "a newer ksom"),
        ("a huge picture", described("/sizes/0", json!([1u64 << 31, 1u64 << 31])), "cannot hold"),
        ("the largest picture", described("/sizes/0", json!([u32::MAX, u32::MAX])), "cannot hold"),
        ("many pictures", described("/names", json!(vec!["a"; 100_000])), "cannot hold"),
        ("a larger picture", described("/sizes/0", json!([80, 80])), "codes"),
        ("cut short", holding(&packed.data[..packed.data.len() - 4]), "codes"),
        ("no bytes", holding(&[]), "cannot hold"),
        ("bytes left over", holding(&[&packed.data[..], &[7; 99]].concat()), "damaged"),
    ];
    for (what, bytes, says) in cases {
        refused_as(what, &bytes, says);
    }
    // No pictures, in a tensor whose sides overflow when multiplied.
    let mut empty = good.clone();
    let mut nothing = description.clone();
    nothing["names"] = json!([]);
    nothing["sizes"] = json!([]);
    empty.header["__metadata__"]["ksom"] = nothing.to_string().into();
    empty.header["codes"] = json!({"dtype": "I32", "shape": [0, 1u64 << 40, 1u64 << 40], "data_offsets": [0, 0]});
    empty.data.clear();
    std::fs::write(space.path("bad.safetensors"), empty.bytes()).unwrap();
    let finished = space.run(&["decode", "bad.safetensors", "-o", "out"]);
    assert!(finished.code <= 1 && !finished.stderr.contains("panicked"), "{}", finished.stderr);
}

#[test]
fn names_in_codes_files_stay_in_the_folder() {
    let space = Workspace::new();
    let input = space.picture("a.png", 8, 8, 0);
    space.ok(&["encode", &input, "-o", "good.safetensors"]);
    let good = Tensors::read(&space.path("good.safetensors"));
    let description = good.header["__metadata__"]["ksom"].as_str().unwrap().to_string();
    for name in ["../../evil.png", "/tmp/evil.png", "..", "a/../../evil", "", "\0", "con.png"] {
        let mut changed: Value = serde_json::from_str(&description).unwrap();
        changed["names"][0] = name.into();
        let bytes = good.with(|header| header["__metadata__"]["ksom"] = changed.to_string().into());
        std::fs::write(space.path("bad.safetensors"), bytes).unwrap();
        space.ok(&["decode", "bad.safetensors", "-o", "deep/er/out", "--overwrite"]);
        assert_eq!(std::fs::read_dir(space.path("deep")).unwrap().count(), 1, "{name:?}");
        assert_eq!(std::fs::read_dir(space.path("deep/er")).unwrap().count(), 1, "{name:?}");
        let left = std::fs::read_dir(space.path(".")).unwrap().count();
        assert_eq!(left, 4, "{name:?}");
    }
}

#[test]
fn pictures_that_claim_too_much_are_refused() {
    let space = Workspace::new();
    let side = 65_535u32;
    let bmp = {
        let header = [40, side, side, 1 | 24 << 16, 0, 0, 0, 0, 0, 0].map(u32::to_le_bytes).concat();
        [b"BM".as_slice(), &[54, 0, 54].map(u32::to_le_bytes).concat(), &header].concat()
    };
    let gif =
        [b"GIF89a".as_slice(), &[0xFF; 4], &[0x80, 0, 0, 0, 0, 0, 255, 255, 255], b",\0\0\0\0", &[0xFF; 4], b"\0\x02"]
            .concat();
    let frame = [8, 0xFF, 0xFF, 0xFF, 0xFF, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0];
    let scan = [0xFF, 0xDA, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 0x3F, 0, 0xFF, 0xD9];
    let jpeg = [[0xFF, 0xD8, 0xFF, 0xC0, 0, 17].as_slice(), &frame, &scan].concat();
    let tag = |tag: u16, value: u32| [&tag.to_le_bytes()[..], &[4, 0, 1, 0, 0, 0], &value.to_le_bytes()].concat();
    let tags = [(256, side), (257, side), (258, 8), (259, 1), (262, 1), (273, 200), (278, side), (279, u32::MAX)];
    let directory: Vec<u8> = tags.iter().flat_map(|&(name, value)| tag(name, value)).collect();
    let tiff = [b"II*\0\x08\0\0\0\x08\0".as_slice(), &directory, &[0; 256]].concat();
    for (name, bytes) in [("a.bmp", bmp), ("a.gif", gif), ("a.jpg", jpeg), ("a.tiff", tiff), ("zero.png", vec![])] {
        std::fs::write(space.path(name), bytes).unwrap();
        for args in [&["encode", name, "-o", "c.safetensors"][..], &["reconstruct", name, "-o", "out"]] {
            let error = refused(&space, args);
            assert!(error.contains(name), "{error}");
        }
        assert!(!space.path("c.safetensors").exists());
        assert!(std::fs::read_dir(space.path("out")).unwrap().next().is_none(), "{name}");
    }
}

#[test]
fn trainings_that_fit_no_memory_are_refused() {
    if !Path::new("/proc/meminfo").exists() {
        eprintln!("skipped: this system does not tell how much memory there is");
        return;
    }
    let space = Workspace::new();
    let data = space.data(4);
    for set in [
        &["size=[65532,65532]"][..],
        &["batch_size=1048576", "size=[4096,4096]"],
        &["batch_size=1000000000000000"],
        &["hidden=4096", "residual_layers=64", "residual_hidden=4096"],
    ] {
        let set: Vec<&str> = set.iter().flat_map(|entry| ["--set", entry]).collect();
        let args = [&["train", "--data", data, "--out", "run", "--steps", "1"], &TINY[..], &set].concat();
        let error = refused(&space, &args);
        assert!(error.contains("GB") || error.contains("at most 1048576"), "{error}");
        assert!(!space.path("run").exists());
    }
}

#[test]
fn recipes_that_make_no_sense_are_refused() {
    let space = Workspace::new();
    let data = space.data(4);
    let good = {
        space.train("run", 0);
        std::fs::read_to_string(space.path("run/recipe.toml")).unwrap()
    };
    let cases = [
        ("deep nesting", format!("x = {}", "[".repeat(100_000))),
        ("deep tables", format!("[{}]", vec!["a"; 10_000].join("."))),
        ("half a file", good[..good.len() / 2].to_string()),
        ("an unknown field", format!("surprise = 1\n{good}")),
        ("a field twice", format!("{good}\nlr = 1.0\nlr = 2.0\n")),
        ("a batch of 2^63", good.replace("batch_size = 4", "batch_size = 9223372036854775807")),
        ("no steps", good.replace("steps = 3", "steps = 0")),
        ("half a step", good.replace("steps = 3", "steps = 0.5")),
        ("not a number", good.replace("decay = 0.99", "decay = nan")),
        ("zeros", "\0".repeat(100)),
        ("a line of 1 MB", format!("x = [{}", "1,".repeat(500_000))),
        ("2 MiB", "# \n".repeat(1 << 20)),
    ];
    for (what, text) in cases {
        std::fs::write(space.path("bad.toml"), text).unwrap();
        let error = refused(&space, &["train", "--recipe", "bad.toml", "--data", data, "--out", "new"]);
        assert!(error.contains("bad.toml"), "{what}: {error}");
        assert!(!space.path("new").exists(), "{what}");
    }
}
