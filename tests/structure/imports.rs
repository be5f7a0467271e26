//! Which file of a crate takes something from which other one, and the circles among them.
//!
//! A path is followed to the file of the innermost module that it names: an item that a `mod.rs` re-exports is that
//! `mod.rs`'s. Tests are left out: they may look at anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::tokens::tokens;

/// A module's path below the crate: `["model", "network"]`.
type Module = Vec<String>;

/// Which files each file takes something from.
pub type Imports = BTreeMap<String, BTreeSet<String>>;

/// Reads a crate from its root file on; `read` gives a file's text, or nothing where there is no such file.
pub fn imports(root: &str, read: &dyn Fn(&str) -> Option<String>) -> Imports {
    let mut files = BTreeMap::new();
    find_modules(root, vec![], true, read, &mut files);
    let mut imports = Imports::new();
    for (module, (file, tokens)) in &files {
        let to = imports.entry(file.clone()).or_default();
        for path in paths(tokens) {
            if let Some(target) = resolve(module, &path, &files) {
                to.insert(files[&target].0.clone());
            }
        }
        to.remove(file);
    }
    imports
}

type Files = BTreeMap<Module, (String, Vec<String>)>;

/// Follows `mod name;` from file to file.
fn find_modules(file: &str, module: Module, is_mod: bool, read: &dyn Fn(&str) -> Option<String>, files: &mut Files) {
    let text = read(file).unwrap_or_else(|| panic!("{file}: a module's file is not there"));
    let tokens = tokens(&text);
    let folder = match is_mod {
        true => file.rsplit_once('/').map_or("", |(folder, _)| folder).to_string(),
        false => file.trim_end_matches(".rs").to_string(),
    };
    for declared in tokens.windows(3).filter(|three| three[0] == "mod" && three[2] == ";") {
        let below = [module.clone(), vec![declared[1].clone()]].concat();
        let path = |name: &str| format!("{folder}/{}{name}", declared[1]);
        match read(&path(".rs")) {
            Some(_) => find_modules(&path(".rs"), below, false, read, files),
            None => find_modules(&path("/mod.rs"), below, true, read, files),
        }
    }
    files.insert(module, (file.to_string(), tokens));
}

/// Every path of several names, those of `use` with their groups unfolded.
fn paths(tokens: &[String]) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let begins = is_name(&tokens[i]) && (i == 0 || tokens[i - 1] != "::");
        if tokens[i] == "use" {
            i = use_tree(tokens, i + 1, &[], &mut paths);
        } else if begins && tokens.get(i + 1).is_some_and(|next| next == "::") {
            let mut path = vec![tokens[i].clone()];
            while i + 2 < tokens.len() && tokens[i + 1] == "::" && is_name(&tokens[i + 2]) {
                path.push(tokens[i + 2].clone());
                i += 2;
            }
            paths.push(path);
            i += 1;
        } else {
            i += 1;
        }
    }
    paths
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// One branch of a `use`: a path that ends in a name, a star, or a group of branches.
fn use_tree(tokens: &[String], from: usize, before: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    let mut i = from;
    while let Some(token) = tokens.get(i) {
        match token.as_str() {
            "{" => {
                i += 1;
                while tokens.get(i).is_some_and(|token| token != "}") {
                    i = use_tree(tokens, i, &path, paths);
                    i += usize::from(tokens.get(i).is_some_and(|token| token == ","));
                }
                return i + 1;
            }
            "as" => i += 1,
            "::" => {}
            name if is_name(name) => path.push(token.clone()),
            "*" => {}
            _ => break,
        }
        i += 1;
    }
    paths.push(path);
    i
}

/// The module that a path in `module` leads into, if it is one of this crate.
fn resolve(module: &Module, path: &[String], files: &Files) -> Option<Module> {
    let mut rest = path.iter().peekable();
    let mut at = module.clone();
    match path.first()?.as_str() {
        "crate" => at.clear(),
        "self" | "super" => {}
        // A module declared here.
        child => {
            at.push(child.to_string());
            files.get(&at)?;
        }
    }
    rest.next_if(|first| *first != "super");
    while rest.next_if(|name| *name == "super").is_some() {
        at.pop();
    }
    for name in rest {
        at.push(name.clone());
        if !files.contains_key(&at) {
            at.pop();
            break;
        }
    }
    Some(at)
}

/// The circles: each as the files that one comes through, the first again at the end.
pub fn circles(imports: &Imports) -> Vec<Vec<String>> {
    fn visit<'a>(
        file: &'a str,
        imports: &'a Imports,
        way: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
        circles: &mut Vec<Vec<String>>,
    ) {
        if let Some(start) = way.iter().position(|passed| *passed == file) {
            circles.push(way[start..].iter().chain([&file]).map(|file| file.to_string()).collect());
            return;
        }
        if done.contains(file) {
            return;
        }
        way.push(file);
        for next in imports.get(file).into_iter().flatten() {
            visit(next, imports, way, done, circles);
        }
        way.pop();
        done.insert(file);
    }
    let (mut done, mut circles) = (BTreeSet::new(), Vec::new());
    for file in imports.keys() {
        visit(file, imports, &mut Vec::new(), &mut done, &mut circles);
    }
    circles
}
