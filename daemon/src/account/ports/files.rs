//! The users' token files.

use std::path::PathBuf;

use secrecy::SecretString;

use crate::account::AccountName;

/// Why a token file was not written. The text names the path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenFileError {
    /// Something that is not ours stands at the path; it was left alone.
    #[error("{path}: {what} stands there; move it away")]
    InTheWay {
        /// Where.
        path: String,
        /// What.
        what: &'static str,
    },
    /// The file system refused.
    #[error("{path}: {error}")]
    Io {
        /// Where.
        path: String,
        /// What it said.
        error: String,
    },
}

/// What became of the link in the user's runtime directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkOutcome {
    /// It points to the token file.
    Linked,
    /// The user has no runtime directory now. Normal without logind.
    NoRuntimeDirectory,
    /// Something that is not ours stands there and was left alone.
    InTheWay,
}

/// The users' token files. `account` is `None` for the default account.
pub trait TokenFiles: Send + Sync + 'static {
    /// Makes the user's directory: who is here has one, with an account or without, for others can
    /// see that it is there.
    fn prepare(&self, uid: u32) -> Result<(), TokenFileError>;

    /// Replaces the file by rename; a reader sees the old token or the new one, whole.
    fn write(
        &self,
        uid: u32,
        account: Option<&AccountName>,
        token: &SecretString,
    ) -> Result<PathBuf, TokenFileError>;

    /// Removes the file. Absent is success.
    fn remove(&self, uid: u32, account: Option<&AccountName>) -> Result<(), TokenFileError>;

    /// Removes all of the user's files and their directory.
    fn remove_all(&self, uid: u32) -> Result<(), TokenFileError>;

    /// Whether a file that could be ours stands there; looks without following anything.
    fn stands(&self, uid: u32, account: Option<&AccountName>) -> bool;

    /// Makes `$XDG_RUNTIME_DIR/bt_uUID` a link to the default account's file, unless something
    /// that is not ours is there.
    fn link(&self, uid: u32) -> Result<LinkOutcome, TokenFileError>;

    /// Where the file is or would be.
    fn path(&self, uid: u32, account: Option<&AccountName>) -> PathBuf;

    /// The uids that have a directory here, for the reconciliation at start.
    fn owners(&self) -> Vec<u32>;
}
