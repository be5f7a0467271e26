//! Whether the files that the page loads, which are built beforehand, are those of the sources.

use std::path::Path;

use ksom_vqvae::system::sha256;

/// `built_from.txt` names each source file that they were built from, behind its SHA-256, and each package with its version.
/// A new source file shows in the one that names it as a module.
#[test]
fn the_page_is_built_from_these_sources() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| std::fs::read(workspace.join(path)).unwrap_or_default();
    let text = |path: &str| String::from_utf8(read(path)).unwrap_or_default();
    let (built_from, lock) = (text("crates/web/page/pkg/built_from.txt"), text("Cargo.lock"));
    let is_as_it_was = |line: &str| match line.split_once("  ") {
        Some((hash, path)) => sha256(&read(path)) == hash,
        None => line
            .split_once(' ')
            .is_some_and(|(name, version)| lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n"))),
    };
    let (files, packages): (Vec<&str>, Vec<&str>) = built_from.lines().partition(|line| line.contains("  "));
    assert!(files.len() > 50 && packages.len() > 20, "crates/web/page/pkg/built_from.txt is not what is expected");
    let others: Vec<&str> = files.into_iter().chain(packages).filter(|line| !is_as_it_was(line)).collect();
    assert!(
        others.is_empty(),
        "crates/web/page/pkg is stale: run scripts/build_web.sh and commit what it writes. Since it was built these have \
         changed:\n{}",
        others.join("\n")
    );
}
