//! Names in braces: `{000000..000127}.tar` and `{train,extra}.tar` stand for several.

use std::path::{Path, PathBuf};

use crate::error::DatasetError;

/// The most names that one stands for.
const MOST: usize = 1 << 20;

/// What a path stands for: itself where it has no braces, or is there as it is.
///
/// A range counts up or down, and its numbers have as many digits as the longer of its ends. Braces that hold neither a
/// range nor a comma stand for themselves.
///
/// # Errors
/// When it stands for too many names.
pub(crate) fn expand_braces(path: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    match path.to_str() {
        Some(text) if text.contains('{') && !path.exists() => {
            let mut names = Vec::new();
            expand("", text, &mut names)
                .map_err(|reason| DatasetError::Pattern { pattern: text.to_owned(), reason })?;
            Ok(names.into_iter().map(PathBuf::from).collect())
        }
        _ => Ok(vec![path.to_path_buf()]),
    }
}

/// Adds what `rest` stands for behind `before`.
fn expand(before: &str, rest: &str, names: &mut Vec<String>) -> Result<(), String> {
    let mut from = 0;
    while let Some(open) = rest[from..].find('{').map(|at| from + at) {
        let Some(close) = rest[open..].find('}').map(|at| open + at) else { break };
        // The innermost braces are looked at first.
        let open = rest[open..close].rfind('{').map_or(open, |inner| open + inner);
        if let Some(words) = words(&rest[open + 1..close])? {
            for word in words {
                let joined = format!("{}{word}", &rest[..open]);
                // What stands before may have braces of its own, around these.
                match joined.contains('{') {
                    true => expand(before, &format!("{joined}{}", &rest[close + 1..]), names)?,
                    false => expand(&format!("{before}{joined}"), &rest[close + 1..], names)?,
                }
            }
            return Ok(());
        }
        from = close + 1;
    }
    if names.len() == MOST {
        return Err(format!("it stands for more than {MOST} names"));
    }
    names.push(format!("{before}{rest}"));
    Ok(())
}

/// What stands in braces; nothing where it stands for itself.
fn words(inner: &str) -> Result<Option<Vec<String>>, String> {
    if let Some((first, last)) = inner.split_once("..") {
        let (Ok(from), Ok(to)) = (first.parse::<u64>(), last.parse::<u64>()) else { return Ok(None) };
        if from.abs_diff(to) >= MOST as u64 {
            return Err(format!("it stands for more than {MOST} names"));
        }
        let digits = first.len().max(last.len());
        let padded = first.starts_with('0') && first.len() > 1 || last.starts_with('0') && last.len() > 1;
        let word = |number: u64| if padded { format!("{number:0digits$}") } else { number.to_string() };
        return Ok(Some(match from <= to {
            true => (from..=to).map(word).collect(),
            false => (to..=from).rev().map(word).collect(),
        }));
    }
    Ok(inner.contains(',').then(|| inner.split(',').map(str::to_owned).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Vec<String> {
        let names = expand_braces(Path::new(text)).unwrap();
        names.into_iter().map(|name| name.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn ranges_and_lists_stand_for_names() {
        assert_eq!(expanded("s/{000..002}.tar"), ["s/000.tar", "s/001.tar", "s/002.tar"]);
        assert_eq!(expanded("{9..11}.tar"), ["9.tar", "10.tar", "11.tar"]);
        assert_eq!(expanded("{2..1}"), ["2", "1"]);
        assert_eq!(expanded("{a,b}-{0..1}.tar"), ["a-0.tar", "a-1.tar", "b-0.tar", "b-1.tar"]);
        assert_eq!(expanded("{x,y{1..2}}.tar"), ["x.tar", "y1.tar", "x.tar", "y2.tar"]);
        assert_eq!(expanded("{0098..0101}"), ["0098", "0099", "0100", "0101"]);
        for same in ["a.tar", "{a}.tar", "{a..b}", "{", "a{b", "}{", "{1..}"] {
            assert_eq!(expanded(same), [same]);
        }
        for many in ["{0..9999999999}", "{0..18446744073709551615}", "{0..2000}{0..2000}"] {
            assert!(expand_braces(Path::new(many)).unwrap_err().to_string().contains("more than"), "{many}");
        }
    }
}
