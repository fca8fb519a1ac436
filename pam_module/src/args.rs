//! The words behind `pam_iam.so` in a PAM line, and what they mean.
//!
//! A mistake there must not cost a login: it becomes a complaint for the log, and the default
//! stands. pam_iam(8) documents every word of `WORDS`; a test compares the two.

use std::ffi::CStr;
use std::path::PathBuf;
use std::time::Duration;

use iamd_protocol::pam::{DEADLINE_BOUNDS_MS, DEFAULT_DEADLINE_MS, DEFAULT_SERVICES};
use iamd_protocol::paths::PAM_SOCKET;

/// Every word, as the manual page shows it.
#[cfg(test)]
pub(crate) const WORDS: [&str; 9] = [
    "deadline=",
    "services=",
    "min_uid=",
    "root",
    "notice=",
    "socket=",
    "socket_uid=",
    "debug",
    "selftest=",
];

/// The longest path that fits a `sockaddr_un` with its NUL (unix(7)).
const MAX_SOCKET_PATH: usize = 107;
/// How much of a bad word a complaint quotes.
const QUOTE: usize = 64;

/// What the site asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Args {
    /// For connect, write and read together.
    pub(crate) deadline: Duration,
    /// The values of `PAM_SERVICE` to act for.
    pub(crate) services: Vec<String>,
    /// The lowest uid to act for.
    pub(crate) min_uid: u32,
    /// Whether to act for uid 0 as well.
    pub(crate) root: bool,
    /// Whether a message may be shown.
    pub(crate) notice: bool,
    /// Where the daemon listens.
    pub(crate) socket: PathBuf,
    /// Who must be listening there.
    pub(crate) socket_uid: u32,
    /// Whether to log what is usually not worth a line.
    pub(crate) debug: bool,
    /// Whether to panic, to show that a login survives it.
    pub(crate) panic: bool,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            deadline: Duration::from_millis(DEFAULT_DEADLINE_MS),
            services: DEFAULT_SERVICES.map(String::from).to_vec(),
            min_uid: 1000,
            root: false,
            notice: true,
            socket: PAM_SOCKET.into(),
            socket_uid: 0,
            debug: false,
            panic: false,
        }
    }
}

impl Args {
    /// The arguments in these words, and what is wrong with them, a line each.
    pub(crate) fn parse(words: &[&CStr]) -> (Self, Vec<String>) {
        let mut args = Self::default();
        let mut complaints = Vec::new();
        for word in words {
            let outcome = match word.to_str() {
                Ok(word) => args.take(word),
                Err(_) => Err("not UTF-8: ignored".into()),
            };
            if let Err(why) = outcome {
                let quote: String = word.to_string_lossy().chars().take(QUOTE).collect();
                complaints.push(format!("argument '{quote}': {why}"));
            }
        }
        (args, complaints)
    }

    /// Whether to act for this uid: root only when asked to by name or by `min_uid=0`.
    pub(crate) fn serves(&self, uid: u32) -> bool {
        uid >= self.min_uid || (uid == 0 && self.root)
    }

    fn take(&mut self, word: &str) -> Result<(), String> {
        match word.split_once('=').map_or((word, None), |(key, value)| (key, Some(value))) {
            ("deadline", Some(value)) => self.take_deadline(value)?,
            ("services", Some(value)) => self.services = services(value)?,
            ("min_uid", Some(value)) => self.min_uid = uid(value)?,
            ("root", None) => self.root = true,
            ("notice", Some("auto")) => self.notice = true,
            ("notice", Some("never")) => self.notice = false,
            ("notice", Some(_)) => return Err("not auto or never: default used".into()),
            ("socket", Some(value)) => self.socket = socket(value)?,
            ("socket_uid", Some(value)) => self.socket_uid = uid(value)?,
            ("debug", None) => self.debug = true,
            ("selftest", Some("panic")) => self.panic = true,
            ("selftest", Some(_)) => return Err("not panic: ignored".into()),
            _ => return Err("unknown: ignored".into()),
        }
        Ok(())
    }

    fn take_deadline(&mut self, value: &str) -> Result<(), String> {
        let malformed = || String::from("not a number with the unit ms or s: default used");
        let (number, unit) = match value.strip_suffix("ms") {
            Some(number) => (number, 1),
            None => (value.strip_suffix('s').ok_or_else(malformed)?, 1000),
        };
        let millis = number.parse::<u32>().map_err(|_| malformed())?;
        let asked = u64::from(millis) * unit;
        let (low, high) = DEADLINE_BOUNDS_MS;
        let taken = asked.clamp(low, high);
        self.deadline = Duration::from_millis(taken);
        if taken == asked {
            return Ok(());
        }
        Err(format!("out of bounds ({low}ms to {high}ms): {taken}ms used"))
    }
}

fn services(value: &str) -> Result<Vec<String>, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    let names: Vec<&str> = value.split(',').collect();
    if names.iter().all(|name| !name.is_empty() && name.chars().all(allowed)) {
        return Ok(names.into_iter().map(String::from).collect());
    }
    Err("not service names separated by commas: default used".into())
}

fn uid(value: &str) -> Result<u32, String> {
    // u32::MAX is (uid_t)-1, which no user has.
    match value.parse::<u32>() {
        Ok(uid) if uid != u32::MAX => Ok(uid),
        _ => Err("not a uid: default used".into()),
    }
}

fn socket(value: &str) -> Result<PathBuf, String> {
    if value.starts_with('/') && value.len() <= MAX_SOCKET_PATH {
        return Ok(value.into());
    }
    Err(format!("not an absolute path of at most {MAX_SOCKET_PATH} bytes: default used"))
}

#[cfg(test)]
mod tests;
