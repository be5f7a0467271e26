//! convert: checkpoints as training programs leave them, made here as `torch.save` makes them.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::Path;

use safetensors::SafeTensors;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::hostile::refused;
use crate::support::Workspace;

/// The tensors of a model, f32: shape and bytes.
type State = BTreeMap<String, (Vec<usize>, Vec<u8>)>;

fn state(path: &Path) -> State {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let entry = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        (name, (view.shape().to_vec(), view.data().to_vec()))
    };
    file.tensors().into_iter().map(entry).collect()
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn int(value: i32) -> Vec<u8> {
    [b"J", &value.to_le_bytes()[..]].concat()
}

fn float(value: f64) -> Vec<u8> {
    [b"G", &value.to_be_bytes()[..]].concat()
}

fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<u8> = entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [b"}(", &items[..], b"u"].concat()
}

/// `numpy.int64(value)`, as protocol 2 has it.
fn numpy_int(value: i64) -> Vec<u8> {
    let bytes: String = value.to_le_bytes().iter().map(|&byte| char::from(byte)).collect();
    [
        b"cnumpy._core.multiarray\nscalar\ncnumpy\ndtype\n".to_vec(),
        text("i8"),
        b"\x89\x88\x87R(K\x03".to_vec(),
        text("<"),
        b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbc_codecs\nencode\n".to_vec(),
        text(&bytes),
        text("latin1"),
        b"\x86R\x86R".to_vec(),
    ]
    .concat()
}

/// A checkpoint: what `structure` makes of the pickled weights, whose names `rename` changes.
fn pth(state: &State, rename: impl Fn(&str) -> String, structure: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    let tuple = |values: &[usize]| {
        let items: Vec<u8> = values.iter().flat_map(|&value| int(value as i32)).collect();
        [b"(", &items[..], b"t"].concat()
    };
    let tensor = |number: usize, shape: &[usize]| {
        let strides: Vec<usize> = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
        let storage = [text("storage"), b"ctorch\nFloatStorage\n".to_vec(), text(&number.to_string()), text("cpu")];
        [
            b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
            storage.concat(),
            int(shape.iter().product::<usize>() as i32),
            b"tQJ\0\0\0\0".to_vec(),
            tuple(shape),
            tuple(&strides),
            b"\x89)tR".to_vec(),
        ]
        .concat()
    };
    let weights: Vec<(String, Vec<u8>)> =
        state.iter().enumerate().map(|(i, (name, (shape, _)))| (rename(name), tensor(i, shape))).collect();
    let weights: Vec<(&str, Vec<u8>)> = weights.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let pickle = [b"\x80\x02", &structure(dict(&weights))[..], b"."].concat();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    zip.start_file("archive/data.pkl", stored).unwrap();
    zip.write_all(&pickle).unwrap();
    for (i, (_, bytes)) in state.values().enumerate() {
        zip.start_file(format!("archive/data/{i}"), stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The arguments that the paper's code records about the smallest model of the tests.
fn arguments(hidden: Vec<u8>) -> Vec<u8> {
    let entry = |name: &'static str, value: Vec<u8>| (name, value);
    dict(&[
        entry("task", text("vq_vae")),
        entry("vq_vae.num_hiddens", hidden),
        entry("vq_vae.num_residual_layers", int(1)),
        entry("vq_vae.num_residual_hiddens", int(4)),
        entry("vq_vae.num_embeddings", int(16)),
        entry("vq_vae.embedding_dim", int(8)),
        entry("vq_vae.grid_dim", int(2)),
        entry("vq_vae.quantizer", text("hard_som")),
        entry("vq_vae.neihborhood", text("hard")),
        entry("vq_vae.count_unit", float(0.1)),
        entry("vq_vae.gaussaian_base", float(10.0)),
        entry("vq_vae.decay", float(0.99)),
        entry("vq_vae.commitment_cost", float(0.25)),
        entry("vq_vae.magic_counter_init", float(1.0)),
        entry("vq_vae.som_cost", float(1.0)),
    ])
}

#[test]
fn checkpoints_of_every_form_become_models() {
    let space = Workspace::new();
    space.train("run", 0);
    let fingerprint = space.json(&["info", "run"])["fingerprint"].clone();
    let state = state(&space.path("run/model.safetensors"));
    let papers = |hidden: Vec<u8>| {
        move |weights| dict(&[("model", weights), ("run_invariants", dict(&[("args", arguments(hidden.clone()))]))])
    };
    let alone = |weights: Vec<u8>| weights;
    let lightning = |weights| dict(&[("epoch", int(3)), ("state_dict", weights), ("optimizer_states", b"]".to_vec())]);
    let prefixed = |prefix: &'static str| move |name: &str| format!("{prefix}{name}");
    let inside = |name: &str| name.replacen('.', "._orig_mod.", 1);
    let configured = ["--config", "run"];
    let cases: [(&str, Vec<u8>, &[&str]); 10] = [
        ("ok", pth(&state, str::to_string, papers(int(8))), &[]),
        ("module", pth(&state, prefixed("module."), papers(int(8))), &[]),
        ("compiled", pth(&state, prefixed("_orig_mod."), papers(int(8))), &[]),
        ("both", pth(&state, prefixed("_orig_mod.module."), papers(int(8))), &[]),
        ("inside", pth(&state, inside, papers(int(8))), &[]),
        ("numpy", pth(&state, str::to_string, papers(numpy_int(8))), &[]),
        ("lightning", pth(&state, prefixed("model.net."), lightning), &configured),
        ("bare", pth(&state, str::to_string, alone), &configured),
        ("config", pth(&state, prefixed("module."), alone), &["--config", "run/config.json"]),
        ("recipe", pth(&state, str::to_string, alone), &["--recipe", "run/recipe.toml"]),
    ];
    for (name, bytes, options) in cases {
        let file = format!("{name}.pth");
        std::fs::write(space.path(&file), bytes).unwrap();
        let report = space.json(&[&["convert", &file, name], options].concat());
        assert_eq!(report["fingerprint"], fingerprint, "{name}");
        assert!(self::state(&space.path(name).join("model.safetensors")) == state, "{name}");
        assert_eq!(report["assumed"], options.is_empty(), "{name}: {report}");
    }

    let error = refused(&space, &["convert", "bare.pth", "new"]);
    assert!(error.contains("bare weights") && error.contains("--config") && error.contains("--recipe"), "{error}");
    let error = refused(&space, &["convert", "bare.pth", "new", "--recipe", "cifar10"]);
    assert!(error.contains("do not fit"), "{error}");
    let two = pth(&state, str::to_string, |weights| dict(&[("generator", weights)]));
    std::fs::write(space.path("other.pth"), two).unwrap();
    let error = refused(&space, &["convert", "other.pth", "new", "--config", "run"]);
    assert!(error.contains("a dictionary of generator") && error.contains("state_dict"), "{error}");
    assert!(!space.path("new").exists());
}

#[test]
fn exported_weights_come_back() {
    let space = Workspace::new();
    space.train("run", 0);
    space.ok(&["convert", "run", "w.safetensors"]);
    space.ok(&["convert", "w.safetensors", "back"]);
    for file in ["config.json", "model.safetensors"] {
        let read = |folder: &str| std::fs::read(space.path(folder).join(file)).unwrap();
        assert!(read("back") == read("run"), "{file}");
    }
    // The same bytes every time.
    space.ok(&["convert", "run", "again.safetensors"]);
    let read = |file: &str| std::fs::read(space.path(file)).unwrap();
    assert!(read("w.safetensors") == read("again.safetensors"));

    // The weights of a model directory alone, and beside their configuration.
    std::fs::create_dir(space.path("alone")).unwrap();
    std::fs::copy(space.path("run/model.safetensors"), space.path("alone/model.safetensors")).unwrap();
    let error = refused(&space, &["convert", "alone/model.safetensors", "new"]);
    assert!(error.contains("--config"), "{error}");
    space.ok(&["convert", "alone/model.safetensors", "configured", "--config", "run"]);
    space.ok(&["convert", "run/model.safetensors", "beside"]);
    for folder in ["configured", "beside"] {
        assert!(read(&format!("{folder}/config.json")) == read("run/config.json"), "{folder}");
    }
    let finished = space.run(&["convert", "run", "half", "--config", "run"]);
    assert_eq!(finished.code, 2, "{}", finished.stderr);
}
