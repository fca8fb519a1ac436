//! A directory held by descriptor, and what is done in it without trusting what stands there.

use std::{
    fmt::Write as _,
    fs::File,
    io::Write as _,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, Stat, fchmod, fchown, fstat, mkdirat,
        open, openat, readlinkat, renameat, renameat_with, symlinkat, unlinkat,
    },
    io::Errno,
    process::{Uid, geteuid},
};

use super::mount;
use crate::{account::ports::TokenFileError, clock::Random};

const TEMPORARY: &str = ".iamd-";
/// A user who changes a name as fast as we look at it is told so after this many rounds.
const ROUNDS: usize = 16;
const MOST_NAMES: usize = 65_536;

/// What went wrong, before the path is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    InTheWay(&'static str),
    Errno(Errno),
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        match errno {
            // The answers of O_NOFOLLOW, O_DIRECTORY and of a rename over a mount point.
            Errno::LOOP => Self::InTheWay("a symbolic link"),
            Errno::NOTDIR => Self::InTheWay("something that is not a directory"),
            Errno::XDEV | Errno::BUSY => Self::InTheWay("a mount point"),
            other => Self::Errno(other),
        }
    }
}

impl Fault {
    pub(super) fn at(self, path: &Path) -> TokenFileError {
        let path = path.display().to_string();
        match self {
            Self::InTheWay(what) => TokenFileError::InTheWay { path, what },
            Self::Errno(errno) => {
                TokenFileError::Io { path, error: std::io::Error::from(errno).to_string() }
            }
        }
    }
}

/// A name for a file that is not finished yet: nobody can have put something there before.
pub(super) fn temporary_name(random: &dyn Random) -> String {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    let mut name = TEMPORARY.to_owned();
    for byte in bytes {
        // Writing to a String does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

pub(super) fn is_temporary(name: &str) -> bool {
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    name.strip_prefix(TEMPORARY).is_some_and(|rest| rest.len() == 32 && rest.chars().all(hex))
}

/// Makes the directory of all users: anyone may pass, nobody may list.
pub(super) fn make_users_dir(path: &Path) -> Result<(), Fault> {
    match mkdirat(CWD, path, Mode::from_raw_mode(0o700)) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(fchmod(open(path, flags, Mode::empty())?, Mode::from_raw_mode(0o711))?)
}

/// An open directory.
pub(super) struct Dir(OwnedFd);

impl Dir {
    /// A directory of this process's own that nobody else may write to.
    pub(super) fn open_own(path: &Path) -> Result<Self, Fault> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = open(path, flags, Mode::empty())?;
        let stat = fstat(&dir)?;
        if stat.st_uid != geteuid().as_raw() {
            return Err(Fault::InTheWay("a directory that is not the daemon's"));
        }
        if Mode::from_raw_mode(stat.st_mode).intersects(Mode::WGRP | Mode::WOTH) {
            return Err(Fault::InTheWay("a directory that others may write to"));
        }
        Ok(Self(dir))
    }

    /// A descriptor that the caller has checked.
    pub(super) fn checked(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// The directory `name` in this one, if it belongs to `owner`. A mount on it is refused before
    /// it is asked anything: a user can mount a FUSE file system there that never answers.
    pub(super) fn directory_of(&self, name: &str, owner: Uid) -> Result<Self, Fault> {
        let seen = self.open_here(name, OFlags::DIRECTORY)?;
        // The descriptor that was checked, opened again for use: no name is resolved twice.
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = openat(&seen, ".", flags, Mode::empty())?;
        if fstat(&dir)?.st_uid != owner.as_raw() {
            return Err(Fault::InTheWay("a directory of another owner"));
        }
        Ok(Self(dir))
    }

    /// Makes a directory of `owner`'s. It gets its name last, so that one that has its name
    /// has its owner too, wherever we were killed.
    pub(super) fn make_directory(&self, name: &str, temp: &str, owner: Uid) -> Result<(), Fault> {
        mkdirat(&self.0, temp, Mode::RWXU)?;
        crate::fault_point!("token-file.directory-made", name);
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made: Result<(), Fault> = (|| {
            // Where this directory is a user's, something else may stand there by now.
            let seen = self.open_here(temp, OFlags::DIRECTORY)?;
            let dir = openat(&seen, ".", flags, Mode::empty())?;
            fchmod(&dir, Mode::RWXU)?;
            fchown(&dir, Some(owner), None)?;
            Ok(renameat_with(&self.0, temp, &self.0, name, RenameFlags::NOREPLACE)?)
        })();
        if made.is_err() {
            let _ = unlinkat(&self.0, temp, AtFlags::REMOVEDIR);
        }
        match made {
            // Somebody else of us was faster.
            Err(Fault::Errno(Errno::EXIST)) => Ok(()),
            other => other,
        }
    }

    /// Makes a link; something that stands there already is in the way.
    pub(super) fn make_link(&self, name: &str, target: &str) -> Result<(), Fault> {
        match symlinkat(target, &self.0, name) {
            Err(Errno::EXIST) => Err(Fault::InTheWay("something that was put there just now")),
            other => Ok(other?),
        }
    }

    /// Where the link at a name leads; anything but a link is in the way.
    pub(super) fn link_at(&self, name: &str) -> Result<Option<String>, Fault> {
        let Some(stat) = self.look(name)? else { return Ok(None) };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            return Err(Fault::InTheWay(kind(&stat)));
        }
        let target = readlinkat(&self.0, name, Vec::new())?;
        Ok(Some(String::from_utf8_lossy(target.as_bytes()).into_owned()))
    }

    /// Removes a link that was looked at.
    pub(super) fn remove_link(&self, name: &str) -> Result<(), Fault> {
        Ok(unlinkat(&self.0, name, AtFlags::empty())?)
    }

    pub(super) fn remove_directory(&self, name: &str) -> Result<(), Fault> {
        Ok(unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    pub(super) fn mode(&self) -> Result<Mode, Fault> {
        Ok(Mode::from_raw_mode(fstat(&self.0)?.st_mode))
    }

    /// The names in this directory that `wanted` accepts, [`MOST_NAMES`] of them at most: whoever
    /// owns the directory may have made a million.
    pub(super) fn names(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, Fault> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            if let Ok(name) = entry?.file_name().to_str()
                && wanted(name)
                && names.len() < MOST_NAMES
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// What stands at a name, without following it, entering it or asking a mount.
    pub(super) fn look(&self, name: &str) -> Result<Option<Stat>, Fault> {
        match self.open_here(name, OFlags::empty()) {
            Ok(found) => Ok(Some(fstat(found)?)),
            Err(Fault::Errno(Errno::NOENT)) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// What stands at a name, not followed, as a descriptor that only names it; refused where it
    /// is on another mount than this directory. `openat2` would do it in one call, but under
    /// `RestrictSUIDSGID=` systemd lets nobody have that: its filter cannot see the mode inside.
    fn open_here(&self, name: &str, flags: OFlags) -> Result<OwnedFd, Fault> {
        let flags = flags | OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = openat(&self.0, name, flags, Mode::empty())?;
        if mount::id_of(&found)? != mount::id_of(&self.0)? {
            return Err(Fault::InTheWay("a mount point"));
        }
        Ok(found)
    }

    /// Puts a file of `owner`'s with these bytes at `name`, in one step for those who read it.
    pub(super) fn replace(
        &self,
        name: &str,
        bytes: &[u8],
        owner: Uid,
        temp: &str,
    ) -> Result<(), Fault> {
        // First look, then write: what is in the way costs nothing.
        if let Some(stat) = self.look(name)? {
            replaceable(&stat, owner)?;
        }
        let file = self.create(temp)?;
        crate::fault_point!("token-file.made", name);
        let filled = Self::fill(&file, bytes, owner);
        crate::fault_point!("token-file.filled", name);
        let put = filled.and_then(|()| self.exchange(name, temp, |stat| replaceable(stat, owner)));
        crate::fault_point!("token-file.in-place", name);
        if put.is_err() {
            self.discard(temp, &file);
        }
        put
    }

    /// Gives `name` to what stands at `temp`. What stood there before is removed if `ours` accepts
    /// it, else it is put back.
    pub(super) fn exchange(
        &self,
        name: &str,
        temp: &str,
        ours: impl Fn(&Stat) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let rename = |flags| renameat_with(&self.0, temp, &self.0, name, flags);
        for _ in 0..ROUNDS {
            let Some(stat) = self.look(name)? else {
                match rename(RenameFlags::NOREPLACE) {
                    Err(Errno::EXIST) => continue,
                    other => return Ok(other?),
                }
            };
            ours(&stat)?;
            match rename(RenameFlags::EXCHANGE) {
                Ok(()) => {}
                // Removed since we looked; or it is `temp` that is gone, which the next round says.
                Err(Errno::NOENT) => continue,
                // A file system that cannot exchange; none that /run is on.
                Err(Errno::INVAL) => return Ok(renameat(&self.0, temp, &self.0, name)?),
                Err(errno) => return Err(errno.into()),
            }
            crate::fault_point!("token-file.exchanged", name);
            let Some(out) = self.look(temp)? else { return Ok(()) };
            if let Err(fault) = ours(&out) {
                // It was changed between the look and the exchange.
                let _ = rename(RenameFlags::EXCHANGE).or_else(|_| rename(RenameFlags::NOREPLACE));
                return Err(fault);
            }
            return Ok(unlinkat(&self.0, temp, AtFlags::empty())?);
        }
        Err(Fault::InTheWay("something that keeps changing"))
    }

    /// Removes the file at `name` if it is one that we would replace. Absent is success.
    pub(super) fn remove_ours(&self, name: &str, owner: Uid, temp: &str) -> Result<(), Fault> {
        self.remove(name, temp, |_, stat| replaceable(stat, owner))
    }

    /// Removes what stands at `name` if `ours` accepts it, before and after it got another name.
    pub(super) fn remove(
        &self,
        name: &str,
        temp: &str,
        ours: impl Fn(&str, &Stat) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let Some(stat) = self.look(name)? else { return Ok(()) };
        ours(name, &stat)?;
        match renameat_with(&self.0, name, &self.0, temp, RenameFlags::NOREPLACE) {
            Err(Errno::NOENT) => return Ok(()),
            other => other?,
        }
        let Some(out) = self.look(temp)? else { return Ok(()) };
        if let Err(fault) = ours(temp, &out) {
            let _ = renameat_with(&self.0, temp, &self.0, name, RenameFlags::NOREPLACE);
            return Err(fault);
        }
        Ok(unlinkat(&self.0, temp, AtFlags::empty())?)
    }

    fn create(&self, temp: &str) -> Result<File, Fault> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(File::from(openat(&self.0, temp, flags | OFlags::CLOEXEC, mode)?))
    }

    /// Content first, owner last: until it is whole, the user cannot open it.
    fn fill(mut file: &File, bytes: &[u8], owner: Uid) -> Result<(), Fault> {
        fchmod(file, Mode::RUSR | Mode::WUSR)?;
        file.write_all(bytes)
            .map_err(|error| Fault::Errno(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        Ok(fchown(file, Some(owner), None)?)
    }

    /// Removes an unfinished file, if the user did not put something else there.
    fn discard(&self, temp: &str, file: &File) {
        let same = |found: &Stat| {
            fstat(file).is_ok_and(|ours| (ours.st_dev, ours.st_ino) == (found.st_dev, found.st_ino))
        };
        if self.look(temp).ok().flatten().is_some_and(|found| same(&found)) {
            let _ = unlinkat(&self.0, temp, AtFlags::empty());
        }
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether a token file may take the place of this: a plain file of the user's or of ours, known
/// under no other name.
fn replaceable(stat: &Stat, owner: Uid) -> Result<(), Fault> {
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Fault::InTheWay(kind(stat)));
    }
    if stat.st_uid != owner.as_raw() && stat.st_uid != geteuid().as_raw() {
        return Err(Fault::InTheWay("a file of another owner"));
    }
    if stat.st_nlink > 1 {
        return Err(Fault::InTheWay("a file with several names"));
    }
    Ok(())
}

fn kind(stat: &Stat) -> &'static str {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => "a file",
        FileType::Symlink => "a symbolic link",
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "something unknown",
    }
}
