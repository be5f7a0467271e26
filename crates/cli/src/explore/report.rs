//! What `ksom explore` says.

use std::path::PathBuf;

use serde::Serialize;

use crate::output::{Block, Report, bytes};

/// Where the page is.
#[derive(Serialize)]
pub struct Serving {
    pub address: String,
}

/// What was written.
#[derive(Serialize)]
pub struct Exported {
    pub folder: PathBuf,
    pub files: usize,
    pub bytes: u64,
}

impl Report for Serving {
    fn blocks(&self) -> Vec<Block> {
        vec![Block::Line(self.address.clone()), Block::Hint("Ctrl-C ends it".to_string())]
    }
}

impl Report for Exported {
    fn blocks(&self) -> Vec<Block> {
        let (folder, size) = (self.folder.display(), bytes(self.bytes));
        vec![
            Block::Line(format!("{} files, {size}, in {folder}", self.files)),
            Block::Hint(format!("to look at it: python3 -m http.server --directory {folder}")),
        ]
    }
}
