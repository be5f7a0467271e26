//! What of a sample is kept beside its codes.

use ksom_datasets::shards::Member;

/// What a row of a Parquet file keeps: the class, and two kinds of text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) label: Option<i64>,
    pub(super) json: Option<String>,
    pub(super) txt: Option<String>,
}

impl Kept {
    /// Of a sample's members; `lost` is told the extensions of those that are not kept.
    pub(super) fn of(members: &[Member], mut lost: impl FnMut(&str)) -> Self {
        let mut kept = Self::default();
        for Member { extension, bytes } in members {
            let text = std::str::from_utf8(bytes).ok();
            let taken = match (extension.as_str(), text) {
                ("cls", Some(text)) if kept.label.is_none() => {
                    kept.label = text.trim().parse().ok();
                    kept.label.is_some()
                }
                ("json", Some(text)) if kept.json.is_none() => {
                    kept.json = Some(text.to_string());
                    true
                }
                ("txt", Some(text)) if kept.txt.is_none() => {
                    kept.txt = Some(text.to_string());
                    true
                }
                _ => false,
            };
            if !taken {
                lost(extension);
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_is_told() {
        let member = |extension: &str, bytes: &[u8]| Member { extension: extension.to_string(), bytes: bytes.to_vec() };
        let members = [
            member("cls", b"7\n"),
            member("json", b"{}"),
            member("txt", b"\xff"),
            member("seg.png", b""),
            member("cls", b"8"),
        ];
        let mut lost = Vec::new();
        let kept = Kept::of(&members, |extension| lost.push(extension.to_string()));
        assert_eq!(kept, Kept { label: Some(7), json: Some("{}".to_string()), txt: None });
        assert_eq!(lost, ["txt", "seg.png", "cls"]);
    }
}
