//! Who is logged in.
//!
//! A session begins when PAM says so, or when logind knew of it before we ran. It ends when PAM
//! says so or when the process that opened it ends, whichever is first: sshd's monitor that is
//! killed closes nothing. So each session holds a pidfd. What is known
//! is written to the runtime directory, so that a restart of the daemon ends no session.
//!
//! [`Sessions`] is the registry; [`Presence`] says whether a user is here, the grace after the
//! last session included; [`Peer`] is who is at the other end of a socket; [`Logind`] is whom we
//! ask at the start; [`Drain`] is whether this node takes new sign-ins.

mod drain;
mod grace;
mod logind;
mod peer;
mod process;
mod reconcile;
mod records;
mod registry;
mod stay;

#[cfg(test)]
mod tests;

use std::{fmt, path::PathBuf, time::Duration};

pub use drain::{Drain, Draining};
pub use grace::Presence;
pub use logind::{Login1, LoginSession, Logind, LogindError};
pub use peer::{Peer, PeerError};
pub use reconcile::{Adoptable, Restored};
pub use registry::Sessions;
use serde::{Deserialize, Serialize};

use crate::account::UnixTime;

/// What PAM tells of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSession {
    /// Whose.
    pub uid: u32,
    /// The user's name.
    pub user: String,
    /// `PAM_SERVICE`.
    pub service: String,
    /// `PAM_RHOST`, where there is one.
    pub rhost: Option<String>,
    /// `PAM_TTY`, where there is one.
    pub tty: Option<String>,
}

/// The name of a session. Who knows it may close the session; it cannot be guessed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(String);

impl SessionId {
    /// As it is sent to the module.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for SessionId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A session that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// Whose, and from where.
    pub login: NewSession,
    /// The process whose end is the session's end.
    pub pid: u32,
    /// When it was opened, or found at the start.
    pub opened_at: UnixTime,
}

/// What happened, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEvent {
    /// A session was opened, or found again after a restart.
    Opened {
        /// Whose.
        uid: u32,
        /// The user had none open.
        first: bool,
    },
    /// A session ended.
    Ended {
        /// Whose.
        uid: u32,
        /// How many the user still has; with 0 the grace begins.
        remaining: usize,
    },
    /// The grace after the last session is over. Look at [`Sessions::presence`] again before
    /// anything is removed: the user may have come back since.
    Gone {
        /// Who.
        uid: u32,
    },
}

/// How long a user stays after the last session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StayRules {
    /// The grace.
    pub grace: Duration,
    /// With a directory (`/var/lib/systemd/linger`), users who have a file of their name there
    /// stay until it goes.
    pub linger_dir: Option<PathBuf>,
}

/// Why a session was not opened.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The kernel refused to watch the process: out of memory or of epoll watches.
    #[error("process {pid} cannot be watched: {error}")]
    Watch {
        /// Which.
        pid: u32,
        /// Why.
        error: std::io::Error,
    },
}
