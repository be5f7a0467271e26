//! The page's files as they are served, exported and uploaded: everything below `page/` in this package.

/// A file of the page: its path from `index.html`, with `/` between folders, and its contents.
pub type File = (&'static str, &'static [u8]);

macro_rules! files {
    ($($path:literal),* $(,)?) => { &[$(($path, include_bytes!(concat!("../page/", $path)))),*] };
}

/// Every file of the page, `index.html` first. Models are not among them.
pub static FILES: &[File] = files![
    "index.html",
    "examples/astronaut.jpg",
    "examples/camera.png",
    "examples/chelsea.png",
    "examples/coffee.png",
    "examples/rocket.jpg",
    "examples/small/astronaut.webp",
    "examples/small/camera.webp",
    "examples/small/chelsea.webp",
    "examples/small/coffee.webp",
    "examples/small/rocket.webp",
    "icon.svg",
    "js/address.js",
    "js/colors.js",
    "js/compare.js",
    "js/draw.js",
    "js/engine.js",
    "js/files.js",
    "js/hub.js",
    "js/layout.js",
    "js/main.js",
    "js/map_view.js",
    "js/maps.js",
    "js/models.js",
    "js/picture_view.js",
    "js/save.js",
    "js/session.js",
    "js/sources.js",
    "js/state.js",
    "js/status.js",
    "js/tools.js",
    "js/widgets.js",
    "js/worker.js",
    "pkg/ksom_web.js",
    "pkg/ksom_web_bg.wasm.gz",
    "style/base.css",
    "style/controls.css",
    "style/panels.css",
    "style/sections.css",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn walk(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            match entry.path().is_dir() {
                true => walk(&entry.path(), &format!("{name}/"), found),
                false => drop(found.insert(name)),
            }
        }
    }

    #[test]
    fn every_file_of_the_page_is_listed() {
        let mut there = BTreeSet::new();
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("page"), "", &mut there);
        // What the module was built from: for the test that says when it is stale.
        there.remove("pkg/built_from.txt");
        let listed: BTreeSet<String> = FILES.iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(listed, there);
        assert_eq!((FILES[0].0, FILES.len()), ("index.html", listed.len()));
    }

    #[test]
    fn examples_are_pictures() {
        // Where links are no links, the file of a link holds the path that it leads to.
        for (path, bytes) in FILES.iter().filter(|(path, _)| path.starts_with("examples/")) {
            let known = [&b"\x89PNG"[..], b"\xff\xd8\xff", b"RIFF"];
            assert!(known.iter().any(|start| bytes.starts_with(start)), "{path}");
        }
    }

    #[test]
    fn what_the_page_loads_is_there() {
        let text = |path: &str| {
            let (_, bytes) = FILES.iter().find(|(known, _)| *known == path).unwrap();
            String::from_utf8(bytes.to_vec()).unwrap()
        };
        let page = text("index.html");
        let links =
            page.split(['"', ' ']).filter(|word| ["js/", "style/", "pkg/"].iter().any(|at| word.starts_with(at)));
        let missing: Vec<&str> = links.filter(|link| !FILES.iter().any(|(path, _)| path == link)).collect();
        assert!(missing.is_empty() && page.contains("js/main.js"), "{missing:?}");
        // Every file by its own length, as everywhere.
        for (path, bytes) in FILES.iter().filter(|(path, _)| path.starts_with("js/") || path.starts_with("style/")) {
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
            assert!(lines <= 400, "{path}: {lines} lines");
        }
    }
}
