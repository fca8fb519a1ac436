//! Following a login until it ends, or until the user or `--timeout` has had enough. The login
//! itself is the daemon's and goes on without us.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use iamd_protocol::bus::{LoginInfo, login_state};
use iamd_protocol::error::{Exit, Kind};

use super::patience::Patience;
use super::show::Display;
use crate::app::Context;
use crate::args::Login;
use crate::client::Client;
use crate::clock::Stopwatch;
use crate::failure::Failure;
use crate::interrupt;
use crate::output::time;

/// How often the countdown moves.
const TICK: Duration = Duration::from_secs(1);
/// While the issuer is asked for a code, it is looked for so often.
const STARTING_WAIT_MS: u32 = 500;

/// What can happen while we wait.
enum Event {
    /// The daemon said how the login stands.
    State(Box<Result<LoginInfo, Failure>>),
    /// Ctrl-C.
    Interrupted,
}

/// Shows a login and waits for its end.
///
/// # Errors
/// Why it failed, or [`Kind::LoginPending`] when it goes on without us.
pub(super) fn follow(
    client: &Client,
    login: LoginInfo,
    makes_account: bool,
    args: &Login,
    patience: &Patience,
    context: &mut Context,
) -> Result<Exit, Failure> {
    let mut display = Display::new(makes_account, args, context);
    let (sender, events) = mpsc::channel();
    let interrupted = sender.clone();
    interrupt::catch(move || {
        let _ = interrupted.send(Event::Interrupted);
    });
    let mut wait = Wait { client, args, patience, sender, events, since: Stopwatch::start() };
    let mut login = login;
    loop {
        display.state(&login);
        match login.state.as_str() {
            login_state::DONE => {
                client.limit(patience.grace);
                let account = client.account(&login.account).ok();
                display.done(&login, account.as_ref());
                return Ok(Exit::Done);
            }
            login_state::FAILED => {
                display.clear();
                return Err(failed(&login).about(args.account.as_deref()));
            }
            login_state::PENDING if args.no_wait => return Ok(Exit::Done),
            _ => {}
        }
        login = match wait.next(&login, &mut display) {
            Ok(login) => login,
            Err(failure) => {
                display.clear();
                return Err(failure);
            }
        };
    }
}

struct Wait<'a> {
    client: &'a Client,
    args: &'a Login,
    patience: &'a Patience,
    sender: Sender<Event>,
    events: Receiver<Event>,
    since: Stopwatch,
}

impl Wait<'_> {
    /// How the login stands next.
    fn next(&mut self, login: &LoginInfo, display: &mut Display<'_>) -> Result<LoginInfo, Failure> {
        let wait_ms = match login.state.as_str() {
            login_state::PENDING => self.patience.asking_ms,
            _ => STARTING_WAIT_MS,
        };
        let mut away: Option<Stopwatch> = None;
        let mut asked = Stopwatch::start();
        let mut waiting = true;
        self.ask(login, wait_ms);
        loop {
            match self.events.recv_timeout(self.until(login).unwrap_or(TICK).min(TICK)) {
                Ok(Event::State(answer)) => match *answer {
                    Ok(login) => return Ok(login),
                    Err(failure) if failure.is(Kind::DaemonUnreachable) => {
                        let since = *away.get_or_insert_with(Stopwatch::start);
                        if since.elapsed() > self.patience.away {
                            return Err(failure);
                        }
                        waiting = false;
                    }
                    Err(failure) => return Err(failure),
                },
                Ok(Event::Interrupted) => {
                    display.interrupted();
                    return Err(left_running(login, self.args));
                }
                Err(RecvTimeoutError::Timeout) => {}
                // Cannot be: this object holds a sender.
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::new(Kind::Internal, "nobody answers any more"));
                }
            }
            if self.until(login) == Some(Duration::ZERO) {
                return Err(self.enough(login));
            }
            if !waiting && away.is_some_and(|away| away.elapsed() >= TICK) {
                self.ask(login, STARTING_WAIT_MS);
                (waiting, asked) = (true, Stopwatch::start());
            }
            if asked.elapsed() > Duration::from_millis(wait_ms.into()) + self.patience.grace {
                return Err(Failure::new(Kind::DaemonUnreachable, "iamd does not answer any more"));
            }
            display.tick(login);
        }
    }

    fn ask(&self, login: &LoginInfo, wait_ms: u32) {
        let sender = self.sender.clone();
        self.client.watch_login(&login.account, wait_ms, move |answer| {
            let _ = sender.send(Event::State(Box::new(answer)));
        });
    }

    /// How long it is still waited for; `None`: as long as it takes.
    fn until(&self, login: &LoginInfo) -> Option<Duration> {
        let timeout = self.args.timeout.map(|seconds| {
            Duration::from_secs(seconds.into()).saturating_sub(self.since.elapsed())
        });
        let code = match login.state.as_str() {
            login_state::STARTING => self.patience.left_for_the_code(),
            _ => None,
        };
        [timeout, code].into_iter().flatten().min()
    }

    /// It was waited for long enough.
    fn enough(&self, login: &LoginInfo) -> Failure {
        if login.state == login_state::STARTING && self.args.if_needed {
            return Failure::new(Kind::IssuerUnreachable, "the issuer does not answer");
        }
        left_running(login, self.args)
    }
}

/// Why a login failed.
fn failed(login: &LoginInfo) -> Failure {
    let name = login.error.as_deref().unwrap_or("Internal");
    let message = login.message.as_deref().unwrap_or("the login failed");
    match Kind::ALL.iter().find(|kind| kind.short_name() == name) {
        Some(kind) => Failure::new(*kind, message),
        None => Failure::unknown(name, message),
    }
}

/// We go, the login stays.
fn left_running(login: &LoginInfo, args: &Login) -> Failure {
    let message = match login.expires_at {
        Some(at) => format!(
            "the login goes on without this command, for another {}",
            time::span(at.saturating_sub(crate::clock::unix_now()))
        ),
        None => "the login goes on without this command".to_owned(),
    };
    let account = args.account.as_ref().map_or_else(String::new, |name| format!(" {name}"));
    Failure::new(Kind::LoginPending, message).advise(format!(
        "See it again:  iamctl login{account}    End it:  iamctl login --cancel{account}"
    ))
}
