//! `$XDG_RUNTIME_DIR/bt_uUID`, a link to the default account's file: where readers look that do
//! not know `BEARER_TOKEN_FILE` (WLCG bearer token discovery, rule 3).
//!
//! The directory is logind's: it comes with the first login, goes with the last, and is absent
//! where there is no logind. It is the user's own, so a file there stays what it is.

use std::path::Path;

use iamd_protocol::paths;
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, open, readlinkat},
    io::Errno,
};

use super::{
    Files,
    dir::{Dir, Fault},
    mount,
};
use crate::account::ports::{LinkOutcome, TokenFileError};

impl Files {
    pub(super) fn make_link(&self, uid: u32) -> Result<LinkOutcome, TokenFileError> {
        let name = paths::token_file_name(uid, None);
        let at = |fault: Fault| fault.at(&self.runtime_dir(uid).join(&name));
        let outcome = match self.open_runtime_dir(uid) {
            Ok(None) => return Ok(LinkOutcome::NoRuntimeDirectory),
            Ok(Some(dir)) => self.put_link(uid, &dir, &name),
            Err(fault) => Err(fault),
        };
        match outcome {
            Ok(()) => Ok(LinkOutcome::Linked),
            Err(Fault::InTheWay(_)) => Ok(LinkOutcome::InTheWay),
            Err(fault) => Err(at(fault)),
        }
    }

    /// Removes the link if it is ours. Anything else there, or no such directory, is success.
    pub(super) fn unlink(&self, uid: u32) -> Result<(), TokenFileError> {
        let name = paths::token_file_name(uid, None);
        let removed = match self.open_runtime_dir(uid) {
            Ok(Some(dir)) => dir.remove(&name, &self.temporary_name(), |name, stat| {
                self.is_our_link(uid, &dir, name, stat)
            }),
            Ok(None) => Ok(()),
            Err(fault) => Err(fault),
        };
        match removed {
            Ok(()) | Err(Fault::InTheWay(_)) => Ok(()),
            Err(fault) => Err(fault.at(&self.runtime_dir(uid).join(&name))),
        }
    }

    fn put_link(&self, uid: u32, dir: &Dir, name: &str) -> Result<(), Fault> {
        let target = self.user_dir(uid).join(name);
        let target = target.as_os_str();
        let Some(stat) = dir.look(name)? else {
            return match rustix::fs::symlinkat(target, dir, name) {
                Err(Errno::EXIST) => Err(Fault::InTheWay("something that was put there just now")),
                other => Ok(other?),
            };
        };
        self.is_our_link(uid, dir, name, &stat)?;
        if readlinkat(dir, name, Vec::new())?.as_bytes() == target.as_encoded_bytes() {
            return Ok(());
        }
        // Ours, and it points elsewhere below our directory.
        let temp = self.temporary_name();
        rustix::fs::symlinkat(target, dir, temp.as_str())?;
        let put = dir.exchange(name, &temp, |stat| match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => Ok(()),
            _ => Err(Fault::InTheWay("something that was put there just now")),
        });
        if put.is_err() {
            let _ = rustix::fs::unlinkat(dir, temp.as_str(), AtFlags::empty());
        }
        put
    }

    /// A symbolic link into the user's directory below ours is ours, whoever made it.
    fn is_our_link(&self, uid: u32, dir: &Dir, name: &str, stat: &Stat) -> Result<(), Fault> {
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            return Err(Fault::InTheWay("something that is not a link of ours"));
        }
        let target = readlinkat(dir, name, Vec::new())?;
        let target = String::from_utf8_lossy(target.as_bytes()).into_owned();
        let below = Path::new(&target).strip_prefix(self.user_dir(uid));
        match below.map(|name| name.components().count()) {
            Ok(1) => Ok(()),
            _ => Err(Fault::InTheWay("a link that is not ours")),
        }
    }

    fn runtime_dir(&self, uid: u32) -> std::path::PathBuf {
        self.runtime_dirs.join(uid.to_string())
    }

    /// The user's runtime directory, if it is a real directory of the user's.
    fn open_runtime_dir(&self, uid: u32) -> Result<Option<Dir>, Fault> {
        // O_PATH asks the file system nothing, which matters until we know which it is. The
        // directory above is root's: only the last name can be a trap, and it is not followed.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = self.runtime_dir(uid);
        let dir = match open(&path, flags, Mode::empty()) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => return Ok(None),
            // Something that only the user may enter, such as his FUSE mount.
            Err(Errno::ACCESS) => return Err(Fault::InTheWay("a directory that is closed to us")),
            Err(errno) => return Err(errno.into()),
        };
        if mount::is_fuse(&dir)? {
            return Err(Fault::InTheWay("a FUSE mount"));
        }
        if fstat(&dir)?.st_uid != self.ownership.of(uid).as_raw() {
            return Err(Fault::InTheWay("a directory of another owner"));
        }
        Ok(Some(Dir::checked(dir)))
    }
}
