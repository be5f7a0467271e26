//! `ksom encode` and `ksom decode` where they are given shards: whole folders of files that hold many pictures each.

mod decode;
mod encode;
mod part;

pub use decode::{ShardsDecoded, decode, named};
pub use encode::{EncodeShards, ShardsEncoded, are_meant, encode};
pub use part::part;
