//! What a store or the journal cannot do. Each text names the path and the way out.

use std::{io, path::Path};

/// Why a store or the journal did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The key is at another revision than expected: read again.
    #[error("the value was changed meanwhile")]
    Conflict,
    /// The lock under which it was to be written is held no more: nothing was written.
    #[error(
        "{place}: this node was not heard of in time, and the lock that it held was given up; \
         nothing was written. Try again"
    )]
    LockLost {
        /// Which store.
        place: String,
    },
    /// What happened since that revision is no longer known: list again.
    #[error("the changes since revision {after} are no longer known; list again")]
    Compacted {
        /// From where was to be watched.
        after: u64,
    },
    /// It cannot be read or written now.
    #[error("{path}: {what}")]
    Unavailable {
        /// Which file or directory.
        path: String,
        /// What failed, and the way out where there is one.
        what: String,
    },
    /// Another process works on this state directory.
    #[error(
        "{path}: another iamd{} uses this directory; stop it first",
        by.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    InUse {
        /// The lock file.
        path: String,
        /// The process that wrote its id there.
        by: Option<u32>,
    },
    /// Written by a later version of iamd.
    #[error(
        "{path}: its format is {found}, this iamd knows {known} at most; install the iamd that \
         wrote it, or restore a backup made before"
    )]
    Newer {
        /// Which file.
        path: String,
        /// The format it says it has.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
    /// Not what it should be. Nothing was changed or deleted.
    #[error(
        "{path}: damaged ({what}); it was left as it is. Keep it, and put a backup in its place; \
         or move it and its -wal and -shm files away to begin empty: then every user signs in again"
    )]
    Corrupt {
        /// Which file.
        path: String,
        /// What was found.
        what: String,
    },
    /// Permissions or owner of a file are not what they must be.
    #[error("{path}: {what}")]
    Unsafe {
        /// Which file or directory.
        path: String,
        /// What is wrong, and the command that mends it.
        what: String,
    },
}

impl StoreError {
    /// An error of the operating system at `path`, with the way out where we know one.
    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        let advice = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "; make room on this file system"
            }
            io::ErrorKind::ReadOnlyFilesystem => "; mount it writable",
            io::ErrorKind::PermissionDenied => "; iamd must own it and run as root",
            _ => "",
        };
        Self::Unavailable { path: path.display().to_string(), what: format!("{error}{advice}") }
    }

    /// Something that has no code of the operating system.
    pub(crate) fn unavailable(path: &Path, what: impl Into<String>) -> Self {
        Self::Unavailable { path: path.display().to_string(), what: what.into() }
    }
}
