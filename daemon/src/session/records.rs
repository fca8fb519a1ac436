//! What a restart must not forget: a small file per session, and one per user in the grace.
//!
//! They lie in the runtime directory, which a reboot empties, in a directory that is root's alone.
//! A file that cannot be written is logged and costs the session its life at the next restart,
//! not the login.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracing::warn;

use super::{NewSession, SessionId};
use crate::account::UnixTime;

/// More is not one of our files.
const LONGEST: u64 = 64 * 1024;
const UNFINISHED: &str = ".new-";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SessionRecord {
    pub(super) id: SessionId,
    #[serde(flatten)]
    pub(super) login: NewSession,
    pub(super) pid: u32,
    /// Field 22 of `/proc/PID/stat`.
    pub(super) started: u64,
    /// `None` where the boot id is hidden from us; the runtime directory then has to do.
    pub(super) boot: Option<String>,
    pub(super) opened_at: UnixTime,
    /// It came from logind, not from PAM.
    pub(super) found: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GraceRecord {
    pub(super) uid: u32,
    pub(super) user: String,
    pub(super) until: UnixTime,
}

/// The directory of these files.
#[derive(Debug)]
pub(super) struct Records {
    dir: PathBuf,
}

impl Records {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(super) fn save_session(&self, record: &SessionRecord) {
        self.save(&session_name(&record.id), record);
    }

    pub(super) fn forget_session(&self, id: &SessionId) {
        self.forget(&session_name(id));
    }

    pub(super) fn save_grace(&self, record: &GraceRecord) {
        self.save(&grace_name(record.uid), record);
    }

    pub(super) fn forget_grace(&self, uid: u32) {
        self.forget(&grace_name(uid));
    }

    /// All records. What is not one of ours, whole and under its own name, is removed.
    pub(super) fn load(&self) -> (Vec<SessionRecord>, Vec<GraceRecord>) {
        let (mut sessions, mut graces) = (Vec::new(), Vec::new());
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (sessions, graces),
            Err(error) => {
                warn!(path = %self.dir.display(), %error, "session records cannot be read");
                return (sessions, graces);
            }
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            if name.starts_with("session-") {
                let record = read::<SessionRecord>(&path).ok();
                let record = record.filter(|record| session_name(&record.id) == name);
                let Some(record) = record else {
                    self.discard(&name);
                    continue;
                };
                sessions.push(record);
            } else if name.starts_with("grace-") {
                let record = read::<GraceRecord>(&path).ok();
                let record = record.filter(|record| grace_name(record.uid) == name);
                let Some(record) = record else {
                    self.discard(&name);
                    continue;
                };
                graces.push(record);
            } else if name.starts_with(UNFINISHED) {
                self.forget(&name);
            }
        }
        (sessions, graces)
    }

    fn discard(&self, name: &str) {
        warn!(path = %self.dir.join(name).display(), "not a session record; removed");
        self.forget(name);
    }

    fn save(&self, name: &str, record: &impl Serialize) {
        let written = self.write(name, record).or_else(|error| match error.kind() {
            // The directory is made with the first record, and again if somebody removed it.
            io::ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
                self.write(name, record)
            }
            _ => Err(error),
        });
        if let Err(error) = written {
            let path = self.dir.join(name);
            warn!(path = %path.display(), %error, "a session record was not written");
        }
    }

    fn write(&self, name: &str, record: &impl Serialize) -> io::Result<()> {
        let unfinished = self.dir.join(format!("{UNFINISHED}{name}"));
        let written = (|| {
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            file.write_all(&serde_json::to_vec(record)?)?;
            fs::rename(&unfinished, self.dir.join(name))
        })();
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    fn forget(&self, name: &str) {
        let path = self.dir.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                warn!(path = %path.display(), %error, "a session record was not removed");
            }
            _ => {}
        }
    }
}

fn session_name(id: &SessionId) -> String {
    format!("session-{id}.json")
}

fn grace_name(uid: u32) -> String {
    format!("grace-{uid}.json")
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(LONGEST).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}
