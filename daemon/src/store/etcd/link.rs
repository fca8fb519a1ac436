//! The members of etcd: asked one at a time, the next one when one does not answer.
//!
//! A call lasts no longer than [`EtcdSettings::timeout`] in all. What may be another answer at
//! another member, or a moment later, is asked again within that time; who asks is told that an
//! earlier try may have been acted on. Certificates, keys and the password are read anew for each
//! connection, so that they may be renewed while the daemon runs.

use std::{
    future::Future,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use etcd_client::{Certificate, Client, ConnectOptions, Identity, TlsOptions};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::EtcdSettings;
use crate::{clock::Clock, store::StoreError};

/// A connection on which nothing is heard is asked for a sign of life.
const PING_AFTER: Duration = Duration::from_secs(10);
const PING_WITHIN: Duration = Duration::from_secs(5);
/// A try at one member is given at least so long.
const TRY_AT_LEAST: Duration = Duration::from_secs(1);
/// Between two rounds through the members.
const PAUSE: Duration = Duration::from_millis(100);
/// Of what a member says, so much is repeated.
const LONGEST_TEXT: usize = 300;

/// The codes of gRPC (google.rpc.Code) that decide something here.
mod code {
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const NOT_FOUND: i32 = 5;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(super) const FAILED_PRECONDITION: i32 = 9;
    pub(super) const OUT_OF_RANGE: i32 = 11;
    pub(super) const UNIMPLEMENTED: i32 = 12;
}

/// Why a call gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// May be another answer elsewhere or later; it may have been acted on.
    Passing(String),
    /// The revision that was asked for is forgotten.
    Compacted,
    /// The lease is not known, or no more.
    NoLease,
    /// The answer is longer than what is taken.
    TooLong,
    /// Trying again is of no use.
    Final(String),
}

/// The members, and the one that is asked.
pub(super) struct Link {
    pub(super) settings: EtcdSettings,
    pub(super) clock: Arc<dyn Clock>,
    members: Vec<Mutex<Option<Client>>>,
    current: AtomicUsize,
}

impl Link {
    pub(super) fn new(settings: EtcdSettings, clock: Arc<dyn Clock>) -> Self {
        let members = settings.endpoints.iter().map(|_| Mutex::default()).collect();
        Self { settings, clock, members, current: AtomicUsize::new(0) }
    }

    /// Asks a member. `ask` is told whether an earlier try of this call may have been acted on.
    pub(super) async fn call<T, A, F>(&self, ask: A) -> Result<T, Fault>
    where
        A: Fn(Client, bool) -> F,
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let count = self.members.len().max(1);
        let patience = self.settings.timeout;
        let each = (patience / u32::try_from(count).unwrap_or(1)).max(TRY_AT_LEAST).min(patience);
        let ends = self.clock.monotonic() + patience;
        let mut unsure = false;
        let mut said: Option<String> = None;
        let late = |said: Option<String>| {
            Fault::Passing(said.unwrap_or_else(|| "no answer in time".to_owned()))
        };
        for turn in 1_usize.. {
            let at = self.current.load(SeqCst) % count;
            let left = ends.saturating_duration_since(self.clock.monotonic());
            let one = async {
                let client = self.client(at).await?;
                ask(client, unsure).await.map_err(|error| self.judge(error))
            };
            let answer = tokio::select! {
                answer = one => answer,
                () = self.clock.sleep(each) => Err(late(None)),
                // What was said to a whole try says more than that this one was short.
                () = self.clock.sleep(left), if left < each => Err(late(said)),
            };
            let Err(Fault::Passing(text)) = answer else { return answer };
            unsure = true;
            self.leave(at).await;
            let left = ends.saturating_duration_since(self.clock.monotonic());
            if left <= PAUSE {
                return Err(Fault::Passing(text));
            }
            said = Some(text);
            if turn >= count {
                self.clock.sleep(PAUSE).await;
            }
        }
        Err(Fault::Passing("not asked".to_owned()))
    }

    /// The error of a fault, for people.
    pub(super) fn error(&self, fault: Fault) -> StoreError {
        let what = match fault {
            Fault::Passing(text) => format!("{text}; see whether a majority of its members runs"),
            Fault::Compacted => "what was being read was compacted meanwhile; try again".to_owned(),
            Fault::NoLease => return StoreError::LockLost { place: self.place() },
            Fault::TooLong => "one of its values is longer than iamd takes".to_owned(),
            Fault::Final(text) => text,
        };
        StoreError::Unavailable { path: self.place(), what }
    }

    /// What people call this store.
    pub(super) fn place(&self) -> String {
        format!("etcd at {}", self.settings.endpoints.join(", "))
    }

    /// The connection to a member, made when there is none.
    async fn client(&self, at: usize) -> Result<Client, Fault> {
        let (Some(slot), Some(endpoint)) = (self.members.get(at), self.settings.endpoints.get(at))
        else {
            return Err(Fault::Final("there is no member to ask".to_owned()));
        };
        let mut slot = slot.lock().await;
        if let Some(client) = &*slot {
            return Ok(client.clone());
        }
        let options = self.options().await?;
        let made = Client::connect([endpoint.as_str()], Some(options)).await;
        let client = made.map_err(|error| self.judge(error))?;
        *slot = Some(client.clone());
        Ok(client)
    }

    /// Another member is asked next, and this one over another connection.
    async fn leave(&self, at: usize) {
        let next = (at + 1) % self.members.len().max(1);
        let _ = self.current.compare_exchange(at, next, SeqCst, SeqCst);
        if let Some(slot) = self.members.get(at) {
            *slot.lock().await = None;
        }
    }

    async fn options(&self) -> Result<ConnectOptions, Fault> {
        let settings = &self.settings;
        let mut options = ConnectOptions::new()
            .with_connect_timeout(settings.connect_timeout)
            .with_keep_alive(PING_AFTER, PING_WITHIN)
            .with_keep_alive_while_idle(false)
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let Some(tls) = &settings.tls {
            let mut with =
                TlsOptions::new().ca_certificate(Certificate::from_pem(&*read(&tls.ca).await?));
            if let Some(client) = &tls.client {
                let certificate = read(&client.certificate).await?;
                let key = read(&client.key).await?;
                with = with.identity(Identity::from_pem(&*certificate, &*key));
            }
            options = options.with_tls(with);
        }
        if let Some(user) = &settings.user {
            let password = read(&user.password).await.map_err(|fault| match fault {
                Fault::Final(text) => Fault::Final(format!(
                    "{text}; it is the credential that store.credential names: LoadCredential= of \
                     iamd.service passes it"
                )),
                other => other,
            })?;
            let password = std::str::from_utf8(&password).map_err(|_| {
                Fault::Final(format!("{}: the password is not text", user.password.display()))
            })?;
            options = options.with_user(user.name.clone(), password.trim_end_matches(['\r', '\n']));
        }
        Ok(options)
    }

    fn judge(&self, error: etcd_client::Error) -> Fault {
        use etcd_client::Error;
        let status = match error {
            Error::GRpcStatus(status) => status,
            Error::LeaseKeepAliveError(text) if text == "lease not found" => return Fault::NoLease,
            Error::TransportError(error) => return Fault::Passing(shown(&innermost(&error))),
            Error::InvalidArgs(text) => return Fault::Final(shown(&text)),
            Error::InvalidUri(error) => return Fault::Final(shown(&error.to_string())),
            other => return Fault::Passing(shown(&other.to_string())),
        };
        let message = status.message();
        match status.code() as i32 {
            code::NOT_FOUND if message.contains("lease") => Fault::NoLease,
            code::OUT_OF_RANGE if message.contains("compacted") => Fault::Compacted,
            code::OUT_OF_RANGE if message.contains("too large") => Fault::TooLong,
            code::RESOURCE_EXHAUSTED if message.contains("space exceeded") => Fault::Final(
                "it has no room left; compact and defragment it, and disarm its alarm: \
                 etcdctl alarm disarm"
                    .to_owned(),
            ),
            code::PERMISSION_DENIED => Fault::Final(format!(
                "{} may not read and write keys that begin with {:?}; grant that to its role{}",
                if self.settings.user.is_some() { "its user" } else { "this node without a user" },
                self.settings.prefix,
                match &self.settings.user {
                    Some(_) => "",
                    None => ", or set store.user and store.credential",
                }
            )),
            code::INVALID_ARGUMENT if message.contains("authentication failed") => Fault::Final(
                "it refuses user and password (store.user, store.credential)".to_owned(),
            ),
            code::INVALID_ARGUMENT if message.contains("user name is empty") => Fault::Final(
                "it wants a user and a password: set store.user and store.credential".to_owned(),
            ),
            code::FAILED_PRECONDITION if message.contains("authentication is not enabled") => {
                Fault::Final(
                    "it knows no users, and anybody may write it: etcdctl auth enable; or remove \
                     store.user"
                        .to_owned(),
                )
            }
            code::INVALID_ARGUMENT if message.contains("auth store is old") => {
                Fault::Passing(shown(message))
            }
            code::INVALID_ARGUMENT | code::UNIMPLEMENTED => Fault::Final(shown(message)),
            _ => Fault::Passing(shown(&innermost(&status))),
        }
    }
}

/// What is in a file; it may be a secret. What goes to the client of etcd it keeps as it likes.
async fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let text = tokio::fs::read(path).await;
    text.map(Zeroizing::new)
        .map_err(|error| Fault::Final(format!("{}: cannot be read: {error}", path.display())))
}

/// What an error comes from in the end says most.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// Bounded and printable: it comes from elsewhere.
fn shown(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(LONGEST_TEXT).collect()
}
