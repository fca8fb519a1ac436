//! Whether this node takes new sign-ins. It lies in the runtime directory: a restart of the daemon
//! remembers it, and a node that was rebooted after its maintenance begins anew.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::{PoisonError, RwLock},
};

use serde::{Deserialize, Serialize};

use crate::account::UnixTime;

/// More is not our file.
const LONGEST: u64 = 4096;

/// That it takes none, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    /// What users are told.
    pub reason: Option<String>,
    /// Since when.
    pub since: UnixTime,
    /// Which uid decided it.
    pub by: u32,
}

/// What is in force, and its file.
#[derive(Debug)]
pub struct Drain {
    path: PathBuf,
    now: RwLock<Option<Draining>>,
}

impl Drain {
    /// As the file says. One that cannot be read drains: whoever wrote it wanted that.
    pub fn load(path: PathBuf) -> Self {
        let now = match read(&path) {
            Ok(now) => now,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "this node takes no new sign-ins, but the reason cannot be read: {error}");
                Some(Draining { reason: None, since: UnixTime(0), by: 0 })
            }
        };
        Self { path, now: RwLock::new(now) }
    }

    /// What is in force; `None`: new sign-ins are taken.
    pub fn now(&self) -> Option<Draining> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes it, on the disk first.
    ///
    /// # Errors
    /// The file cannot be written or removed; nothing is changed.
    pub fn set(&self, wanted: Option<Draining>) -> io::Result<()> {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        match &wanted {
            Some(draining) => self.write(draining)?,
            None => match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            },
        }
        *now = wanted;
        Ok(())
    }

    fn write(&self, draining: &Draining) -> io::Result<()> {
        let unfinished = self.path.with_extension("new");
        let written = (|| {
            let mut options = fs::OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            file.write_all(&serde_json::to_vec(draining)?)?;
            fs::rename(&unfinished, &self.path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written
    }
}

fn read(path: &PathBuf) -> io::Result<Option<Draining>> {
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    Ok(Some(serde_json::from_reader(io::Read::take(file, LONGEST))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_decided_is_remembered_until_it_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("draining");
        let load = || Drain::load(path.clone());
        assert_eq!(load().now(), None);
        let decided = Draining { reason: Some("new kernel".into()), since: UnixTime(7), by: 1001 };
        let drain = load();
        drain.set(Some(decided.clone())).unwrap();
        assert_eq!((drain.now(), load().now()), (Some(decided.clone()), Some(decided)));
        drain.set(None).unwrap();
        drain.set(None).unwrap();
        assert_eq!((drain.now(), load().now()), (None, None));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_cannot_be_written_changes_nothing_and_one_that_is_garbage_drains() {
        let dir = tempfile::tempdir().unwrap();
        let draining = Draining { reason: None, since: UnixTime(7), by: 0 };
        let nowhere = Drain::load(dir.path().join("not/there"));
        assert!(nowhere.set(Some(draining)).is_err());
        assert_eq!(nowhere.now(), None);
        let path = dir.path().join("draining");
        fs::write(&path, "{").unwrap();
        assert!(Drain::load(path).now().is_some());
    }
}
