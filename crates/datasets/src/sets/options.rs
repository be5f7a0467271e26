//! How a data set is opened.

use crate::decode::DecodeOptions;

/// Which pictures a run is validated on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Validation {
    /// A seeded share of the training images, which are then not trained on.
    Split,
    /// The data set's own validation images; as [`Self::Split`] where it has none.
    #[default]
    OwnSet,
}

/// What happens to pictures that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnreadable {
    /// The first that is met is an error that names it.
    #[default]
    Fail,
    /// All pictures are decoded once when the data set is opened; those that fail are left out and listed in
    /// [`crate::DataSet::unreadable`].
    Skip,
}

/// How a data set is opened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DataOptions {
    /// What the split is drawn from.
    pub seed: u64,
    /// The share of the training images that are split off for validation, where a split is made. 0.2 by default.
    pub valid_fraction: f64,
    /// Which pictures a run is validated on.
    pub valid_from: Validation,
    /// The share of the remaining training images that are trained on. 1 by default.
    pub train_fraction: f64,
    /// The most pictures of each set that are validated on, spread evenly over it. All by default.
    pub valid_images: Option<usize>,
    /// What happens to pictures that cannot be decoded.
    pub on_unreadable: OnUnreadable,
    /// How pictures are decoded.
    pub decode: DecodeOptions,
    /// How many bytes of decoded pictures are kept in memory after they were first used. 1 GiB by default.
    pub keep_decoded: u64,
}

impl Default for DataOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            valid_fraction: 0.2,
            valid_from: Validation::default(),
            train_fraction: 1.0,
            valid_images: None,
            on_unreadable: OnUnreadable::default(),
            decode: DecodeOptions::default(),
            keep_decoded: 1 << 30,
        }
    }
}
