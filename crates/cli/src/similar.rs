//! Paths that somebody may have meant.

use std::path::Path;

/// Entries of a folder that are looked at.
const MAX_ENTRIES: usize = 10_000;

/// The path that exists and is most like `path`, of a folder and a name in it, if one is.
pub fn similar_path(path: &str) -> Option<String> {
    let (folder, name) = path.split_once('/')?;
    if Path::new(folder).is_dir() {
        return Some(format!("{folder}/{}", nearest(folder, name)?));
    }
    let folder = nearest(".", folder)?;
    Path::new(&folder).join(name).exists().then(|| format!("{folder}/{name}"))
}

/// The entry of a folder that is most like `name`.
fn nearest(folder: &str, name: &str) -> Option<String> {
    let entries = std::fs::read_dir(folder).ok()?.take(MAX_ENTRIES);
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let (distance, nearest) = names.map(|entry| (edits(&entry, name), entry)).min()?;
    (distance <= most_edits(name)).then_some(nearest)
}

/// How many letters may differ in what is still the same word.
fn most_edits(name: &str) -> usize {
    (name.chars().count() / 3).clamp(1, 3)
}

/// How many letters have to be put in, taken out or replaced to make one word of the other; letters count alike in
/// either case.
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (number, letter) in (1..).zip(one.to_lowercase().chars()) {
        let mut diagonal = std::mem::replace(&mut row[0], number);
        for at in 0..other.len() {
            let replaced = diagonal + usize::from(other[at] != letter);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_compared_letter_by_letter() {
        for (one, other, count) in [
            ("", "", 0),
            ("a", "", 1),
            ("mine", "mime", 1),
            ("kitten", "sitting", 3),
            ("Mine", "mine", 0),
            ("é", "e", 1),
        ] {
            assert_eq!((edits(one, other), edits(other, one)), (count, count), "{one} {other}");
        }
    }
}
