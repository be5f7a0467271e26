//! What is left out is told, and one entry stops nothing.

use crate::support::{TINY, Workspace};

/// A folder of a picture and four files of other kinds.
fn one_of_five() -> Workspace {
    let space = Workspace::new();
    space.picture("f/a.png", 32, 32, 1);
    for name in ["f/b.HEIC", "f/c.avif", "f/d.jp2", "f/notes"] {
        std::fs::write(space.path(name), "no picture that is read").unwrap();
    }
    space
}

const PASSED_OVER: &str = "passed over 4 files: 1 .avif, 1 .heic, 1 .jp2, 1 without extension";

#[test]
fn every_command_says_what_it_passes_over() {
    let space = one_of_five();
    space.picture("f/e.png", 32, 32, 2);
    for args in [
        &["encode", "f", "-o", "codes.safetensors"][..],
        &["encode", "f/*", "-o", "codes.safetensors"],
        &["encode", "f/a.png", "f/b.HEIC", "f/c.avif", "f/d.jp2", "f/e.png", "f/notes", "-o", "codes.safetensors"],
        &["reconstruct", "f", "-o", "out"],
        &["compare", "f", "-m", "cifar10-ksom", "-o", "compared.png"],
        &["perturb", "cifar10-ksom", "f", "-k", "1", "-o", "shifted.png"],
        &["eval", "--data", "f", "--part", "all", "-m", "cifar10-ksom"],
        &["eval", "--data", "f/*", "--part", "all", "-m", "cifar10-ksom"],
        &["usage", "cifar10-ksom", "--data", "f", "-o", "usage.png"],
        &[&["train", "--data", "f", "--out", "run", "--steps", "1"][..], &TINY].concat(),
        &["finetune", "cifar10-ksom", "--data", "f", "--out", "tuned", "--steps", "1", "--set", "batch_size=2"],
    ] {
        let finished = space.ok(&[args, &["-q"]].concat());
        assert!(finished.stderr.contains(PASSED_OVER), "{args:?}: {}", finished.stderr);
    }
    let report = space.json(&["encode", "f", "-o", "codes.safetensors"]);
    assert_eq!((&report["pictures"], &report["passed_over"]), (&2.into(), &4.into()));
    let set = TINY.chunks(2).skip(1).map(|pair| format!("\"{}\"", pair[1])).collect::<Vec<_>>().join(", ");
    let experiment = format!(
        "name = \"Mine\"\nrecipe = \"cifar10\"\nseeds = [0]\nset = [\"steps=1\", {set}]\nbaseline = \"one\"\n[[configurations]]\nname = \"one\"\n"
    );
    std::fs::write(space.path("mine.toml"), experiment).unwrap();
    let finished = space.ok(&["experiment", "mine.toml", "--data", "f", "--out", "runs", "-q"]);
    assert!(finished.stderr.contains(PASSED_OVER), "{}", finished.stderr);
}

#[test]
fn what_is_not_read_is_called_by_its_name() {
    let space = one_of_five();
    std::fs::write(space.path("x.heic"), b"\0\0\0\x20ftypheic\0\0\0\0mif1heic").unwrap();
    let error = space.fails(&["encode", "x.heic", "-o", "codes.safetensors"]);
    assert!(error.contains("x.heic: it is a HEIC picture, which is not read; convert it to JPEG or PNG"), "{error}");
    let error = space.fails(&["encode", "x.heic", "f/b.HEIC", "-o", "codes.safetensors"]);
    assert!(error.contains("no images found") && error.contains("passed over 2 files: 2 .heic"), "{error}");
}

#[cfg(unix)]
#[test]
fn one_entry_ends_nothing() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let space = one_of_five();
    symlink("/nonexistent/x.txt", space.path("f/readme.txt")).unwrap();
    symlink("/nonexistent/x.jpg", space.path("f/lost.jpg")).unwrap();
    std::fs::create_dir(space.path("f/sub")).unwrap();
    symlink("..", space.path("f/sub/loop")).unwrap();
    std::fs::create_dir(space.path("f/lost+found")).unwrap();
    let closed = |mode| std::fs::set_permissions(space.path("f/lost+found"), PermissionsExt::from_mode(mode)).unwrap();
    closed(0o000);
    for args in [&["encode", "f", "-o", "codes.safetensors"][..], &["encode", "f/*", "-o", "codes.safetensors"]] {
        for more in [&[][..], &["--skip-unreadable"]] {
            let finished = space.ok(&[args, more].concat());
            for expected in ["readme.txt: it is a link that leads nowhere", "lost.jpg: it is a link that leads nowhere"]
            {
                assert!(finished.stderr.contains(expected), "{}", finished.stderr);
            }
            assert!(finished.stderr.contains("that cannot be opened"), "{}", finished.stderr);
            assert!(finished.stdout.contains("1 picture"), "{}", finished.stdout);
        }
    }
    let finished = space.ok(&["eval", "--data", "f", "--part", "all", "-m", "cifar10-ksom"]);
    assert!(finished.stderr.contains("loop: it is a link that leads back to f"), "{}", finished.stderr);
    closed(0o700);
}

#[test]
fn a_broken_picture_leaves_nothing_in_the_way() {
    let space = Workspace::new();
    // Enough pictures that some are written before the last is met.
    for number in 0..12 {
        space.picture(&format!("p/{number:02}.png"), 400, 300, number);
    }
    std::fs::write(space.path("p/99.png"), "broken").unwrap();
    let error = space.fails(&["reconstruct", "p", "-o", "out", "-m", "cifar10-ksom"]);
    assert!(error.contains("99.png") && error.contains("--skip-unreadable"), "{error}");
    assert!(error.contains("are removed again"), "{error}");
    assert_eq!(std::fs::read_dir(space.path("out")).unwrap().count(), 0);
    space.ok(&["reconstruct", "p", "-o", "out", "-m", "cifar10-ksom", "--skip-unreadable"]);
    assert_eq!(std::fs::read_dir(space.path("out")).unwrap().count(), 12);
}

#[test]
fn files_whose_end_is_lost_are_read_with_a_warning() {
    let space = Workspace::new();
    let png = space.picture("f/a.png", 32, 24, 1);
    let jpeg = space.picture("f/b.jpg", 32, 24, 1);
    for (name, end) in [(&png, 12), (&jpeg, 2)] {
        let bytes = std::fs::read(space.path(name)).unwrap();
        std::fs::write(space.path(name), [&bytes[..bytes.len() - end], b""].concat()).unwrap();
    }
    let finished = space.ok(&["encode", "f", "-o", "codes.safetensors", "-q"]);
    assert!(
        finished.stderr.contains("warning: a.png: the PNG file's end is missing, but no pixel is"),
        "{}",
        finished.stderr
    );
    assert!(finished.stderr.contains("warning: b.jpg: the JPEG file's end marker is missing"), "{}", finished.stderr);
    let finished = space.ok(&["eval", "--data", "f", "--part", "all", "-m", "cifar10-ksom", "-q"]);
    assert!(finished.stderr.contains("a.png") && finished.stderr.contains("b.jpg"), "{}", finished.stderr);
}

#[test]
fn a_damaged_picture_gets_the_hint_that_fits() {
    let space = one_of_five();
    let bytes = std::fs::read(space.path("f/a.png")).unwrap();
    std::fs::write(space.path("f/bad.png"), &bytes[..bytes.len() / 2]).unwrap();
    for args in [
        &["eval", "--data", "f", "--part", "all", "-m", "cifar10-ksom"][..],
        &["usage", "cifar10-ksom", "--data", "f", "--part", "all", "-o", "u.png"],
        &[&["train", "--data", "f", "--out", "run", "--steps", "5"][..], &TINY].concat(),
        &["finetune", "cifar10-ksom", "--data", "f", "--out", "tuned", "--steps", "5", "--set", "batch_size=2"],
    ] {
        let error = space.fails(args);
        assert!(error.contains("bad.png") && error.contains("--skip-unreadable"), "{args:?}: {error}");
        assert!(!error.contains("--size"), "{error}");
    }
    space.picture("g/a.png", 32, 32, 1);
    space.picture("g/b.png", 40, 32, 1);
    let finished = space.run(&["eval", "--data", "g", "--part", "all", "-m", "photos-ksom"]);
    assert!(finished.code == 0 || finished.stderr.contains("--size WxH"), "{}", finished.stderr);
}

#[test]
fn parts_of_one_name_are_told_apart() {
    let space = Workspace::new();
    for name in ["g/train/a.png", "g/train/b.png", "g/val/a.png", "g/test/a.png"] {
        space.picture(name, 32, 32, 1);
    }
    let report = space.json(&["eval", "--data", "g", "--part", "all", "-m", "cifar10-ksom"]);
    let sets: Vec<_> = report["sets"].as_array().unwrap().iter().map(|set| set["set"].as_str().unwrap()).collect();
    assert_eq!(sets, ["g, training", "g, validation", "g, test"]);
}

#[test]
fn a_plus_sign_is_part_of_a_path_that_is_there() {
    let space = Workspace::new();
    space.picture("cats+dogs/a.png", 32, 32, 1);
    space.picture("C++/a.png", 32, 32, 1);
    for data in ["cats+dogs", "C++", "folder:cats+dogs"] {
        let report = space.json(&["eval", "--data", data, "--part", "all", "-m", "cifar10-ksom"]);
        assert_eq!(report["sets"][0]["images"], 1, "{data}");
    }
    let error = space.fails(&["eval", "--data", "cats+birds", "-m", "cifar10-ksom"]);
    assert!(error.contains("a plus sign within a path is written twice"), "{error}");
}

#[cfg(unix)]
#[test]
fn names_need_not_be_unicode() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;

    let space = Workspace::new();
    let folder = OsString::from(OsStr::from_bytes(b"f\xe9vrier"));
    let file = space.path("").join(&folder).join(OsStr::from_bytes(b"caf\xe9.png"));
    space.picture("a.png", 32, 32, 1);
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    std::fs::rename(space.path("a.png"), &file).unwrap();
    let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    let kind = OsString::from_iter([OsStr::new("folder:"), &folder]);
    for (first, input, rest) in [
        (words(&["encode"]), file.as_os_str(), words(&["-o", "codes.safetensors"])),
        (words(&["encode"]), &folder, words(&["-o", "codes.safetensors"])),
        (words(&["eval", "--data"]), &folder, words(&["--part", "all", "-m", "cifar10-ksom"])),
        (words(&["eval", "--data"]), &kind, words(&["--part", "all", "-m", "cifar10-ksom"])),
        (words(&["eval", "--data"]), file.as_os_str(), words(&["--part", "all", "-m", "cifar10-ksom"])),
    ] {
        space.ok(&[first, vec![input.to_owned()], rest].concat());
    }
}
