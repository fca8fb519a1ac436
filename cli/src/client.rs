//! The daemon, over D-Bus. All of zbus is behind this file. A token comes another way where it can
//! ([`socket`]).
//!
//! The bus is served by one thread, and the program waits for its answers with a deadline: a bus
//! that accepts a connection and never answers would otherwise hang for ever (zbus has no time
//! limit for the connection itself). What has not come in time is given up; the thread ends
//! with the program.

mod admin;
pub(crate) mod agent;
mod changes;
mod clean;
mod errors;
mod passphrases;
mod passwords;
mod proxies;
pub(crate) mod socket;
mod upkeep;

use std::cell::Cell;
use std::ffi::OsStr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use iamd_protocol::bus::{
    AccountInfo, Finding, IssuerInfo, LoginInfo, LoginOptions, LogoutReply, NAME, StatusReply,
    TokenOptions, TokenReply,
};
use iamd_protocol::error::Kind;
use zbus::Connection;
use zbus::connection::Builder;
use zbus::fdo::DBusProxy;

use crate::clock::Stopwatch;
use crate::failure::Failure;
use crate::interrupt;
pub(crate) use changes::Secrets;
use clean::Clean;
use errors::{failure, late};
use proxies::{AccountsProxy, TokensProxy};

/// How long a call may take altogether. Longer than the daemon waits for an issuer (30 s, after
/// 10 s in the queue): an issuer that is silent must not look like a daemon that is.
pub(crate) const LIMIT: Duration = Duration::from_secs(45);
/// How long the bus may take to let us in.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long the daemon may take to start, when it has to. One that cannot start is not told to the
/// bus: dbus-daemon would keep a call for 25 s before it says so.
const START_LIMIT: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// A connection to the daemon.
pub(crate) struct Client {
    jobs: mpsc::Sender<Job>,
    limit: Cell<Duration>,
}

impl Client {
    /// Connects to the bus at `address`, or to the system bus. That takes no longer than `limit`, and
    /// neither does any call.
    ///
    /// # Errors
    /// [`Kind::DaemonUnreachable`].
    pub(crate) fn connect(address: Option<&OsStr>, limit: Duration) -> Result<Self, Failure> {
        let since = Stopwatch::start();
        let address = address.map(|address| address.to_string_lossy().into_owned());
        let (jobs, todo) = mpsc::channel::<Job>();
        let (connected, answer) = mpsc::channel();
        std::thread::spawn(move || {
            interrupt::ignore_in_this_thread();
            let builder = match &address {
                Some(address) => Builder::address(address.as_str()),
                None => Builder::system(),
            };
            if let Err(error) = descriptors() {
                let _ = connected.send(Err(errors::connecting(&error.into())));
                return;
            }
            match zbus::block_on(builder.build()) {
                Ok(connection) => {
                    let _ = connected.send(Ok(()));
                    let started = zbus::block_on(start(&connection));
                    let _ = connected.send(started.map_err(|error| errors::starting(&error)));
                    for job in todo {
                        job(&connection);
                    }
                }
                Err(error) => {
                    let _ = connected.send(Err(errors::connecting(&error)));
                }
            }
        });
        match answer.recv_timeout(limit.min(CONNECT_LIMIT)) {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => return Err(failure),
            Err(_) => {
                let text = "the system bus does not answer";
                return Err(Failure::new(Kind::DaemonUnreachable, text)
                    .advise("Administrators: systemctl status dbus"));
            }
        }
        match answer.recv_timeout(limit.saturating_sub(since.elapsed()).min(START_LIMIT)) {
            Ok(started) => started.map(|()| Self { jobs, limit: Cell::new(limit) }),
            Err(_) => Err(Failure::new(Kind::DaemonUnreachable, "iamd does not start")),
        }
    }

    /// From here on, no call takes longer than `limit`.
    pub(crate) fn limit(&self, limit: Duration) {
        self.limit.set(limit);
    }

    /// A token; see `org.iamd1.Tokens.GetToken`.
    pub(crate) fn token(&self, name: &str, options: TokenOptions) -> Result<TokenReply, Failure> {
        let account = name.to_owned();
        self.call(async move |bus| TokensProxy::new(&bus).await?.get_token(&account, options).await)
    }

    /// The caller's accounts.
    pub(crate) fn accounts(&self) -> Result<Vec<AccountInfo>, Failure> {
        self.call(async |bus| AccountsProxy::new(&bus).await?.list().await)
    }

    /// One account; the empty name is the default account.
    pub(crate) fn account(&self, name: &str) -> Result<AccountInfo, Failure> {
        let name = name.to_owned();
        self.call(async move |bus| AccountsProxy::new(&bus).await?.show(&name).await)
    }

    /// Starts a login, or joins the one that is running.
    pub(crate) fn login(&self, name: &str, options: LoginOptions) -> Result<LoginInfo, Failure> {
        let name = name.to_owned();
        self.call(async move |bus| AccountsProxy::new(&bus).await?.login(&name, options).await)
    }

    /// Asks how a login stands, as soon as that changes or after `wait_ms`, and hands the answer
    /// over on another thread.
    pub(crate) fn watch_login(
        &self,
        account: &str,
        wait_ms: u32,
        deliver: impl FnOnce(Result<LoginInfo, Failure>) + Send + 'static,
    ) {
        let account = account.to_owned();
        let job: Job = Box::new(move |bus| {
            let answer = zbus::block_on(async {
                AccountsProxy::new(bus).await?.login_state(&account, wait_ms).await
            });
            deliver(answer.map(Clean::cleaned).map_err(|error| failure(&error)));
        });
        // Without the thread nobody would answer; the caller's own deadline then decides.
        let _ = self.jobs.send(job);
    }

    /// Ends the login of an account.
    pub(crate) fn cancel_login(&self, name: &str) -> Result<(), Failure> {
        let name = name.to_owned();
        self.call(async move |bus| AccountsProxy::new(&bus).await?.cancel_login(&name).await)
    }

    /// Signs out.
    pub(crate) fn logout(&self, name: &str) -> Result<LogoutReply, Failure> {
        let name = name.to_owned();
        self.call(async move |bus| AccountsProxy::new(&bus).await?.logout(&name).await)
    }

    /// Turns the notice at login on or off.
    pub(crate) fn set_notice(&self, on: bool) -> Result<(), Failure> {
        self.call(async move |bus| AccountsProxy::new(&bus).await?.set_notice(on).await)
    }

    /// The caller's sessions and settings.
    pub(crate) fn status(&self) -> Result<StatusReply, Failure> {
        self.call(async |bus| AccountsProxy::new(&bus).await?.status().await)
    }

    /// The site's issuers.
    pub(crate) fn issuers(&self) -> Result<Vec<IssuerInfo>, Failure> {
        self.call(async |bus| AccountsProxy::new(&bus).await?.issuers().await)
    }

    /// What the daemon finds when it looks at itself.
    pub(crate) fn diagnose(&self) -> Result<Vec<Finding>, Failure> {
        self.call(async |bus| AccountsProxy::new(&bus).await?.diagnose().await)
    }

    /// Has the thread make a call, and waits for it no longer than the limit.
    fn call<T, F>(&self, call: F) -> Result<T, Failure>
    where
        T: Clean + Send + 'static,
        F: AsyncFnOnce(Connection) -> zbus::Result<T> + Send + 'static,
    {
        self.call_within(self.limit.get(), call)
    }

    /// The same, no longer than `limit`.
    fn call_within<T, F>(&self, limit: Duration, call: F) -> Result<T, Failure>
    where
        T: Clean + Send + 'static,
        F: AsyncFnOnce(Connection) -> zbus::Result<T> + Send + 'static,
    {
        let (done, answer) = mpsc::channel();
        let job: Job = Box::new(move |bus| {
            let _ = done.send(zbus::block_on(call(bus.clone())));
        });
        // A thread that is gone drops the job and with it `done`: seen below as disconnected.
        let _ = self.jobs.send(job);
        match answer.recv_timeout(limit) {
            Ok(Ok(reply)) => Ok(reply.cleaned()),
            Ok(Err(error)) => Err(failure(&error)),
            Err(RecvTimeoutError::Timeout) => Err(late(limit)),
            Err(RecvTimeoutError::Disconnected) => {
                Err(Failure::new(Kind::DaemonUnreachable, "the connection to the bus broke"))
            }
        }
    }
}

/// Whether there are as many descriptors as zbus opens to begin with, its runtime and the connection:
/// where the runtime finds none, it panics.
fn descriptors() -> std::io::Result<()> {
    let pipes: std::io::Result<Vec<_>> = (0..3).map(|_| std::io::pipe()).collect();
    pipes.map(drop)
}

/// Has the bus start the daemon, if it does not run.
async fn start(connection: &Connection) -> zbus::Result<()> {
    let bus = DBusProxy::new(connection).await?;
    if !bus.name_has_owner(NAME.try_into()?).await? {
        bus.start_service_by_name(NAME.try_into()?, 0).await?;
    }
    Ok(())
}
