//! What became of a shard: the JSON beside its tokens.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What became of a shard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardReport {
    /// The shard's name.
    pub shard: String,
    /// Where its pictures came from.
    pub input: String,
    /// The model that made its tokens, and the hash of its codebooks.
    pub model: String,
    /// [`crate::Model::fingerprint`].
    pub fingerprint: String,
    /// Pictures whose codes are there.
    pub pictures: usize,
    /// Codes of all levels.
    pub codes: u64,
    /// Pixels of these pictures, as they were encoded.
    pub pixels: u64,
    /// Pictures that are not there, each with the reason.
    pub skipped: Vec<Skipped>,
    /// The same by reason.
    pub skipped_by_reason: BTreeMap<String, usize>,
    /// Samples without a picture.
    pub without_picture: usize,
    /// Entries of the shard that are not read, by kind.
    pub passed_over: BTreeMap<String, usize>,
    /// Members of samples that this form does not keep, by extension.
    pub not_kept: BTreeMap<String, usize>,
    /// What was odd about pictures that were read all the same, by kind.
    pub remarks: BTreeMap<String, usize>,
    /// Bytes of the tokens.
    pub bytes: u64,
    /// Seconds from the first byte to the last.
    pub seconds: f64,
}

/// A picture whose codes are not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its key.
    pub key: String,
    /// Why.
    pub reason: String,
}

impl ShardReport {
    pub(super) fn skip(&mut self, key: String, reason: String) {
        count(&mut self.skipped_by_reason, &reason);
        self.skipped.push(Skipped { key, reason });
    }

    /// The JSON.
    pub(super) fn to_json(&self) -> String {
        // Numbers, strings and lists of them.
        serde_json::to_string_pretty(self).expect("a report is plain data") + "\n"
    }
}

/// One more of a kind.
pub(super) fn count(counts: &mut BTreeMap<String, usize>, kind: &str) {
    match counts.get_mut(kind) {
        Some(count) => *count += 1,
        None => drop(counts.insert(kind.to_string(), 1)),
    }
}
