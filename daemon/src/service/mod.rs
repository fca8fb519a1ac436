//! The use cases: the one door between the edges and the rooms. An edge says who is calling
//! (from the kernel) and what is wanted; what comes back is an answer or a [`ServiceError`].

mod accounts;
mod add;
mod add_plan;
mod admin;
mod ahead;
mod backup;
mod clients;
mod completion;
mod default;
mod denials;
mod doctor;
mod drain;
mod edit;
mod error;
mod explain;
mod handed;
mod id_tokens;
mod keeper;
mod leftovers;
mod logins;
mod logout;
mod new_client;
mod nodes;
mod notice;
mod on_disk;
mod passphrases;
mod password_flow;
mod password_grant;
mod password_login;
mod plan;
mod policy;
mod presence;
mod registration;
mod rekey;
mod remove;
mod rename;
mod resume;
mod revoke;
mod secrets;
mod sessions;
mod sign_in;
mod site;
mod stats;
mod take_over;
mod tokens;
pub mod vault;

#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
    time::Duration,
};

pub use accounts::is_account_name;
use denials::About;
pub use error::ServiceError;
pub use handed::Handed;
pub use id_tokens::IdToken;
use passphrases::Locks;
pub use presence::Presence;
use rekey::Maintenance;
pub use sessions::NewLogin;
use tokio::sync::{Notify, watch};

use crate::{
    account::{
        Guards, Owner, UnixTime,
        ports::{Issuers, Vault, upkeep::Upkeep},
    },
    audit::{Audit, Counted, People},
    clock::{Clock, Random},
    config::{Config, Limits, Sources, policy::Key},
    login::Logins,
    policy::{Attempts, Quota, QuotaGuard, Rate},
    session::Drain,
    token::Broker,
    users::Users,
};

/// Who asks, as the kernel or the bus says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub owner: Owner,
    /// The process, for the audit record only.
    pub pid: Option<u32>,
}

/// Who administers, and with which process: for the record, never to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct By {
    /// The user.
    pub uid: u32,
    /// The process.
    pub pid: Option<u32>,
}

impl By {
    /// The daemon, when nobody asked.
    pub const ITSELF: Self = Self { uid: 0, pid: None };
}

impl From<&Caller> for By {
    fn from(caller: &Caller) -> Self {
        Self { uid: caller.owner.uid, pid: caller.pid }
    }
}

/// What the service is built from.
pub struct Parts {
    /// The configuration and where to read it again from.
    pub config: Config,
    /// Where the configuration comes from.
    pub sources: Sources,
    /// The node's host name.
    pub node: String,
    /// Accounts, clients, settings.
    pub vault: Arc<dyn Vault>,
    /// The passphrases of accounts.
    pub guards: Arc<dyn Guards>,
    /// The keys that seal, backups.
    pub upkeep: Arc<dyn Upkeep>,
    /// The issuers.
    pub issuers: Arc<dyn Issuers>,
    /// Access tokens.
    pub broker: Arc<Broker>,
    /// Logins in progress.
    pub logins: Arc<Logins>,
    /// Who is logged in, and their files.
    pub presence: Presence,
    /// Whether this node takes new sign-ins.
    pub drain: Drain,
    /// The record of security events.
    pub audit: Arc<dyn Audit>,
    /// Names in it for people who may not be named.
    pub people: People,
    /// User names.
    pub users: Arc<dyn Users>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
}

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// The use cases.
pub struct Service {
    config: RwLock<Arc<Config>>,
    /// The bounds that the daemon began with: some hold until it ends.
    began_with: Limits,
    sources: Sources,
    node: String,
    vault: Arc<dyn Vault>,
    locks: Locks,
    maintenance: Maintenance,
    issuers: Arc<dyn Issuers>,
    broker: Arc<Broker>,
    logins: Arc<Logins>,
    presence: Presence,
    drain: Drain,
    audit: Counted,
    people: People,
    /// When the daemon began.
    began: UnixTime,
    users: Arc<dyn Users>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    quota: Quota,
    registrations: Rate,
    /// Logins that users began lately.
    login_starts: Rate,
    /// Tokens that issuers were asked for.
    tokens_asked: Rate,
    password_attempts: Attempts,
    reloads: watch::Sender<()>,
    /// Held while the configuration is read again.
    reading: Arc<tokio::sync::Mutex<()>>,
    /// Told of each client that is to be deleted later.
    leftovers: Notify,
    /// Where oidc-agent's clients are served now.
    agent_socket: Mutex<Option<String>>,
}

impl Service {
    /// The service; it is told of every new token from now on.
    pub fn new(parts: Parts) -> Arc<Self> {
        let broker = Arc::clone(&parts.broker);
        let service = Arc::new(Self {
            began_with: parts.config.limits.clone(),
            config: RwLock::new(Arc::new(parts.config)),
            sources: parts.sources,
            node: parts.node,
            vault: parts.vault,
            locks: Locks::new(parts.guards),
            maintenance: Maintenance::new(parts.upkeep),
            issuers: parts.issuers,
            broker: parts.broker,
            logins: parts.logins,
            presence: parts.presence,
            drain: parts.drain,
            audit: Counted::over(parts.audit),
            people: parts.people,
            began: parts.clock.wall(),
            users: parts.users,
            clock: parts.clock,
            random: parts.random,
            quota: Quota::default(),
            registrations: Rate::per(HOUR),
            login_starts: Rate::per(MINUTE),
            tokens_asked: Rate::per(MINUTE),
            password_attempts: Attempts::default(),
            reloads: watch::channel(()).0,
            reading: Arc::default(),
            leftovers: Notify::new(),
            agent_socket: Mutex::default(),
        });
        let publisher: Weak<Self> = Arc::downgrade(&service);
        broker.publish_to(publisher);
        service
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Is told after each reload that worked.
    pub fn reloads(&self) -> watch::Receiver<()> {
        self.reloads.subscribe()
    }

    /// Where oidc-agent's clients find a socket from now on: what sessions get as `OIDC_SOCK`.
    pub fn serve_agent_socket(&self, path: Option<String>) {
        *self.agent_socket.lock().unwrap_or_else(PoisonError::into_inner) = path;
    }

    fn agent_socket(&self) -> Option<String> {
        self.agent_socket.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts nothing at issuers any more, and waits until what runs there has reached the disk.
    pub async fn finish(&self, patience: Duration) {
        tokio::select! {
            () = async { tokio::join!(self.broker.landed(), self.logins.close()); } => {}
            () = self.clock.sleep(patience) => {
                tracing::warn!("an issuer did not answer before the end");
            }
        }
    }

    /// The caller with this uid, named by the name service.
    ///
    /// # Errors
    /// Nobody has this uid now.
    pub async fn caller(&self, uid: u32, pid: Option<u32>) -> Result<Caller, ServiceError> {
        let Some(user) = self.users.name_of(uid).await else {
            let text =
                format!("the name service has no user with the uid {uid}, or does not answer");
            return Err(ServiceError::new(iamd_protocol::error::Kind::StoreUnavailable, text));
        };
        Ok(Caller { owner: Owner { uid, user }, pid })
    }

    /// Counts a request of a uid against its quota, for an edge that has to ask somebody before
    /// it can call a use case. Who this is, is not known yet: what holds for everybody counts.
    ///
    /// # Errors
    /// Too many requests.
    pub fn admit(&self, uid: u32) -> Result<QuotaGuard, ServiceError> {
        self.enter_as(uid, None, self.config().limits.requests)
    }

    /// Counts a request of the caller against their quota.
    fn enter(&self, caller: &Caller) -> Result<QuotaGuard, ServiceError> {
        let most = self.most(&caller.owner.user, Key::Requests);
        self.enter_as(caller.owner.uid, caller.pid, most)
    }

    /// Here the refusal is recorded, and nowhere else: every use case begins with it.
    fn enter_as(&self, uid: u32, pid: Option<u32>, most: u32) -> Result<QuotaGuard, ServiceError> {
        let entered = self.quota.enter(uid, most);
        let entered = entered.map_err(ServiceError::from);
        entered.inspect_err(|error| self.record_denial(uid, pid, &About::default(), error))
    }
}
