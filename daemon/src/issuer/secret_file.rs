//! Secrets that a site puts into files: a client's, an initial access token.

use std::{
    fs,
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::account::ports::IssuerError;

const LONGEST: u64 = 64 * 1024;

/// The content of a file that only its owner can read, without white space around it. Blocking,
/// but local and small.
///
/// # Errors
/// [`IssuerError::Local`] naming the path and the way out, never the content.
pub(super) fn read(path: &Path) -> Result<SecretString, IssuerError> {
    let wrong = |what: &str| IssuerError::Local { text: format!("{}: {what}", path.display()) };
    let io = |error: io::Error| wrong(&error.to_string());
    let file = open(path).map_err(io)?;
    let about = file.metadata().map_err(io)?;
    if !about.is_file() {
        return Err(wrong("not a file"));
    }
    let owner = about.uid();
    if owner != 0 && owner != nix::unistd::geteuid().as_raw() {
        return Err(wrong("it belongs to somebody else; chown root it"));
    }
    if about.mode() & 0o077 != 0 {
        return Err(wrong("others than its owner may read it; chmod 600 it"));
    }
    if about.len() > LONGEST {
        return Err(wrong("too long for a secret"));
    }
    let length = usize::try_from(about.len()).unwrap_or_default();
    let mut content = Zeroizing::new(String::with_capacity(length + 1));
    file.take(LONGEST).read_to_string(&mut content).map_err(io)?;
    match content.trim() {
        "" => Err(wrong("it is empty")),
        secret => Ok(secret.to_owned().into()),
    }
}

/// A pipe in a file's place must not hold who reads it, and neither may a device or a terminal.
pub(super) fn open(path: &Path) -> io::Result<fs::File> {
    use nix::fcntl::OFlag;
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
}
