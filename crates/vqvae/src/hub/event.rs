//! What is told while files go to or come from the Hub.

use std::time::Duration;

/// What is told while files go to or come from the Hub.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum HubEvent<'a> {
    /// So much of a file is here.
    Downloading {
        /// Its name.
        file: &'a str,
        /// Bytes here.
        bytes: u64,
        /// Bytes in all.
        of: u64,
    },
    /// Another process is fetching the same file.
    Waiting {
        /// Its name.
        file: &'a str,
    },
    /// A request failed and is tried again.
    Retrying {
        /// Why it failed.
        reason: &'a str,
        /// After how long: the Hub may have asked for it.
        wait: Duration,
    },
    /// The Hub cannot be reached; what was pulled before is used.
    UsingCache {
        /// Why.
        reason: &'a str,
        /// The commit that is in the cache.
        commit: &'a str,
    },
    /// A commit is on its way to the Hub.
    Uploading {
        /// Its size.
        bytes: u64,
    },
}
