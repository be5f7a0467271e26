//! export: models as ONNX files. What the graphs compute is tested where they are made, and against onnxruntime by
//! scripts/onnx_check.py.

use std::path::Path;

use crate::support::Workspace;

const FILES: [&str; 2] = ["encoder.onnx", "decoder.onnx"];

fn read(space: &Workspace, folder: &str) -> [Vec<u8>; 2] {
    FILES.map(|file| std::fs::read(space.path(folder).join(file)).unwrap())
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_model_becomes_two_files() {
    let space = Workspace::new();
    space.train("runs/mine", 3);
    let report = space.json(&["export", "runs/mine", "--onnx", "out/onnx"]);
    let info = space.json(&["info", "runs/mine"]);
    assert_eq!(report["fingerprint"], info["fingerprint"]);
    assert_eq!((&report["opset"], &report["ir_version"], &report["downsample"]), (&17.into(), &8.into(), &4.into()));
    assert_eq!((&report["weights"], &report["computes_in"]), (&"f32".into(), &"f32".into()));
    let written = read(&space, "out/onnx");
    for ((bytes, name), told) in written.iter().zip(FILES).zip(report["files"].as_array().unwrap()) {
        assert_eq!(told["bytes"], bytes.len());
        assert_eq!(told["sha256"], ksom_vqvae::system::sha256(bytes));
        assert_eq!(Path::new(told["path"].as_str().unwrap()), Path::new("out/onnx").join(name));
        for text in [info["fingerprint"].as_str().unwrap(), "grid_layout", "inside: pixels"] {
            assert!(holds(bytes, text), "{name}: {text}");
        }
        // Of a path on this machine the last part alone.
        assert!(holds(bytes, "ksom model mine") && !holds(bytes, "runs"), "{name}");
    }
    assert_eq!(std::fs::read_dir(space.path("out/onnx")).unwrap().count(), 2);

    // The same again is the same, and a model of the Hub's form goes by its name.
    space.ok(&["export", "runs/mine", "--onnx", "again", "--quiet"]);
    assert!(read(&space, "again") == written);
    let text = space.ok(&["export", "cifar10-ksom", "--onnx", "zoo"]).stdout;
    assert!(text.contains("encoder.onnx") && text.contains("opset 17"), "{text}");
    assert!(holds(&read(&space, "zoo")[0], "ksom model cifar10-ksom"));
}

#[test]
fn weights_and_computing_go_to_f16_and_normalization_outside() {
    let space = Workspace::new();
    space.train("run", 3);
    space.ok(&["export", "run", "--onnx", "whole"]);
    let half = space.json(&["export", "run", "--onnx", "half", "--half"]);
    assert_eq!((&half["weights"], &half["computes_in"]), (&"f16".into(), &"f32".into()));
    for also in [&["--half"][..], &[]] {
        let args = [&["export", "run", "--onnx", "all", "--dtype", "f16", "--overwrite"], also].concat();
        let all = space.json(&args);
        assert_eq!((&all["weights"], &all["computes_in"]), (&"f16".into(), &"f16".into()));
    }
    let size = |folder: &str| read(&space, folder).map(|bytes| bytes.len());
    assert!(size("half")[1] < size("whole")[1] && size("all")[1] < size("whole")[1]);
    let outside = space.json(&["export", "run", "--onnx", "outside", "--no-normalization"]);
    assert_eq!(outside["normalization"], false);
    assert!(holds(&read(&space, "outside")[0], "outside: pixels are (x - mean) / std"));
}

#[test]
fn nothing_is_replaced_unasked_and_nothing_is_left_half() {
    let space = Workspace::new();
    space.train("run", 3);
    space.train("other", 4);
    space.ok(&["export", "run", "--onnx", "out"]);
    let before = read(&space, "out");
    let error = space.fails(&["export", "other", "--onnx", "out"]);
    assert!(error.contains("encoder.onnx exists already") && error.contains("--overwrite"), "{error}");
    assert!(read(&space, "out") == before);
    std::fs::write(space.path("out/notes.txt"), "mine").unwrap();
    space.ok(&["export", "other", "--onnx", "out", "--overwrite"]);
    assert!(read(&space, "out") != before);
    assert_eq!(std::fs::read(space.path("out/notes.txt")).unwrap(), b"mine");

    // Into a folder with other files, such as the model's own; one file of the two in the way is enough.
    space.ok(&["export", "run", "--onnx", "run"]);
    assert!(read(&space, "run") == before);
    std::fs::create_dir_all(space.path("blocked/decoder.onnx")).unwrap();
    for more in [&[][..], &["--overwrite"]] {
        let error = space.fails(&[&["export", "run", "--onnx", "blocked"], more].concat());
        assert!(error.contains("decoder.onnx"), "{error}");
        assert!(!space.path("blocked/encoder.onnx").exists());
    }
    std::fs::write(space.path("file"), "a file").unwrap();
    for (args, says) in [
        (["export", "run", "--onnx", "file"], "file"),
        (["export", "run", "--onnx", "file/below"], "file"),
        (["export", "nothing", "--onnx", "new"], "\"nothing\" is neither a folder"),
        (["export", "data", "--onnx", "new"], "data: expected a model directory"),
    ] {
        let error = space.fails(&args);
        assert!(error.contains(says), "{args:?}: {error}");
        assert!(!space.path("new").exists(), "{args:?}");
    }
    assert_eq!(std::fs::read(space.path("file")).unwrap(), b"a file");
}
