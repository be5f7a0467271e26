//! Shards: files that hold many pictures each, read as streams, one sample after the other.
//!
//! A shard is a tar file as WebDataset has them (`.tar`, `.tar.gz`, `.tar.zst`), or a Parquet file. In a tar file neighbors
//! whose names agree up to the first dot of their last part are one sample: `n01/0007.jpg` and `n01/0007.cls` are the
//! sample `n01/0007`. A row of a Parquet file is a sample; its key is what the column `key` or `__key__` says, else the
//! row's number.
//!
//! Nothing is believed: the length of names, the size of entries, and how much larger a shard becomes when it is unpacked
//! are bounded. Links, sparse files and devices are never followed or made: they are counted ([`Piece::PassedOver`]).

mod address;
mod entries;
mod find;
mod index;
mod key;
mod reader;
mod samples;
mod unpack;

pub use address::WebShard;
pub use find::{ShardFile, ShardFiles, ShardKind};
pub use key::split_key;
pub use reader::{ShardReader, read_note, read_shard, read_stream};
pub use samples::{Member, NOTE, Piece, Sample};

pub(crate) use index::{ShardIndex, unpack};

pub use crate::sources::parquet::check_parquet_pages;
