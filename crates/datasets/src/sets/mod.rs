//! Data sets by name: `folder:photos`, `cifar10:data` → the pictures to train on, to validate on and to test on.

mod data_set;
mod layout;
mod members;
mod open;
mod options;
mod shards;
pub(crate) mod spec;

pub use data_set::{DataSet, NamedSource, Part};
pub use open::{open, open_again};
pub use options::{DataOptions, OnUnreadable, Validation};
pub use spec::{DataKind, DataSpec, Member};
