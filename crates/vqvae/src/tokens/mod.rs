//! Shards of pictures → shards of tokens, and back to pictures: one file of codes for each shard, with the same keys.
//!
//! A [`TokenFolder`] holds a manifest, which says what made the tokens, and for each shard its tokens and a report. A
//! shard's tokens get their name when they are whole, so whatever lacks its tokens is what remains to be done. Any number
//! of processes, on any number of machines, may work on one folder. docs/codes.md describes the files.

mod card;
mod encode;
#[cfg(feature = "hub")]
mod fetch;
mod folder;
mod form;
mod kept;
mod manifest;
mod parquet_reader;
mod parquet_writer;
mod part;
mod reader;
mod report;
mod tar_writer;
mod writer;

pub use card::token_card;
pub use encode::{TokenEvent, TokenSource};
#[cfg(feature = "hub")]
pub use fetch::WebStream;
pub use folder::{Outcome, TokenFolder};
pub use form::TokenForm;
pub use manifest::{MANIFEST_FILE, Manifest};
pub use parquet_reader::TakeTokens;
pub use part::Part;
pub use reader::{TokenShard, find_token_shards};
pub use report::{ShardReport, Skipped};
