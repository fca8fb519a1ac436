//! The directory of one user, and how nothing of it shows from outside.
//!
//! ```text
//! USERS_DIR/        0711  ours      everybody passes through it, nobody lists it
//!   UID -> .UID/files               readers know this name
//!   .UID/           0700  the user's   from the first login to the end of the grace, always alike
//!     files/        0700  the user's   the token files
//! ```
//! Whoever may pass through a directory may stat what is in it, and the size and times of a
//! directory tell how many files it has and when one was replaced: how many accounts, and when each
//! was renewed. So the directory of the files is inside one that only its user enters, and that one
//! is made for everybody who logs in, with an account or without.

use std::{
    path::PathBuf,
    sync::{MutexGuard, PoisonError},
};

use rustix::{fs::Mode, io::Errno};

use super::{
    Files,
    dir::{self, Dir, Fault},
    uid_of,
};
use crate::account::ports::TokenFileError;

const INNER: &str = "files";

/// The name of the directory that only its user enters.
fn outer(uid: u32) -> String {
    format!(".{uid}")
}

/// Where the user's name leads.
fn target(uid: u32) -> String {
    format!("{}/{INNER}", outer(uid))
}

impl Files {
    /// The directory of all users: a real one, ours, that nobody else writes.
    pub(super) fn users(&self, make: bool) -> Result<Option<Dir>, TokenFileError> {
        let at = |fault: Fault| fault.at(&self.users_dir);
        loop {
            match Dir::open_own(&self.users_dir) {
                Ok(dir) => return Ok(Some(dir)),
                Err(Fault::Errno(Errno::NOENT)) if make => {
                    dir::make_users_dir(&self.users_dir).map_err(at)?;
                }
                Err(Fault::Errno(Errno::NOENT)) => return Ok(None),
                Err(fault) => return Err(at(fault)),
            }
        }
    }

    /// The user's directory, where there is one.
    pub(super) fn user(&self, uid: u32) -> Result<Option<Dir>, TokenFileError> {
        let Some(users) = self.users(false)? else { return Ok(None) };
        if !self.is_named(&users, uid)? {
            return Ok(None);
        }
        match self.enter(&users, uid) {
            Ok(dir) => Ok(Some(dir)),
            Err(Fault::Errno(Errno::NOENT)) => Ok(None),
            Err(fault) => Err(fault.at(&self.inner_dir(uid))),
        }
    }

    /// The user's directory, made where there is none, fit to be written to.
    pub(super) fn user_to_write(&self, uid: u32) -> Result<Dir, TokenFileError> {
        let dir = self.made(uid)?;
        let at = |fault: Fault| fault.at(&self.user_dir(uid));
        // The user may open up the directory to readers; the files stay 0600. But with write
        // access for others, or sticky (then removing needs CAP_FOWNER), it is not ours to use.
        if dir.mode().map_err(at)?.intersects(Mode::WGRP | Mode::WOTH | Mode::SVTX) {
            return Err(at(Fault::InTheWay("a directory whose mode is not 0700")));
        }
        Ok(dir)
    }

    /// The user's directory, made where there is none.
    fn made(&self, uid: u32) -> Result<Dir, TokenFileError> {
        let (at, inner) = (self.user_dir(uid), self.inner_dir(uid));
        let owner = self.ownership.of(uid);
        let _turn = self.turn();
        let Some(users) = self.users(true)? else {
            return Err(Fault::Errno(Errno::NOENT).at(&at));
        };
        let named = self.is_named(&users, uid)?;
        let dir = match self.enter(&users, uid) {
            Err(Fault::Errno(Errno::NOENT)) => {
                let make = |above: &Dir, name: &str| match above.directory_of(name, owner) {
                    Err(Fault::Errno(Errno::NOENT)) => {
                        above.make_directory(name, &self.temporary_name(), owner)?;
                        above.directory_of(name, owner)
                    }
                    other => other,
                };
                make(&users, &outer(uid)).and_then(|outer| make(&outer, INNER))
            }
            other => other,
        }
        .map_err(|fault| fault.at(&inner))?;
        if !named {
            // Last: whatever has the name is whole.
            users.make_link(&uid.to_string(), &target(uid)).map_err(|fault| fault.at(&at))?;
        }
        Ok(dir)
    }

    /// Takes the user's directory away, unless the user keeps things there.
    pub(super) fn clear_away(&self, uid: u32) -> Result<(), TokenFileError> {
        let _turn = self.turn();
        let Some(users) = self.users(false)? else { return Ok(()) };
        let named = self.is_named(&users, uid)?;
        let cleared = (|| {
            match users.directory_of(&outer(uid), self.ownership.of(uid)) {
                Ok(outer) => {
                    absent_is_success(outer.remove_directory(INNER))?;
                    for unnamed in outer.names(dir::is_temporary)? {
                        absent_is_success(outer.remove_directory(&unnamed))?;
                    }
                }
                Err(Fault::Errno(Errno::NOENT)) => {}
                Err(fault) => return Err(fault),
            }
            absent_is_success(users.remove_directory(&outer(uid)))
        })();
        match cleared {
            Ok(()) if named => absent_is_success(users.remove_link(&uid.to_string()))
                .map_err(|fault| fault.at(&self.user_dir(uid))),
            Ok(()) | Err(Fault::Errno(Errno::NOTEMPTY)) => Ok(()),
            Err(fault) => Err(fault.at(&self.inner_dir(uid))),
        }
    }

    /// Takes away what was made and not yet named when the daemon was killed.
    pub(super) fn clear_unnamed(&self, users: &Dir) -> Result<(), Fault> {
        let of = |name: &str| name.strip_prefix('.').and_then(uid_of);
        for uid in users.names(|name| of(name).is_some())?.iter().filter_map(|name| of(name)) {
            if self.is_named(users, uid) == Ok(false) {
                // One user's oddities do not keep the others from being swept.
                let _ = self.clear_away(uid);
            }
        }
        Ok(())
    }

    /// Whether the user's name is there; refused where it leads elsewhere than ours.
    fn is_named(&self, users: &Dir, uid: u32) -> Result<bool, TokenFileError> {
        let at = |fault: Fault| fault.at(&self.user_dir(uid));
        match users.link_at(&uid.to_string()).map_err(at)? {
            None => Ok(false),
            Some(leads) if leads == target(uid) => Ok(true),
            Some(_) => Err(at(Fault::InTheWay("a symbolic link"))),
        }
    }

    fn enter(&self, users: &Dir, uid: u32) -> Result<Dir, Fault> {
        let owner = self.ownership.of(uid);
        users.directory_of(&outer(uid), owner)?.directory_of(INNER, owner)
    }

    /// As readers know it.
    pub(super) fn user_dir(&self, uid: u32) -> PathBuf {
        self.users_dir.join(uid.to_string())
    }

    /// Where that leads.
    fn inner_dir(&self, uid: u32) -> PathBuf {
        self.users_dir.join(target(uid))
    }

    /// Directories are made and taken away by one at a time.
    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn absent_is_success(done: Result<(), Fault>) -> Result<(), Fault> {
    match done {
        Err(Fault::Errno(Errno::NOENT)) => Ok(()),
        other => other,
    }
}
