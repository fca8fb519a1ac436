//! What the site decided: `iamd.toml` and the issuer files, typed and validated.
//!
//! A mistake is never guessed around: each is reported with file, line and key, all of them at
//! once, and a configuration with a mistake is not used, neither at start nor at a reload.

mod error;
mod file;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod identity;
mod issuers;
pub mod policy;
mod reader;
mod store;
mod values;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

pub use error::{ConfigError, Problem};
use files::toml as read;
pub use policy::PolicyRules;
pub use store::{EtcdAccess, EtcdIdentity, StoreKind};

use crate::account::IssuerProfile;

/// Where the configuration is read from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// `iamd.toml`; absent means all defaults.
    pub file: PathBuf,
    /// The site's issuer files.
    pub issuers: PathBuf,
    /// The shipped issuer files; one of the site's of the same name hides the shipped one.
    pub shipped_issuers: PathBuf,
    /// The site's rules.
    pub policy: PathBuf,
}

impl Sources {
    /// What stands in the site's directories and is not read, each in a sentence.
    pub fn passed_over(&self) -> Vec<String> {
        [&self.policy, &self.issuers].into_iter().flat_map(|dir| files::passed_over(dir)).collect()
    }

    /// The paths of an installed system.
    pub fn installed() -> Self {
        use iamd_protocol::paths;
        Self {
            file: paths::CONFIG_FILE.into(),
            issuers: paths::ISSUERS_DIR.into(),
            shipped_issuers: paths::SHIPPED_ISSUERS_DIR.into(),
            policy: paths::POLICY_DIR.into(),
        }
    }
}

/// The configuration in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The name of the cluster in notices and client names; the host name where none is given.
    pub site_name: Option<String>,
    /// Whom users ask who are refused something: an address of mail, a URL, a room.
    pub site_contact: Option<String>,
    /// Whom sessions and accounts are for.
    pub users: Users,
    /// What which users may do, beside what holds for all.
    pub policy: PolicyRules,
    /// Logins.
    pub login: Login,
    /// Access tokens.
    pub tokens: TokenRules,
    /// Sessions and their files.
    pub sessions: SessionRules,
    /// Bounds.
    pub limits: Limits,
    /// The socket for oidc-agent's clients.
    pub agent_socket: AgentSocket,
    /// The store.
    pub store: StoreKind,
    /// The filter of log records, in the form of the environment filter of tracing.
    pub log_filter: String,
    /// The issuers that the site allows to anybody, by short name.
    pub issuers: BTreeMap<String, IssuerProfile>,
    /// The one used when none is named.
    pub default_issuer: Option<String>,
    /// Whether users may name issuers that are not listed, where no rule says otherwise.
    pub custom_issuers: bool,
}

/// Whom iamd serves.
#[derive(Debug, Clone, PartialEq)]
pub struct Users {
    /// uids below this one get no session; uid 0 never unless this is 0.
    pub min_uid: u32,
    /// The PAM services whose sessions count.
    pub services: Vec<String>,
    /// Whether accounts may have clients of their own: registered for one account, or brought by
    /// the user.
    pub own_clients: bool,
}

/// Logins.
#[derive(Debug, Clone, PartialEq)]
pub struct Login {
    /// Whether an SSH login starts a device login when one is needed.
    pub automatic: bool,
    /// After so many device logins in a row that nobody answered, none is started by itself.
    pub unanswered_limit: u32,
    /// How long a PAM session may wait for an issuer's device code or a token.
    pub answer_within: Duration,
}

/// Access tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenRules {
    /// The part of a token's life after which it is renewed.
    pub renew_at: f64,
    /// A request that names no minimum is served with at least this validity.
    pub min_valid: Duration,
    /// How long before its end a refresh token's end is announced.
    pub announce_ahead: Duration,
}

/// Sessions and their files.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionRules {
    /// How long token files stay after a user's last session.
    pub grace: Duration,
    /// Whether files stay for users who linger (loginctl enable-linger).
    pub keep_for_lingering: bool,
}

/// Bounds. Each is answered with an error of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Accounts per uid.
    pub accounts: u32,
    /// Running logins per uid.
    pub logins: u32,
    /// Logins that a uid may begin in a minute.
    pub login_starts: u32,
    /// Requests in flight per uid.
    pub requests: u32,
    /// Clients that are registered per uid and hour.
    pub registrations: u32,
    /// Tokens that issuers are asked for in a minute because a uid wants them.
    pub tokens_per_minute: u32,
    /// Bytes of an issuer's reply.
    pub reply_bytes: usize,
    /// Time for an issuer's reply.
    pub reply_time: Duration,
    /// Requests in flight per issuer.
    pub issuer_requests: usize,
    /// Bytes of a PAM frame.
    pub frame_bytes: usize,
}

/// The socket for oidc-agent's clients.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentSocket {
    /// Whether there is one.
    pub enabled: bool,
    /// Connections per uid.
    pub connections: usize,
}

impl Config {
    /// Reads and validates everything.
    ///
    /// # Errors
    /// Every problem found, each with file, line and key.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let mut identity = BTreeMap::new();
        let profiles = issuers::load(sources, &mut identity, &mut problems);
        let text = match read(&sources.file) {
            Ok(text) => text.unwrap_or_default(),
            Err(problem) => {
                problems.push(problem);
                String::new()
            }
        };
        let mut config = file::build(sources, &text, profiles, &mut problems);
        config.policy.identity = identity;
        if problems.is_empty() { Ok(config) } else { Err(ConfigError(problems)) }
    }

    /// The profile of the default issuer.
    pub fn default_profile(&self) -> Option<&IssuerProfile> {
        self.issuers.get(self.default_issuer.as_ref()?)
    }

    /// The listed issuer with that short name or URL, however it is spelled: what the site says of
    /// an issuer must not be passed by with another spelling of its URL.
    pub fn issuer(&self, name_or_url: &str) -> Option<&IssuerProfile> {
        self.issuers.get(name_or_url).or_else(|| {
            let wanted = one_spelling(&name_or_url.parse().ok()?);
            self.issuers.values().find(|profile| one_spelling(&profile.url) == wanted)
        })
    }
}

/// What all spellings of an issuer's URL have in common: scheme, host, port and path.
type Spelling = (String, String, Option<u16>, String);

/// The parser has made case, default port and dots alike; slashes and the host's last dot are left.
fn one_spelling(url: &url::Url) -> Spelling {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.').to_owned();
    let parts: Vec<&str> = url.path().split('/').filter(|part| !part.is_empty()).collect();
    (url.scheme().to_owned(), host, url.port(), parts.join("/"))
}
