//! Which file of a crate takes something from which other one, and the circles among them.
//!
//! A path is followed to the file where what it names is defined, through every re-export; a re-export itself
//! (`pub use`) takes nothing. Tests are left out: they may look at anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::tokens::tokens;

/// A module's path below the crate: `["model", "network"]`.
type Module = Vec<String>;

/// Which files each file takes something from.
pub type Imports = BTreeMap<String, BTreeSet<String>>;

/// A path as it is written.
struct Named {
    path: Vec<String>,
    /// The name that a `use` gives it; the star for everything.
    name: Option<String>,
    /// Whether it stands in a `pub use`.
    passed_on: bool,
}

/// A module's file, and every path in it.
struct Source {
    file: String,
    named: Vec<Named>,
}

type Sources = BTreeMap<Module, Source>;

/// Reads a crate from its root file on; `read` gives a file's text, or nothing where there is no such file.
pub fn imports(root: &str, read: &dyn Fn(&str) -> Option<String>) -> Imports {
    let mut sources = Sources::new();
    find_modules(root, vec![], true, read, &mut sources);
    let mut imports = Imports::new();
    for (module, source) in &sources {
        let taken_from = imports.entry(source.file.clone()).or_default();
        for named in source.named.iter().filter(|named| !named.passed_on) {
            if let Some(home) = home(module, &named.path, &sources, 0) {
                taken_from.insert(sources[&home].file.clone());
            }
        }
        taken_from.remove(&source.file);
    }
    imports
}

/// Follows `mod name;` from file to file.
fn find_modules(file: &str, module: Module, is_mod: bool, read: &dyn Fn(&str) -> Option<String>, to: &mut Sources) {
    let text = read(file).unwrap_or_else(|| panic!("{file} is declared and not there"));
    let tokens = tokens(&text);
    let folder = match is_mod {
        true => file.rsplit_once('/').map_or("", |(folder, _)| folder).to_string(),
        false => file.trim_end_matches(".rs").to_string(),
    };
    for declared in tokens.windows(3).filter(|three| three[0] == "mod" && three[2] == ";") {
        let below = [module.clone(), vec![declared[1].clone()]].concat();
        let path = |name: &str| format!("{folder}/{}{name}", declared[1]);
        match read(&path(".rs")) {
            Some(_) => find_modules(&path(".rs"), below, false, read, to),
            None => find_modules(&path("/mod.rs"), below, true, read, to),
        }
    }
    to.insert(module, Source { file: file.to_string(), named: named(&tokens) });
}

/// Every path of several names, those of `use` with their groups unfolded.
fn named(tokens: &[String]) -> Vec<Named> {
    let token = |i: usize| tokens.get(i).map_or("", String::as_str);
    let mut found = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        if token(i) == "use" {
            let passed_on = i > 0 && (token(i - 1) == "pub" || token(i - 1) == ")");
            i = use_tree(tokens, i + 1, &[], passed_on, &mut found);
        } else if is_name(token(i)) && token(i + 1) == "::" && (i == 0 || token(i - 1) != "::") {
            let mut path = vec![token(i).to_string()];
            while token(i + 1) == "::" && is_name(token(i + 2)) {
                path.push(token(i + 2).to_string());
                i += 2;
            }
            found.push(Named { path, name: None, passed_on: false });
            i += 1;
        } else {
            i += 1;
        }
    }
    found
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// One branch of a `use`: a path that ends in a name, a star, or a group of branches. Gives the place behind it.
fn use_tree(tokens: &[String], from: usize, before: &[String], passed_on: bool, found: &mut Vec<Named>) -> usize {
    let token = |i: usize| tokens.get(i).map_or("", String::as_str);
    let mut path = before.to_vec();
    let mut name = None;
    let mut i = from;
    loop {
        match token(i) {
            "{" => {
                i += 1;
                while !["}", ""].contains(&token(i)) {
                    i = use_tree(tokens, i, &path, passed_on, found);
                    i += usize::from(token(i) == ",");
                }
                return i + 1;
            }
            "as" => {
                name = Some(token(i + 1).to_string());
                i += 1;
            }
            "*" => name = Some("*".to_string()),
            "::" => {}
            next if is_name(next) => path.push(next.to_string()),
            _ => break,
        }
        i += 1;
    }
    // `a::{self}` is `a`.
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let name = name.or_else(|| path.last().cloned());
    found.push(Named { path, name, passed_on });
    i
}

/// The module of this crate in which is defined what `path` means in `module`.
fn home(module: &Module, path: &[String], sources: &Sources, depth: usize) -> Option<Module> {
    assert!(depth < 32, "{path:?} in {module:?} leads to itself");
    let mut at = module.clone();
    let mut rest = path.iter().peekable();
    match path.first()?.as_str() {
        "crate" => {
            at.clear();
            rest.next();
        }
        "self" => drop(rest.next()),
        "super" => {}
        // A module declared here, or a name of another crate.
        child => drop(sources.get(&[module.clone(), vec![child.to_string()]].concat())?),
    }
    while rest.next_if(|name| *name == "super").is_some() {
        at.pop();
    }
    while let Some(name) = rest.next() {
        let below = [at.clone(), vec![name.clone()]].concat();
        if sources.contains_key(&below) {
            at = below;
            continue;
        }
        let given = sources[&at].named.iter().find(|named| named.name.as_ref() == Some(name));
        return match given {
            // Brought here from elsewhere, perhaps as a module that the rest of the path goes through.
            Some(named) => {
                let onwards: Vec<String> = named.path.iter().cloned().chain(rest.cloned()).collect();
                home(&at, &onwards, sources, depth + 1)
            }
            None => Some(at),
        };
    }
    Some(at)
}

/// The circles: each as the files that one comes through, the first again at the end.
pub fn circles(imports: &Imports) -> Vec<Vec<String>> {
    let (mut done, mut circles) = (BTreeSet::new(), Vec::new());
    for file in imports.keys() {
        visit(file, imports, &mut Vec::new(), &mut done, &mut circles);
    }
    circles
}

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
