//! Pictures that cannot be read, and files that must not be replaced.

use crate::support::{Workspace, pixels};

/// A folder of three pictures, the second of them cut off.
fn with_a_broken_picture() -> Workspace {
    let space = Workspace::new();
    for name in ["p/a.png", "p/broken.png", "p/c.png"] {
        space.picture(name, 32, 24, 1);
    }
    let bytes = std::fs::read(space.path("p/broken.png")).unwrap();
    std::fs::write(space.path("p/broken.png"), &bytes[..bytes.len() / 2]).unwrap();
    space
}

#[test]
fn an_unreadable_picture_is_named() {
    let space = with_a_broken_picture();
    for args in [&["encode", "p", "-o", "codes.safetensors"], &["reconstruct", "p", "-o", "out"]] {
        let error = space.fails(args);
        assert!(error.contains("broken.png") && error.contains("--skip-unreadable"), "{error}");
    }
    assert!(!space.path("codes.safetensors").exists());
    let error = space.fails(&["train", "--recipe", "cifar10", "--data", "p", "--out", "run", "--steps", "1"]);
    assert!(error.contains("broken.png"), "{error}");
}

#[test]
fn unreadable_pictures_can_be_skipped() {
    let space = with_a_broken_picture();
    let finished = space.ok(&["encode", "p", "-o", "codes.safetensors", "--skip-unreadable", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!((&report["pictures"], &report["skipped"]), (&2.into(), &1.into()));
    assert!(finished.stderr.contains("broken.png") && finished.stderr.contains("1 of 3 pictures were skipped"));
    let report = space.json(&["decode", "codes.safetensors", "-o", "out"]);
    assert_eq!(report["pictures"][1]["name"], "c.png");

    let error = space.run(&["encode", "p/broken.png", "-o", "none.safetensors", "--skip-unreadable"]);
    assert_eq!(error.code, 1);
    assert!(error.stderr.contains("none of the 1 pictures could be read"), "{}", error.stderr);
    assert!(!space.path("none.safetensors").exists());
}

#[test]
fn only_a_file_that_is_named_is_replaced() {
    let space = Workspace::new();
    let input = space.picture("a.png", 12, 12, 1);
    space.ok(&["encode", &input, "-o", "codes.safetensors"]);
    space.ok(&["encode", &input, "-o", "codes.safetensors"]);
    space.ok(&["reconstruct", &input, "-o", "out.png"]);
    space.ok(&["reconstruct", &input, "-o", "out.png"]);

    std::fs::create_dir(space.path("out")).unwrap();
    std::fs::write(space.path("out/a.png"), "precious").unwrap();
    for args in [&["decode", "codes.safetensors", "-o", "out"], &["reconstruct", "a.png", "-o", "out"]] {
        let error = space.fails(args);
        assert!(error.contains("a.png exists already") && error.contains("--overwrite"), "{error}");
        assert_eq!(std::fs::read(space.path("out/a.png")).unwrap(), b"precious");
        space.ok(&[&args[..], &["--overwrite"]].concat());
        assert_eq!(pixels(&space.path("out/a.png")).dimensions(), (12, 12));
        std::fs::write(space.path("out/a.png"), "precious").unwrap();
    }
}

#[test]
fn the_original_is_never_replaced() {
    let space = Workspace::new();
    let input = space.picture("a.png", 12, 12, 1);
    let before = std::fs::read(space.path(&input)).unwrap();
    for args in [
        &["reconstruct", "a.png", "-o", "a.png"][..],
        &["encode", "a.png", "-o", "a.png"],
        &["reconstruct", "a.png", "-o", ".", "--overwrite"],
    ] {
        let error = space.fails(args);
        assert!(error.contains("one of the files to read"), "{error}");
        assert_eq!(std::fs::read(space.path(&input)).unwrap(), before);
    }
}

#[test]
fn missing_folders_of_outputs_are_created() {
    let space = Workspace::new();
    let input = space.picture("a.png", 12, 12, 1);
    space.ok(&["encode", &input, "-o", "x/y/codes.safetensors", "--npy"]);
    space.ok(&["decode", "x/y/codes.safetensors", "-o", "x/z/decoded"]);
    space.ok(&["reconstruct", &input, "-o", "u/v/out.webp"]);
    // WebP is written without loss.
    assert!(pixels(&space.path("u/v/out.webp")) == pixels(&space.path("x/z/decoded/a.png")));
}
