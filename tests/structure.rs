//! The plan of the house: no circle of imports, crates in their order, short files, and a map that shows what is there.

#[path = "structure/imports.rs"]
mod imports;
#[path = "structure/map.rs"]
mod map;
#[path = "structure/tokens.rs"]
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use imports::{circles, imports};

/// The crates: each may know those before it, none after it.
const ORDER: [&str; 8] = [
    "models",
    "crates/kernels",
    "crates/quantizers",
    "crates/datasets",
    "crates/vqvae",
    "crates/web",
    "crates/cli",
    "crates/python",
];

/// The most lines of a file that is no test.
const LONGEST: usize = 400;

fn workspace() -> PathBuf {
    // Tests of `models` run in its folder.
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file below `folder`, by its path from the workspace, with `/` between names.
fn files(folder: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_string()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(workspace().join(&folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
        for entry in entries.map(Result::unwrap) {
            let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(path),
                false => drop(found.insert(path)),
            }
        }
    }
    found
}

fn sources(folder: &str) -> BTreeSet<String> {
    files(folder).into_iter().filter(|file| file.ends_with(".rs")).collect()
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(workspace().join(path)).ok()
}

/// The root files of a crate, which are there or not.
fn roots(of: &str) -> Vec<String> {
    ["lib.rs", "main.rs"]
        .map(|root| format!("{of}/src/{root}"))
        .into_iter()
        .filter(|root| read(root).is_some())
        .collect()
}

/// The crates whose folder is not that of the tests or of the fuzz targets.
fn crates() -> Vec<String> {
    let mut found: Vec<String> = std::fs::read_dir(workspace().join("crates"))
        .unwrap()
        .map(|entry| format!("crates/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    found.push("models".to_string());
    found
}

#[test]
fn no_file_imports_itself_through_others() {
    let mut found = Vec::new();
    for of in crates() {
        let mut missed = sources(&format!("{of}/src"));
        missed.retain(|file| !is_test(file));
        for root in roots(&of) {
            let imports = imports(&root, &read);
            missed.retain(|file| !imports.contains_key(file));
            found.extend(circles(&imports));
        }
        // A root that leads nowhere would show no circle either.
        assert!(missed.is_empty(), "not reached from the root of {of}: {missed:?}");
    }
    let lines: Vec<String> = found.iter().map(|circle| circle.join(" → ")).collect();
    assert!(found.is_empty(), "circles of imports:\n{}", lines.join("\n"));
}

fn is_test(file: &str) -> bool {
    file.contains("/tests/") || file.ends_with("/tests.rs") || file.ends_with("/testing.rs")
}

#[test]
fn a_planted_circle_is_found() {
    let mut house = BTreeMap::from([
        ("src/lib.rs", "mod a;\nmod b;\npub use a::A;\n"),
        ("src/a/mod.rs", "//! crate::b::B is no import here.\nmod c;\npub use c::{A, C as D};\n"),
        ("src/a/c.rs", "use crate::{b::{self, B}};\nconst TEXT: &str = \"crate::a\";\nfn f() {}\n"),
        ("src/b.rs", "pub struct B;\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n    fn f() { super::B; }\n}\n"),
    ]);
    let found = |house: &BTreeMap<&str, &str>| {
        circles(&imports("src/lib.rs", &|path| house.get(path).map(|text| text.to_string())))
    };
    assert_eq!(found(&house), Vec::<Vec<String>>::new());

    // Through a path within a function, by a name that the folder gives a file's item.
    house.insert("src/b.rs", "pub struct B;\nfn f<'a>(c: char) -> bool { c == '\\'' && crate::a::D::new() }\n");
    assert_eq!(found(&house), [["src/a/c.rs", "src/b.rs", "src/a/c.rs"]]);

    // Through an item of the folder's own file, with the root's name for what a file of the folder defines.
    house.insert("src/a/mod.rs", "mod c;\npub use c::A;\npub const N: usize = crate::b::N;\n");
    house.insert("src/a/c.rs", "use super::N;\n");
    house.insert("src/b.rs", "use crate::A;\n");
    assert_eq!(found(&house), [["src/a/c.rs", "src/a/mod.rs", "src/b.rs", "src/a/c.rs"]]);
}

#[test]
fn no_crate_knows_one_to_its_right() {
    let known: BTreeSet<String> = crates().into_iter().collect();
    let ordered: BTreeSet<String> = ORDER.map(str::to_string).into();
    assert_eq!(known, ordered, "the crates that are there, and those in ORDER");
    for (place, of) in ORDER.iter().enumerate() {
        let manifest = read(&format!("{of}/Cargo.toml")).unwrap();
        for later in &ORDER[place + 1..] {
            let package = format!("ksom-{}", later.trim_start_matches("crates/"));
            let named = manifest
                .lines()
                .any(|line| line.strip_prefix(&package).is_some_and(|rest| rest.starts_with([' ', '.', '='])));
            assert!(!named, "{of} knows {package}, which comes after it");
        }
    }
}

#[test]
fn no_file_is_long() {
    let all = ["crates", "examples", "fuzz/src", "fuzz/fuzz_targets", "models"].map(sources).into_iter().flatten();
    let long: Vec<String> = all
        .filter(|file| !is_test(file))
        .map(|file| (read(&file).unwrap().lines().count(), file))
        .filter(|(lines, _)| *lines > LONGEST)
        .map(|(lines, file)| format!("{file}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "files of more than {LONGEST} lines:\n{}", long.join("\n"));
}

/// Every source file of the crates with the folders that they lie in, and every folder of the workspace.
#[test]
fn the_map_shows_what_is_there_and_nothing_else() {
    let named = map::named(&read("ARCHITECTURE.md").unwrap());
    let mut there = BTreeSet::new();
    for file in crates().iter().flat_map(|of| sources(&format!("{of}/src"))).filter(|file| !is_test(file)) {
        for (end, _) in file.match_indices('/') {
            there.insert(file[..=end].to_string());
        }
        // `mod.rs` and `lib.rs` are meant by their folder's line.
        if !file.ends_with("/mod.rs") && !file.ends_with("/lib.rs") {
            there.insert(file);
        }
    }
    // Only git knows which folders beside these belong here.
    match Command::new("git").args(["ls-tree", "-d", "--name-only", "HEAD"]).current_dir(workspace()).output() {
        Ok(listed) if listed.status.success() => {
            let folders = String::from_utf8(listed.stdout).unwrap();
            there.extend(folders.lines().filter(|name| !name.starts_with('.')).map(|name| format!("{name}/")));
        }
        _ => eprintln!("skipped: this is no git repository, so its folders beside the crates are not compared"),
    }
    // The folders on the way to a folder's line need none of their own.
    let on_the_way = |path: &&String| named.iter().any(|named| path.ends_with('/') && named.starts_with(path.as_str()));
    let missing: Vec<&String> = there.difference(&named).filter(|path| !on_the_way(path)).collect();
    let gone: Vec<&String> = named.iter().filter(|path| !workspace().join(path).exists()).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "ARCHITECTURE.md's tree lacks {missing:#?}\nand names what is not there: {gone:#?}"
    );
}
