//! Data sets by name: `folder:photos`, `cifar10:data` → the pictures to train on, to validate on and to test on.

pub(crate) mod layout;
pub(crate) mod open;
pub(crate) mod spec;

pub use open::{DataOptions, DataSet, NamedSource, OnUnreadable, Part, Validation, open};
pub use spec::{DataKind, DataSpec, Member};
