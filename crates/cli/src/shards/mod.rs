//! `ksom encode` and `ksom decode` where they are given shards: whole folders of files that hold many pictures each.

mod decode;
mod encode;
mod found;
mod part;

pub use decode::{ShardsDecoded, decode, named};
pub use encode::{EncodeShards, ShardsEncoded, encode};
pub use found::are_meant;
pub use part::part;
