//! Command lines that nobody means, or means by mistake: whatever they ask for, the answer is a sentence.

use std::process::Command;

use crate::hostile::MEMORY;
use crate::support::{Finished, TINY, Workspace};

/// Runs a command that should end by itself, in bounded memory and time: well, or with an error.
fn ends<S: AsRef<std::ffi::OsStr>>(space: &Workspace, args: &[S]) -> Finished {
    let finished = if cfg!(target_os = "linux") {
        let limits = format!("ulimit -v {MEMORY}; ulimit -t 60; exec \"$0\" \"$@\"");
        space.finish(Command::new("sh").args(["-c", &limits, env!("CARGO_BIN_EXE_ksom")]).args(args))
    } else {
        space.run(args)
    };
    assert!((0..=2).contains(&finished.code), "{}", finished.stderr);
    assert!(finished.code == 0 || finished.stderr.contains("error: "), "{}", finished.stderr);
    finished
}

#[test]
fn numbers_out_of_all_bounds() {
    let space = Workspace::new();
    let data = space.data(6);
    let settings = [
        "lr=nan",
        "lr=inf",
        "lr=-1",
        "lr=1e400",
        "lr=0",
        "steps=0",
        "steps=-1",
        "steps=1e3",
        "steps=99999999999999999999",
        "batch_size=0",
        "batch_size=-4",
        "batch_size=9223372036854775807",
        "batch_size=7",
        "num_codes=0",
        "num_codes=-1",
        "num_codes=9223372036854775807",
        "num_codes=1048576",
        "dim=0",
        "dim=9223372036854775807",
        "grid=[]",
        "grid=[0]",
        "grid=[-1]",
        "grid=[4294967296,4294967296]",
        "grid=[16,1,1,1,1,1,1,1,1,1,1]",
        "grid=16",
        "decay=2",
        "decay=-0.1",
        "decay=nan",
        "size=[0,0]",
        "size=[1,1]",
        "size=[2]",
        "size=[4294967295,1]",
        "size=[65532,65532]",
        "hidden=0",
        "hidden=1",
        "hidden=9223372036854775807",
        "residual_layers=1000000",
        "residual_hidden=0",
        "log_every=0",
        "validate_every=0",
        "checkpoint_every=0",
        "patience=9223372036854775807",
        "accumulate=0",
        "accumulate=3",
        "valid_fraction=0",
        "valid_fraction=1",
        "valid_fraction=nan",
        "valid_fraction=1e-300",
        "train_fraction=0",
        "clip_norm=0",
        "clip_norm=-1",
        "clip_norm=nan",
        "commitment=nan",
        "commitment=-1",
        "shrink_step=0",
        "shrink_step=nan",
        "counter_init=-1",
        "eps=0",
        "beta1=1",
        "weight_decay=1e300",
        "seed=-1",
        "seed=18446744073709551615",
        "seed=9223372036854775807",
        "normalization=none",
        "x=",
        "a.b.c.d=1",
        "training=1",
        "steps.steps=1",
        "architecture.kind=x",
        "steps=1\nlr=2",
        "steps=1]",
        "=1",
        "name=\"\\u0000\"",
        "lr=[[[[[[[[",
        "lr={}",
    ];
    for set in settings {
        let run = space.path("run");
        let args = ["train", "--data", data, "--out", "run", "--steps", "1"];
        ends(&space, &[&args[..], &TINY, &["--set", set]].concat());
        let _ = std::fs::remove_dir_all(run);
        let args = ["bench", "--seconds", "0.001", "--only", "encode", "--batch", "1", "--size", "8x8", "--set", set];
        ends(&space, &args);
    }
    let numbers = ["0", "-1", "1", "65535", "65536", "4294967296", "18446744073709551616", "1e9", "nan", "", "0x10"];
    let mut refused = 0;
    for number in numbers {
        for args in [
            &["eval", "--data", data, "--batch-size", number][..],
            &["bench", "--only", "encode", "--batch", "1", "--size", "8x8", "--seconds", number],
            &["train", "--recipe", "cifar10", "--data", data, "--out", "run", "--set", "lr=x", "--seed", number],
            &["finetune", "--data", data, "--out", "run", "--set", "lr=x", "--patience", number],
        ] {
            // Those are long.
            if args.ends_with(&["--seconds", number]) && ["65535", "1"].contains(&number) {
                continue;
            }
            refused += i32::from(ends(&space, args).code != 0);
        }
    }
    for batch in ["0", "-1", "65537", "4294967296", "1e9", "nan", ""] {
        let args = ["bench", "--only", "decode", "--seconds", "0.001", "--size", "8x8", "--batch", batch];
        assert_eq!(ends(&space, &args).code, 2, "{batch}");
    }
    for size in ["0x0", "0x8", "8x0", "65535x65535", "65536x1", "x", "8", "8x8x8", "-8x8", "99999999999999999999x1"] {
        refused += i32::from(ends(&space, &["eval", "--data", data, "--size", size]).code != 0);
        refused += i32::from(ends(&space, &["bench", "--batch", "65536", "--only", "train", "--size", size]).code != 0);
    }
    assert!(refused > 40, "only {refused} were refused");
}

#[test]
fn outputs_that_are_inputs_or_no_files() {
    let space = Workspace::new();
    let picture = space.picture("p/a.png", 8, 8, 0);
    let data = space.data(6);
    space.train("run", 0);
    space.ok(&["encode", &picture, "-o", "codes.safetensors"]);
    let before = |name: &str| std::fs::read(space.path(name)).unwrap();
    let kept = [&picture, "codes.safetensors", "run/config.json", "run/model.safetensors", "run/training.safetensors"];
    let old = kept.map(before);
    for args in [
        &["encode", &picture, "-o", &picture][..],
        &["encode", "p", "-o", "p/../p/a.png"],
        &["encode", "p", "-o", "p"],
        &["encode", "p", "-o", "."],
        &["encode", "p", "-o", ""],
        &["encode", "p", "-o", "p/a.png/codes"],
        &["reconstruct", &picture, "-o", &picture],
        &["reconstruct", "p", "-o", "p", "--overwrite"],
        &["reconstruct", &picture, "-o", "run/config.json"],
        &["reconstruct", &picture, "-o", ""],
        &["decode", "codes.safetensors", "-o", "codes.safetensors"],
        &["decode", "codes.safetensors", "-o", "codes.safetensors/out"],
        &["decode", "codes.safetensors", "-o", "", "--model", "run"],
        &["convert", "run", "run"],
        &["convert", "run", ""],
        &["convert", "run", "run/model.safetensors"],
        &["convert", "codes.safetensors", "run"],
        &["train", "--recipe", "cifar10", "--data", data, "--out", &picture],
        &["train", "--recipe", "cifar10", "--data", data, "--out", ""],
        &["train", "--recipe", "cifar10", "--data", data, "--out", "run"],
        &["train", "--recipe", "cifar10", "--data", "p", "--out", "new"],
        &["train", "--recipe", &picture, "--data", data, "--out", "new"],
        &["train", "--recipe", ".", "--data", data, "--out", "new"],
        &["train", "--recipe", "cifar10", "--data", data, "--out", "new", "--cache", &picture],
        &["finetune", "p", "--data", data, "--out", "new"],
        &["finetune", &picture, "--data", data, "--out", "new"],
        &["finetune", "--data", data, "--out", "run"],
        &["info", &picture],
        &["info", ""],
        &["info", "/"],
        &["eval", "--data", ""],
        &["eval", "--data", "+"],
        &["eval", "--data", "folder:"],
        &["eval", "--data", "parquet:p/a.png"],
        &["eval", "--data", "cifar10:p"],
        &["eval", "--data", "mnist:p"],
        &["pull", "../../x"],
        &["pull", "/etc/passwd"],
        &["push", "run", "../x/y"],
        &["push", &picture, "owner/name"],
    ] {
        let finished = ends(&space, args);
        assert_ne!(finished.code, 0, "{args:?}");
        for (name, old) in kept.iter().zip(&old) {
            assert!(before(name) == *old, "{args:?}: {name} has changed");
        }
        assert!(!space.path("new").join("model.safetensors").exists(), "{args:?}");
    }
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_neither_read_nor_replaced() {
    use std::os::unix::fs::FileTypeExt;
    let space = Workspace::new();
    let picture = space.picture("p/a.png", 8, 8, 0);
    for name in ["pipe", "pipe.png", "pipe.safetensors"] {
        assert!(Command::new("mkfifo").arg(space.path(name)).status().unwrap().success());
    }
    std::os::unix::fs::symlink("/dev/zero", space.path("zero.png")).unwrap();
    for args in [
        &["encode", "pipe.png", "-o", "codes"][..],
        &["encode", "pipe", "-o", "codes"],
        &["encode", "pip*", "-o", "codes"],
        &["encode", "zero.png", "-o", "codes"],
        &["reconstruct", "zero.png", "-o", "out.png"],
        &["encode", &picture, "-o", "pipe"],
        &["reconstruct", &picture, "-o", "pipe.png"],
        &["encode", &picture, "-o", "zero.png"],
        &["decode", "pipe.safetensors", "-o", "out"],
        &["convert", "pipe.safetensors", "model"],
        &["convert", "cifar10-ksom", "pipe.safetensors"],
        &["train", "--recipe", "pipe", "--data", "p", "--out", "run"],
        &["eval", "--data", "parquet:pipe"],
        &["eval", "--data", "zero.png"],
    ] {
        assert_ne!(ends(&space, args).code, 0, "{args:?}");
    }
    for name in ["pipe", "pipe.png", "pipe.safetensors"] {
        assert!(std::fs::symlink_metadata(space.path(name)).unwrap().file_type().is_fifo(), "{name}");
    }
    assert!(space.path("zero.png").is_symlink());
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_text_and_folders_without_end() {
    use std::os::unix::ffi::OsStrExt;
    let space = Workspace::new();
    let odd = |bytes: &'static [u8]| std::path::PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
    space.picture("odd/a.png", 8, 8, 0);
    for (number, name) in [&b"\xFF\xFE.png"[..], b"new\nline.png", b"-o.png", b"\x1b[31m.png"].into_iter().enumerate() {
        let picture = crate::support::picture(8, 8, number as u32);
        picture.save_with_format(space.path("odd").join(odd(name)), image::ImageFormat::Png).unwrap();
    }
    space.ok(&["encode", "odd", "-o", "codes.safetensors"]);
    space.ok(&["decode", "codes.safetensors", "-o", "out"]);
    assert_eq!(std::fs::read_dir(space.path("out")).unwrap().count(), 5);
    let finished = space.ok(&["reconstruct", "odd", "-o", "again"]);
    assert!(!finished.stdout.contains('\x1b'), "{}", finished.stdout);
    space.ok(&["eval", "--data", "odd"]);
    let args = ["train", "--data", "odd", "--out", "run", "--steps", "2", "--set", "size=[8,8]"];
    space.ok(&[&args[..], &TINY].concat());
    // As arguments: names may be anything.
    let path = space.path("odd").join(odd(b"\xFF\xFE.png"));
    assert_eq!(ends(&space, &["encode".as_ref(), path.as_os_str(), "-o".as_ref(), "c".as_ref()]).code, 0);
    let folder = space.path("").join(odd(b"run-\xFF"));
    let mut args: Vec<&std::ffi::OsStr> = ["train", "--data", "odd", "--steps", "2", "--out"].map(AsRef::as_ref).into();
    args.push(folder.as_os_str());
    args.extend(["--set", "size=[8,8]"].iter().chain(&TINY).map(AsRef::<std::ffi::OsStr>::as_ref));
    ends(&space, &args);
    ends(&space, &["train".as_ref(), "--resume".as_ref(), "--out".as_ref(), folder.as_os_str()]);
    // A folder that is below itself.
    std::os::unix::fs::symlink(".", space.path("odd/loop")).unwrap();
    assert_eq!(ends(&space, &["encode", "odd", "-o", "c.safetensors"]).code, 0);
    for pattern in ["[", "***", "**/**/**/[", "a**b", "[z-a]*", "{a,b", "\\"] {
        assert_ne!(ends(&space, &["encode", pattern, "-o", "c.safetensors"]).code, 0, "{pattern}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn streams_that_are_full_or_closed() {
    let space = Workspace::new();
    let picture = space.picture("a.png", 8, 8, 0);
    for (redirection, code) in
        [("> /dev/full", 1), ("2> /dev/full", 0), ("> /dev/full 2> /dev/full", 1), (">&-", 0), ("2>&-", 0), ("<&-", 0)]
    {
        let script = format!("\"$0\" reconstruct {picture} -o out.png {redirection}");
        let finished = space.finish(Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_ksom")]));
        assert_eq!(finished.code, code, "{redirection}: {}", finished.stderr);
        space.ok(&["info"]);
    }
}

#[cfg(feature = "parquet")]
#[test]
fn damaged_parquet_files_are_refused_in_a_sentence() {
    let space = Workspace::new();
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/parquet");
    for name in ["none", "snappy", "zstd"] {
        let whole = std::fs::read(seeds.join(name).with_extension("parquet")).unwrap();
        for at in (0..whole.len()).step_by(53) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x81;
            std::fs::write(space.path("a.parquet"), bytes).unwrap();
            ends(&space, &["eval", "--data", "a.parquet", "--size", "8x8"]);
        }
    }
}
