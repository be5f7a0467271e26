//! A model as those who need it share it.

use ksom_vqvae::Model as Network;

/// A model that codes are made by, and what it is called.
pub(crate) struct Loaded {
    pub(crate) network: Network,
    pub(crate) name: String,
    pub(crate) fingerprint: String,
}
