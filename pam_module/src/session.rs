//! What to do when a session opens and when it closes, without libpam and without a socket.
//!
//! Both functions end in an [`Outcome`] and one line in the log, never in an error: the hooks
//! have nothing to say to the login but that it may go on.

use std::ffi::CStr;

use iamd_protocol::pam::{Close, Open, Opened, Reply, Request};

use crate::args::Args;
use crate::client::AskError;
use crate::reply;

/// The levels of syslog(3) that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// A bug of ours, or of the daemon.
    Error = 3,
    /// A session without what iamd gives, or a mistake in the PAM line.
    Warning = 4,
    /// A session was opened or closed.
    Info = 6,
    /// Nothing to do; logged when the argument `debug` is there.
    Debug = 7,
}

/// What a session needs of libpam. `bool` says whether libpam did it.
pub(crate) trait Pam {
    /// `PAM_SERVICE`, like the next three `None` when unset or not UTF-8.
    fn service(&self) -> Option<String>;
    /// `PAM_USER`.
    fn user(&self) -> Option<String>;
    /// `PAM_RHOST`.
    fn rhost(&self) -> Option<String>;
    /// `PAM_TTY`.
    fn tty(&self) -> Option<String>;
    /// The uid that the name service has for this name, and the name as it writes it, which may
    /// differ (SSSD takes `Alice` for `alice`): the module's only question to it.
    fn account_of(&mut self, user: &str) -> Option<(u32, String)>;
    /// Whether the session's environment has this variable.
    fn has_variable(&mut self, name: &str) -> bool;
    /// Sets a variable.
    fn put_variable(&mut self, name: &str, value: &str) -> bool;
    /// Shows a text to the user.
    fn tell(&self, notice: &str) -> bool;
    /// What [`Pam::set_session`] kept.
    fn session(&self) -> Option<String>;
    /// Keeps the daemon's name for the session until it closes.
    fn set_session(&mut self, session: Option<String>) -> bool;
    /// Writes a line to the system's log.
    fn log(&mut self, level: Level, line: &str);
}

/// How a hook ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The service is not in the list, or has no name.
    NotOurService,
    /// An earlier line of the same PAM stack has done it.
    OpenAlready,
    /// There is no user, or the name service does not know the name.
    NoSuchUser,
    /// Root, or a system user.
    NotOurUser(u32),
    /// The daemon has the session.
    Opened { uid: u32, variables: usize, notice: bool },
    /// The daemon has nothing for this user.
    Ignored,
    /// There is no session of ours to close.
    NeverOpened,
    /// The daemon has forgotten the session.
    Closed,
    /// The daemon said no.
    Refused(String),
    /// The daemon answered another question.
    OutOfTurn,
    /// There was no answer.
    Failed(AskError),
}

impl Outcome {
    fn level(&self) -> Level {
        match self {
            Self::NotOurService | Self::OpenAlready | Self::NotOurUser(_) => Level::Debug,
            Self::NeverOpened | Self::Ignored => Level::Debug,
            Self::Opened { .. } | Self::Closed => Level::Info,
            Self::NoSuchUser | Self::Refused(_) | Self::Failed(_) => Level::Warning,
            Self::OutOfTurn => Level::Error,
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotOurService => write!(f, "not a service to act for"),
            Self::OpenAlready => write!(f, "open already: is the module in the stack twice?"),
            Self::NoSuchUser => write!(f, "no such user: no token for this session"),
            Self::NotOurUser(uid) => write!(f, "not a user to act for (uid {uid})"),
            Self::Opened { uid, variables, notice } => {
                let notice = if *notice { ", notice shown" } else { "" };
                write!(f, "session opened (uid {uid}, {variables} variables{notice})")
            }
            Self::Ignored => write!(f, "nothing for this user"),
            Self::NeverOpened => write!(f, "nothing to close"),
            Self::Closed => write!(f, "session closed"),
            Self::Refused(reason) => write!(f, "iamd refused: {reason}"),
            Self::OutOfTurn => write!(f, "iamd answered another question: versions apart?"),
            Self::Failed(error) => write!(f, "login goes on without iamd: {error}"),
        }
    }
}

/// Registers a session with the daemon and gives it what the daemon answers.
pub(crate) fn open<P: Pam>(
    pam: &mut P,
    words: &[&CStr],
    silent: bool,
    ask: impl FnOnce(&Args, &Request) -> Result<Reply, AskError>,
) -> Outcome {
    let (args, complaints) = Args::parse(words);
    let outcome = decide_open(pam, &args, &complaints, silent, ask);
    log(pam, &args, outcome)
}

/// Tells the daemon that a session it knows has ended.
pub(crate) fn close<P: Pam>(
    pam: &mut P,
    words: &[&CStr],
    ask: impl FnOnce(&Args, &Request) -> Result<Reply, AskError>,
) -> Outcome {
    let (args, _) = Args::parse(words);
    let outcome = decide_close(pam, &args, ask);
    log(pam, &args, outcome)
}

fn decide_open<P: Pam>(
    pam: &mut P,
    args: &Args,
    complaints: &[String],
    silent: bool,
    ask: impl FnOnce(&Args, &Request) -> Result<Reply, AskError>,
) -> Outcome {
    let Some(service) = pam.service().filter(|service| args.services.contains(service)) else {
        return Outcome::NotOurService;
    };
    for complaint in complaints {
        pam.log(Level::Warning, &reply::line(complaint));
    }
    if args.panic {
        fail_on_purpose();
    }
    if pam.session().is_some() {
        return Outcome::OpenAlready;
    }
    let Some(user) = pam.user() else { return Outcome::NoSuchUser };
    let Some((uid, user)) = pam.account_of(&user) else { return Outcome::NoSuchUser };
    if !args.serves(uid) {
        return Outcome::NotOurUser(uid);
    }
    let quiet = silent || !args.notice;
    let (rhost, tty) = (pam.rhost(), pam.tty());
    match ask(args, &Request::Open(Open { uid, user, service, rhost, tty, quiet })) {
        Ok(Reply::Opened(opened)) => welcome(pam, uid, quiet, opened),
        Ok(Reply::Ignored) => Outcome::Ignored,
        Ok(Reply::Refused { reason }) => Outcome::Refused(reason),
        Ok(Reply::Closed) => Outcome::OutOfTurn,
        Err(error) => Outcome::Failed(error),
    }
}

fn decide_close<P: Pam>(
    pam: &mut P,
    args: &Args,
    ask: impl FnOnce(&Args, &Request) -> Result<Reply, AskError>,
) -> Outcome {
    let Some(session) = pam.session() else { return Outcome::NeverOpened };
    // Forgotten first: a second close_session on this handle must not ask again.
    pam.set_session(None);
    match ask(args, &Request::Close(Close { session })) {
        Ok(Reply::Closed) => Outcome::Closed,
        Ok(Reply::Ignored) => Outcome::Ignored,
        Ok(Reply::Refused { reason }) => Outcome::Refused(reason),
        Ok(Reply::Opened(_)) => Outcome::OutOfTurn,
        Err(error) => Outcome::Failed(error),
    }
}

#[expect(clippy::panic, reason = "asked for, to show that a login survives it")]
fn fail_on_purpose() {
    panic!("selftest=panic");
}

/// Gives a session its variables and its notice. What is not fit is logged and left out.
fn welcome<P: Pam>(pam: &mut P, uid: u32, quiet: bool, opened: Opened) -> Outcome {
    let Opened { session, environment, notice } = opened;
    if !reply::session_is_fit(&session) || !pam.set_session(Some(session)) {
        pam.log(Level::Warning, "the session cannot be remembered: iamd will see it end");
    }
    let mut variables = 0;
    for (name, value) in environment.iter().take(reply::MAX_VARIABLES) {
        if !reply::variable_is_fit(name, value) {
            pam.log(Level::Warning, &reply::line(&format!("variable {name}: not fit, left out")));
        } else if !pam.has_variable(name) && pam.put_variable(name, value) {
            variables += 1;
        }
    }
    if environment.len() > reply::MAX_VARIABLES {
        pam.log(Level::Warning, "too many variables: the last ones are left out");
    }
    let notice = match notice.filter(|_| !quiet) {
        Some(notice) if reply::notice_is_fit(&notice) => pam.tell(&notice),
        Some(_) => {
            pam.log(Level::Warning, "the notice is not printable ASCII or too long: left out");
            false
        }
        None => false,
    };
    Outcome::Opened { uid, variables, notice }
}

fn log<P: Pam>(pam: &mut P, args: &Args, outcome: Outcome) -> Outcome {
    if outcome.level() != Level::Debug || args.debug {
        pam.log(outcome.level(), &reply::line(&outcome.to_string()));
    }
    outcome
}

#[cfg(test)]
pub(crate) mod tests;
