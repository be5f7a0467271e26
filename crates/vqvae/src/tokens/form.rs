//! The forms that shards of tokens have.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// What a shard of tokens is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenForm {
    /// A Parquet file: a row for each picture.
    #[default]
    Parquet,
    /// A tar file: each picture's codes as a NumPy array beside the members of its sample that are kept.
    Tar,
    /// A codes file. A shard's codes are in memory until it is written.
    Safetensors,
    /// A codes file whose codes are compressed.
    Packed,
}

impl TokenForm {
    /// What files of this form end with, behind the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Tar => "tar",
            Self::Safetensors | Self::Packed => "safetensors",
        }
    }

    /// By what a file's name ends with.
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        [Self::Parquet, Self::Tar, Self::Safetensors].into_iter().find(|form| form.extension() == extension)
    }
}
