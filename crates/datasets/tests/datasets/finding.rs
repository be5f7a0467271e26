//! Files, folders and patterns.

use ksom_datasets::files::find_images;
use ksom_datasets::sources::FolderSource;
use ksom_datasets::{DatasetError, DecodeOptions, ImageSource};

use crate::common::{picture, save};

#[test]
fn files_folders_and_patterns() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for name in ["b/2.png", "b/10.PNG", "a/x.jpg", "top.webp", ".hidden/h.png", "b/.thumb.png"] {
        save(root, name, &picture(0, 2, 2));
    }
    std::fs::write(root.join("notes.txt"), "no picture").unwrap();
    std::fs::copy(root.join("top.webp"), root.join("without")).unwrap();
    let find = |inputs: &[&str]| {
        let inputs: Vec<_> = inputs.iter().map(|input| root.join(input).to_str().unwrap().to_owned()).collect();
        find_images(&inputs).map(|found| {
            let short = found.iter().map(|path| path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/"));
            short.collect::<Vec<_>>()
        })
    };
    assert_eq!(find(&[""]).unwrap(), ["a/x.jpg", "b/10.PNG", "b/2.png", "top.webp", "without"]);
    assert_eq!(find(&["top.webp", "b", "b/2.png"]).unwrap(), ["b/10.PNG", "b/2.png", "top.webp"]);
    assert_eq!(find(&["**/*.png", "a*"]).unwrap(), [".hidden/h.png", "a/x.jpg", "b/.thumb.png", "b/2.png"]);
    // What is named outright is taken, so that decoding says what is wrong with it.
    assert_eq!(find(&["notes.txt"]).unwrap(), ["notes.txt"]);
    for (nothing, says) in [("*.gif", "no images found"), ("none.png", "none.png"), ("[", "not a valid pattern")] {
        let error = find(&["top.webp", nothing]).unwrap_err().to_string();
        assert!(error.contains(says), "{nothing}: {error}");
    }
    assert!(matches!(find_images(&[]), Err(DatasetError::NothingFound(_))));
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
    assert_eq!(source.others(), 1);
    let flat = FolderSource::open(folder.path().join("cat"), DecodeOptions::default()).unwrap();
    assert_eq!((flat.label(0), flat.classes().len()), (None, 0));
    assert!(flat.image(2).unwrap_err().to_string().contains("which has 2"));
    let empty = tempfile::tempdir().unwrap();
    assert!(FolderSource::open(empty.path(), DecodeOptions::default()).is_err());
}
