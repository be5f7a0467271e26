//! How much memory the system has left, asked before something large is allocated.

use crate::error::{Error, Result};

/// Bytes of an f32.
pub(crate) const FLOAT: u128 = 4;

/// Refuses what needs more memory than there is; `what` says what it is for.
///
/// # Errors
/// The system says that less is available. Where it does not say, nothing is refused.
pub(crate) fn require(bytes: u64, what: impl FnOnce() -> String) -> Result<()> {
    check(available(), None, bytes, what, |_| None)
}

/// Refuses what needs more than is `available` on a device, or here; `in_parts` says into how many parts a batch can be cut
/// so that it may fit into so many bytes.
///
/// # Errors
/// It needs more.
pub(crate) fn check(
    available: Option<u64>,
    device: Option<&'static str>,
    bytes: u64,
    what: impl FnOnce() -> String,
    in_parts: impl FnOnce(u64) -> Option<usize>,
) -> Result<()> {
    match available {
        Some(available) if bytes > available => {
            Err(Error::Memory { what: what(), needed: bytes, available, device, accumulate: in_parts(available) })
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_by_the_devices_name() {
        let room = |available, device, bytes| {
            let what = || "training with 64 pictures at once".into();
            check(available, device, bytes, what, |free| Some(free as usize / 1_000_000_000))
        };
        assert!(room(None, None, u64::MAX).is_ok());
        assert!(room(Some(5), None, 5).is_ok());
        let text = room(Some(2_000_000_000), Some("the CUDA device"), 3_000_000_000).unwrap_err().to_string();
        for part in ["64 pictures", "3.0 GB of memory on the CUDA device", "2.0 GB", "in 2 parts"] {
            assert!(text.contains(part), "{text}");
        }
        let text = room(Some(2_000_000_000), None, 3_000_000_000).unwrap_err().to_string();
        assert!(text.contains("3.0 GB of memory, 2.0 GB"), "{text}");
    }
}
