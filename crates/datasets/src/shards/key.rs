//! Names of a tar file's entries → keys and extensions, as WebDataset has them.

/// An entry's key, and its extension in small letters: the name up to the first dot of its last part, and what follows
/// that dot. `None` where the last part has no dot, or nothing before or after it: such an entry belongs to no sample.
pub fn split_key(name: &str) -> Option<(&str, String)> {
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = last + name[last..].find('.')?;
    let extension = &name[dot + 1..];
    (dot > last && !extension.is_empty()).then(|| (&name[..dot], extension.to_lowercase()))
}

/// Whether a name leads out of where it is: a key of it would, too.
pub(super) fn leads_out(name: &str) -> bool {
    name.starts_with('/') || name.split(['/', '\\']).any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_end_at_the_first_dot_of_the_last_part() {
        for (name, key) in [
            ("a.jpg", Some(("a", "jpg"))),
            ("n01/a.left.JPG", Some(("n01/a", "left.jpg"))),
            ("v1.0/a.b.c", Some(("v1.0/a", "b.c"))),
            ("./a.cls", Some(("./a", "cls"))),
            ("a", None),
            ("a.", None),
            (".hidden", None),
            ("b/.hidden.jpg", None),
            ("", None),
        ] {
            let found = split_key(name);
            assert_eq!(found.as_ref().map(|(key, extension)| (*key, extension.as_str())), key, "{name}");
        }
        assert!(leads_out("/a") && leads_out("a/../../b") && leads_out("..\\b") && !leads_out("a..b/c"));
    }
}
