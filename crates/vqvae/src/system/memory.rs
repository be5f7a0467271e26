//! How much memory the system has left, asked before something large is allocated.

use std::path::Path;

use crate::error::{Error, Result};
use crate::system::limits;

/// Bytes of an f32.
pub(crate) const FLOAT: u128 = 4;

/// Refuses what needs more memory than there is; `what` says what it is for.
///
/// # Errors
/// The system says that less is available. Where it does not say, nothing is refused.
pub(crate) fn require(bytes: u64, what: impl FnOnce() -> String) -> Result<()> {
    match available() {
        Some(available) if bytes > available => Err(Error::Memory { what: what(), needed: bytes, available }),
        _ => Ok(()),
    }
}

/// Refuses to bring `count` pictures to `width` × `height` at once, as bytes and as floats, where they do not fit.
///
/// # Errors
/// As [`require`].
pub(crate) fn require_for_pictures(count: usize, (width, height): (u32, u32)) -> Result<()> {
    let values = 3 * u128::from(width) * u128::from(height) * count as u128;
    let bytes = u64::try_from(values * (FLOAT + 1)).unwrap_or(u64::MAX);
    require(bytes, || format!("{count} pictures of {width}×{height} at once"))
}

/// Bytes that this process can still allocate. `None` where the system does not say.
pub(crate) fn available() -> Option<u64> {
    limits::available(Path::new("/"))
}
