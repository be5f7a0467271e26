//! What the engines know of the processor's caches, as far as several of them use it.

/// Elements of the part of a panel that stays in the first-level cache.
pub(super) const PANEL_BLOCK: usize = 6 * 1024;

/// Elements between the values of neighboring tiles beyond what they need, so that they do not compete for the same
/// places of a cache.
pub(super) const APART: usize = 16;
