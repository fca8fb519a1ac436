//! Pipes that callers hand over, to be read or written.
//!
//! Only pipes: a file could be one of a file system that the caller serves and that never answers.
//! Each is used through a description of our own, which does not block: whoever shares the
//! caller's could let it block again.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
};

use iamd_protocol::{bus::backup, error::Kind};
use rustix::fs::{OFlags, fcntl_getfl};
use secrecy::SecretString;
use tokio::net::unix::pipe::{Receiver, Sender};

use super::{BusError, secrets::read_secret};

/// The data and the passphrase of a backup.
///
/// # Errors
/// [`Kind::InvalidArgument`]: one is missing, there is another, or the passphrase cannot be read.
pub(super) async fn of_backup(
    mut given: HashMap<String, zbus::OwnedFd>,
) -> Result<(OwnedFd, SecretString), BusError> {
    let both = given.remove(backup::DATA).zip(given.remove(backup::PASSPHRASE));
    match both {
        Some((data, passphrase)) if given.is_empty() => {
            Ok((data.into(), read_secret(passphrase.into()).await?))
        }
        _ => {
            let text = format!("the descriptors are: {}, {}", backup::DATA, backup::PASSPHRASE);
            Err(BusError::new(Kind::InvalidArgument, text))
        }
    }
}

/// The pipe that `fd` is the reading end of; `what` comes by it.
///
/// # Errors
/// [`Kind::InvalidArgument`].
pub(super) fn reader(fd: OwnedFd, what: &str) -> Result<Receiver, BusError> {
    let pipe = reopened(fd, OFlags::RDONLY).and_then(Receiver::from_file_unchecked);
    pipe.map_err(|error| refused(what, "reading", &error))
}

/// The pipe that `fd` is the writing end of; `what` goes by it.
///
/// # Errors
/// [`Kind::InvalidArgument`].
pub(super) fn writer(fd: OwnedFd, what: &str) -> Result<Sender, BusError> {
    let pipe = reopened(fd, OFlags::WRONLY).and_then(Sender::from_file_unchecked);
    pipe.map_err(|error| refused(what, "writing", &error))
}

fn refused(what: &str, end: &str, error: &std::io::Error) -> BusError {
    tracing::debug!(%error, "a descriptor of a caller is of no use: {error}");
    let text = format!("{what} has to come by the {end} end of a pipe");
    BusError::new(Kind::InvalidArgument, text)
}

fn reopened(fd: OwnedFd, mode: OFlags) -> std::io::Result<File> {
    let wrong = || Err(std::io::ErrorKind::InvalidInput.into());
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    // The kernel's own text: asks no file system, and no path begins without a slash.
    let target = std::fs::read_link(&path);
    if !target.is_ok_and(|target| target.to_string_lossy().starts_with("pipe:[")) {
        return wrong();
    }
    // The one end would become the other if it were opened anew.
    if fcntl_getfl(&fd)?.intersection(OFlags::RWMODE) != mode {
        return wrong();
    }
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let writes = mode == OFlags::WRONLY;
    OpenOptions::new().read(!writes).write(writes).custom_flags(flags).open(path)
}
