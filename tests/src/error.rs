//! What can go wrong while a node is built, booted or asked.

use std::io;
use std::path::Path;
use std::time::Duration;

/// The result of everything in this library.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something did not happen; the text is for the person who reads the test's failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This machine cannot boot a login node; the text names what would help.
    #[error("{0}")]
    Unable(String),
    /// A command ended with a code other than 0.
    #[error("`{command}` ended with {code}: {output}")]
    Failed {
        /// The command line.
        command: String,
        /// Its exit code, or 128 and the signal.
        code: i32,
        /// The end of what it wrote, standard error first.
        output: String,
    },
    /// A command, or a condition waited for, was not done in time.
    #[error("{what}: not within {limit:?}{hint}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
        /// What was seen instead, if anything.
        hint: String,
    },
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The refusal.
        source: io::Error,
    },
    /// An answer that is not as it must be.
    #[error("{0}")]
    Wrong(String),
}

impl Error {
    /// For `map_err`: an I/O error while doing `what`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        move |source| Error::Io { what, source }
    }

    /// For `map_err`: an I/O error at `path`.
    pub fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
        Error::io(path.display().to_string())
    }

    /// For `map_err`: a kernel error while doing `what`.
    pub fn errno(what: impl Into<String>) -> impl FnOnce(nix::errno::Errno) -> Error {
        let what = what.into();
        move |errno| Error::Io { what, source: io::Error::from(errno) }
    }
}
