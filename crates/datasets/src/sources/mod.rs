//! Where pictures come from: each an [`ImageSource`], one picture at a time.

pub(crate) mod cache;
pub(crate) mod cifar10;
pub(crate) mod combined;
pub(crate) mod folder;
pub(crate) mod keep;
pub(crate) mod memory;
pub(crate) mod mnist;
#[cfg(feature = "parquet")]
pub(crate) mod parquet;
mod planes;
pub(crate) mod remarks;
#[cfg(feature = "shards")]
pub(crate) mod shards;
pub(crate) mod source;

pub use cache::CachedSource;
pub use combined::{Concat, Subset};
pub use folder::FolderSource;
pub use keep::KeepSource;
pub use memory::MemorySource;
pub use remarks::Remarks;
pub use source::{ImageSource, Version};
