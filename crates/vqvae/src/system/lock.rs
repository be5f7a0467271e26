//! The system's locks on files: they end with the process, however that ends.

use std::fs::{File, TryLockError};

/// Takes the lock unless another process holds it; false if one does. On a file system that has no locks (NFS without
/// its lock daemon, for one) there is nothing to be known, and nobody is kept out.
pub(crate) fn try_lock(file: &File) -> bool {
    !matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

/// Waits until no other process holds the lock, as far as the file system knows.
#[cfg(any(feature = "hub", feature = "shards"))]
pub(crate) fn wait_for_lock(file: &File) {
    // What fails is the locking itself: see above.
    let _ = file.lock();
}
