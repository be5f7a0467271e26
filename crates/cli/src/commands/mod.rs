//! One file per command: its arguments, and one function that does it and returns data.

pub mod bench;
pub mod compare;
pub mod convert;
pub mod decode;
pub mod encode;
pub mod eval;
pub mod experiment;
pub mod explore;
pub mod export;
pub mod finetune;
pub mod info;
pub mod list;
pub mod map;
pub mod neighborhood;
pub mod perturb;
pub mod plot;
pub mod pull;
pub mod push;
#[cfg(feature = "shards")]
pub mod push_data;
pub mod reconstruct;
pub mod train;
pub mod usage;
