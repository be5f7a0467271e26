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

/// Bytes that can be allocated without swapping: what Linux calls available, or the control group's limit if that is
/// less. `None` on other systems.
pub(crate) fn available() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let available = meminfo_bytes(&meminfo, "MemAvailable:")?;
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    Some(limit.map_or(available, |limit: u64| limit.min(available)))
}

fn meminfo_bytes(meminfo: &str, field: &str) -> Option<u64> {
    let rest = meminfo.lines().find_map(|line| line.strip_prefix(field))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_read() {
        let text = "MemTotal:       24617020 kB\nMemFree:        20000000 kB\nMemAvailable:   23000001 kB\n";
        assert_eq!(meminfo_bytes(text, "MemAvailable:"), Some(23_000_001 * 1024));
        assert_eq!(meminfo_bytes("MemAvailable: many", "MemAvailable:"), None);
    }
}
