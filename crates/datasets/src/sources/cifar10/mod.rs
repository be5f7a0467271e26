//! CIFAR-10.

#[cfg(feature = "candle-datasets")]
pub(crate) mod binary;
pub(crate) mod folder;
