//! The tree that ARCHITECTURE.md draws.
//!
//! Each line is names, two spaces or more, and what they are: a name ends in `/` (a folder) or has a dot in it (a file).
//! Lines that are indented further lie in the folder above them; those that begin with a description go on with it.

use std::collections::BTreeSet;

/// Where descriptions begin: no name stands so far to the right.
const DESCRIPTIONS: usize = 20;

/// The paths that the tree names: folders end in `/`.
pub fn named(document: &str) -> BTreeSet<String> {
    let (_, after) = document.split_once("## The tree").expect("ARCHITECTURE.md: a section \"The tree\"");
    let tree = after.split("```").nth(1).expect("ARCHITECTURE.md: the tree between two lines of ```");
    let mut named = BTreeSet::new();
    // The folders that lead to the line, with their indentation.
    let mut folders: Vec<(usize, String)> = Vec::new();
    for line in tree.lines() {
        let indentation = line.len() - line.trim_start().len();
        let names = line.trim_start().split("  ").next().unwrap_or_default();
        let names: Vec<&str> = names.split(' ').collect();
        if indentation >= DESCRIPTIONS
            || !names.iter().all(|name| name.ends_with('/') || (name.contains('.') && !name.ends_with('.')))
        {
            continue;
        }
        folders.retain(|(of_folder, _)| *of_folder < indentation);
        let folder = folders.last().map(|(_, path)| path.clone()).unwrap_or_default();
        named.extend(names.iter().map(|name| format!("{folder}{name}")));
        if let [name] = names[..]
            && name.ends_with('/')
        {
            folders.push((indentation, format!("{folder}{name}")));
        }
    }
    named
}
