//! Files, folders and patterns.

use ksom_datasets::sources::FolderSource;
use ksom_datasets::{DatasetError, DecodeOptions, ImageSource, PictureFiles};

use crate::common::{picture, save};

#[test]
fn files_folders_and_patterns() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for name in ["b/2.png", "b/10.PNG", "a/x.jpg", "top.webp", ".hidden/h.png", "b/.thumb.png", "__MACOSX/b/2.png"] {
        save(root, name, &picture(0, 2, 2));
    }
    std::fs::write(root.join("notes.txt"), "no picture").unwrap();
    std::fs::copy(root.join("top.webp"), root.join("without")).unwrap();
    let find = |inputs: &[&str]| {
        let inputs: Vec<_> = inputs.iter().map(|input| root.join(input)).collect();
        PictureFiles::find(inputs).map(|found| {
            let short =
                found.iter().map(|file| file.path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/"));
            (short.collect::<Vec<_>>(), found.passed_over().to_string())
        })
    };
    let names = |inputs: &[&str]| find(inputs).unwrap().0;
    let (all, passed) = find(&[""]).unwrap();
    assert_eq!(all, ["a/x.jpg", "b/10.PNG", "b/2.png", "top.webp", "without"]);
    assert_eq!(passed, "passed over 4 files: 2 hidden, 1 .txt, 1 __MACOSX");
    assert_eq!(names(&["top.webp", "b", "b/2.png"]), ["b/10.PNG", "b/2.png", "top.webp"]);
    // Patterns follow the rules of folders: capitals of extensions do not matter, hidden files are hidden.
    assert_eq!(names(&["**/*.png", "a*"]), ["a/x.jpg", "b/10.PNG", "b/2.png"]);
    assert_eq!(names(&["*/*.PNG"]), ["b/10.PNG", "b/2.png"]);
    assert_eq!(names(&["b/.*.png"]), ["b/.thumb.png"]);
    assert_eq!(names(&[".hidden/*"]), [".hidden/h.png"]);
    assert_eq!(find(&["*"]).unwrap(), (all, "passed over 2 files: 1 .txt, 1 hidden".to_owned()));
    // A list is what a shell makes of a pattern.
    assert_eq!(
        find(&["notes.txt", "top.webp"]).unwrap(),
        (vec!["top.webp".to_owned()], "passed over 1 file: 1 .txt".to_owned())
    );
    // What is named alone is taken, so that decoding says what is wrong with it.
    assert_eq!(names(&["notes.txt"]), ["notes.txt"]);
    for (nothing, says) in [("*.gif", "no images found"), ("none.png", "none.png"), ("[", "not a valid pattern")] {
        let error = find(&["top.webp", nothing]).unwrap_err().to_string();
        assert!(error.contains(says), "{nothing}: {error}");
    }
    let none: [&str; 0] = [];
    assert!(matches!(PictureFiles::find(none), Err(DatasetError::NothingFound { .. })));
    let error = find(&["*.txt"]).unwrap_err().to_string();
    assert!(error.contains("no images found") && error.contains("passed over 1 file: 1 .txt"), "{error}");
}

#[cfg(unix)]
#[test]
fn entries_that_lead_nowhere_end_nothing() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    save(root, "good.png", &picture(0, 2, 2));
    symlink("/nonexistent/x.txt", root.join("readme.txt")).unwrap();
    symlink("/nonexistent/x.png", root.join("lost.png")).unwrap();
    symlink("itself", root.join("itself")).unwrap();
    std::fs::create_dir(root.join("sub")).unwrap();
    symlink("..", root.join("sub/up")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket.png")).unwrap();
    let entries = || std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    for inputs in [vec![root.to_path_buf()], vec![root.join("*")], entries().collect()] {
        let found = PictureFiles::find(&inputs).unwrap();
        assert_eq!(found.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["good.png"], "{inputs:?}");
        let passed = found.passed_over();
        let said: Vec<_> = passed.unreachable().iter().map(ToString::to_string).collect();
        for expected in [
            "readme.txt: it is a link that leads nowhere",
            "lost.png: it is a link",
            "itself: it is a link that leads in a circle",
            "up: it is a link that leads back",
        ] {
            assert!(said.iter().any(|said| said.contains(expected)), "{expected}: {said:?}");
        }
        assert!(passed.to_string().contains("1 that are pipes, sockets or devices"), "{passed}");
    }
}

#[cfg(unix)]
#[test]
fn names_need_not_be_unicode() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join(OsStr::from_bytes(b"f\xe9vrier"));
    let path = save(&inner, "a.png", &picture(0, 2, 2));
    let odd = inner.join(OsStr::from_bytes(b"caf\xe9.png"));
    std::fs::rename(path, &odd).unwrap();
    for input in [folder.path().to_path_buf(), inner.clone(), odd.clone(), folder.path().join("*/*.png")] {
        let found = PictureFiles::find([&input]).unwrap();
        assert_eq!(found.as_slice()[0].path, odd, "{input:?}");
        assert!(found.as_slice()[0].name.ends_with("caf\u{fffd}.png"));
    }
}

#[test]
fn classes_are_the_folders() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["dog/big/1.png", "cat/2.png", "dog/0.png", "cat/1.png"] {
        save(folder.path(), name, &picture(0, 2, 2));
    }
    std::fs::write(folder.path().join("labels.csv"), "").unwrap();
    let source = FolderSource::open(folder.path(), DecodeOptions::default()).unwrap();
    let found: Vec<_> = (0..source.len()).map(|at| (source.name(at), source.label(at))).collect();
    let expected = [("cat/1.png", 0), ("cat/2.png", 0), ("dog/0.png", 1), ("dog/big/1.png", 2)]
        .map(|(n, l)| (n.to_owned(), Some(l)));
    assert_eq!(found, expected);
    assert_eq!(source.classes(), ["cat", "dog", "dog/big"]);
    assert_eq!(source.passed_over().to_string(), "passed over 1 file: 1 .csv");
    let flat = FolderSource::open(folder.path().join("cat"), DecodeOptions::default()).unwrap();
    assert_eq!((flat.label(0), flat.classes().len()), (None, 0));
    assert!(flat.image(2).unwrap_err().to_string().contains("which has 2"));
    let empty = tempfile::tempdir().unwrap();
    assert!(FolderSource::open(empty.path(), DecodeOptions::default()).is_err());
}
