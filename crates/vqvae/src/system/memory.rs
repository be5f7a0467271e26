//! How much memory the system has left, asked before something large is allocated.

use crate::error::{Error, Result};

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
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn available() -> Option<u64> {
    crate::system::limits::available(std::path::Path::new("/"))
}

/// The same where addresses have 32 bits and memory only grows, by pages of 64 KiB. What was freed is not counted.
#[cfg(target_arch = "wasm32")]
pub(crate) fn available() -> Option<u64> {
    Some((1 << 32) - ((std::arch::wasm32::memory_size(0) as u64) << 16))
}
