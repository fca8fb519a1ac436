//! The users' token files: `USERS_DIR/UID/bt_uUID[-NAME]`, 0600, the user's, without a newline.
//!
//! The daemon is root and the directory `UID/` belongs to the user (`UID` is a link of ours to where
//! it is: `layout.rs`). Where the unit's mounts are there, users only read it; nothing here relies on
//! that, so all that stands in it is hostile: links, FIFOs, things that change between
//! two looks. Two rules follow. Nothing outside is written: everything goes by descriptors of
//! directories that were checked, and no link is followed. Nothing of the user's is destroyed: a name
//! is given up by the kernel in exchange, and what comes out is looked at before it is removed
//! (`dir.rs`).
//!
//! Reserved for us in that directory are `bt_uUID`, `bt_uUID-NAME` and `.iamd-` with 32 hex digits.

mod dir;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod layout;
mod link;
mod mount;

#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use iamd_protocol::paths;
use rustix::{fs::FileType, io::Errno, process::Uid};
use secrecy::{ExposeSecret, SecretString};

use self::dir::Fault;
use crate::{
    account::{
        AccountName,
        ports::{LinkOutcome, TokenFileError, TokenFiles},
    },
    clock::Random,
};

/// The shortest token that XRootD's client refuses to send (XrdSecProtocolztn.cc, `-maxsz`).
pub const REFUSED_BY_XROOTD: usize = 4096;

/// Whether a token of so many bytes is too long for XRootD with its default limit. The file is
/// written all the same; the user should be told.
pub const fn oversize(bytes: usize) -> bool {
    bytes >= REFUSED_BY_XROOTD
}

/// Whom files are given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// The user, as it should be. Needs root, or CAP_CHOWN and CAP_DAC_OVERRIDE.
    User,
    /// Whoever runs this process: a daemon that is not root, in a test.
    Myself,
}

impl Ownership {
    /// What this process can do.
    pub fn of_this_process() -> Self {
        if rustix::process::geteuid().is_root() { Self::User } else { Self::Myself }
    }

    fn of(self, uid: u32) -> Uid {
        match self {
            Self::User => Uid::from_raw(uid),
            Self::Myself => rustix::process::geteuid(),
        }
    }
}

/// The token files below one directory.
pub struct Files {
    users_dir: PathBuf,
    runtime_dirs: PathBuf,
    ownership: Ownership,
    random: Arc<dyn Random>,
    turn: Mutex<()>,
}

impl Files {
    /// Files below `users_dir` (normally `/run/iamd/users`, 0711, this process's own) and links
    /// below `runtime_dirs` (normally `/run/user`). Touches nothing yet.
    pub fn new(
        users_dir: PathBuf,
        runtime_dirs: PathBuf,
        ownership: Ownership,
        random: Arc<dyn Random>,
    ) -> Self {
        Self { users_dir, runtime_dirs, ownership, random, turn: Mutex::default() }
    }

    /// Removes what a daemon that was killed half-way left behind. For the start, before the
    /// first write.
    ///
    /// # Errors
    /// When the directory of all users is not there to be read, or is not safe.
    pub fn sweep(&self) -> Result<(), TokenFileError> {
        let Some(users) = self.users(false)? else { return Ok(()) };
        let names = users.names(dir::is_temporary).map_err(|fault| fault.at(&self.users_dir))?;
        for name in names {
            // A directory that was made but not yet named after its user; empty.
            let _ = users.remove_directory(&name);
        }
        self.clear_unnamed(&users).map_err(|fault| fault.at(&self.users_dir))?;
        for uid in self.owners() {
            // One user's oddities do not keep the others from being swept.
            let Ok(Some(dir)) = self.user(uid) else { continue };
            for name in dir.names(dir::is_temporary).unwrap_or_default() {
                let _ = dir.remove_ours(&name, self.ownership.of(uid), &self.temporary_name());
            }
        }
        Ok(())
    }

    fn write_once(&self, uid: u32, name: &str, token: &[u8]) -> Result<(), TokenFileError> {
        let dir = self.user_to_write(uid)?;
        dir.replace(name, token, self.ownership.of(uid), &self.temporary_name())
            .map_err(|fault| fault.at(&self.user_dir(uid).join(name)))
    }

    fn temporary_name(&self) -> String {
        dir::temporary_name(self.random.as_ref())
    }
}

impl TokenFiles for Files {
    fn prepare(&self, uid: u32) -> Result<(), TokenFileError> {
        check(uid, &self.user_dir(uid))?;
        self.user_to_write(uid).map(drop)
    }

    fn write(
        &self,
        uid: u32,
        account: Option<&AccountName>,
        token: &SecretString,
    ) -> Result<PathBuf, TokenFileError> {
        let path = self.path(uid, account);
        check(uid, &path)?;
        let name = paths::token_file_name(uid, account.map(AccountName::as_str));
        let token = token.expose_secret().as_bytes();
        match self.write_once(uid, &name, token) {
            // The directory went away under our hands (`remove_all`, or the user): once more.
            Err(TokenFileError::Io { .. }) if self.user(uid)?.is_none() => {
                self.write_once(uid, &name, token)?;
            }
            other => other?,
        }
        Ok(path)
    }

    fn remove(&self, uid: u32, account: Option<&AccountName>) -> Result<(), TokenFileError> {
        let path = self.path(uid, account);
        check(uid, &path)?;
        if account.is_none() {
            self.unlink(uid)?;
        }
        let Some(dir) = self.user(uid)? else { return Ok(()) };
        let name = paths::token_file_name(uid, account.map(AccountName::as_str));
        dir.remove_ours(&name, self.ownership.of(uid), &self.temporary_name())
            .map_err(|fault| fault.at(&path))
    }

    fn stands(&self, uid: u32, account: Option<&AccountName>) -> bool {
        let name = paths::token_file_name(uid, account.map(AccountName::as_str));
        let found = self.user(uid).ok().flatten().and_then(|dir| dir.look(&name).ok().flatten());
        found.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
    }

    fn remove_all(&self, uid: u32) -> Result<(), TokenFileError> {
        let path = self.user_dir(uid);
        check(uid, &path)?;
        self.unlink(uid)?;
        if let Some(dir) = self.user(uid)? {
            let ours = |name: &str| dir::is_temporary(name) || is_token_file(uid, name);
            for name in dir.names(ours).map_err(|fault| fault.at(&path))? {
                match dir.remove_ours(&name, self.ownership.of(uid), &self.temporary_name()) {
                    // A thing of the user's under a name of ours: left alone.
                    Ok(()) | Err(Fault::InTheWay(_)) => {}
                    Err(fault) => return Err(fault.at(&path.join(&name))),
                }
            }
        }
        self.clear_away(uid)
    }

    fn link(&self, uid: u32) -> Result<LinkOutcome, TokenFileError> {
        check(uid, &self.user_dir(uid))?;
        self.make_link(uid)
    }

    fn path(&self, uid: u32, account: Option<&AccountName>) -> PathBuf {
        let name = paths::token_file_name(uid, account.map(AccountName::as_str));
        self.user_dir(uid).join(name)
    }

    fn owners(&self) -> Vec<u32> {
        let Ok(Some(users)) = self.users(false) else { return Vec::new() };
        let names = users.names(|name| uid_of(name).is_some()).unwrap_or_default();
        names.iter().filter_map(|name| uid_of(name)).collect()
    }
}

/// The uid whose directory has this name.
fn uid_of(name: &str) -> Option<u32> {
    let uid: u32 = name.parse().ok()?;
    (uid != u32::MAX && uid.to_string() == name).then_some(uid)
}

/// Whether a name is one that we give to token files of this user.
fn is_token_file(uid: u32, name: &str) -> bool {
    match name.strip_prefix(&paths::token_file_name(uid, None)) {
        Some("") => true,
        Some(rest) => {
            rest.strip_prefix('-').is_some_and(|name| name.parse::<AccountName>().is_ok())
        }
        None => false,
    }
}

/// `u32::MAX` is not a uid: chown(2) takes it for "leave as it is".
fn check(uid: u32, path: &Path) -> Result<(), TokenFileError> {
    if uid == u32::MAX { Err(Fault::Errno(Errno::INVAL).at(path)) } else { Ok(()) }
}
