//! What the site and its node are like: status, issuers, findings, and what an administrator sees.

use std::collections::HashMap;

use zbus::{DeserializeDict, SerializeDict, Type};

use super::LoginInfo;

/// The caller's sessions and settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct StatusReply {
    /// The daemon's version.
    pub version: String,
    /// The node's host name.
    pub node: String,
    /// How many sessions of the caller are open on this node.
    pub sessions: u32,
    /// Until when the token files stay although no session is open.
    pub files_until: Option<u64>,
    /// Whether a login shows the notice.
    pub notice: bool,
    /// The site's default issuer, by name or URL.
    pub default_issuer: Option<String>,
    /// How long a refresh token's end is announced ahead, in seconds.
    pub announce_ahead_seconds: u64,
    /// What users are told where this node takes no new sign-ins.
    pub draining: Option<String>,
    /// The caller's logins that are running, also of accounts that are not there yet.
    pub logins: Option<Vec<LoginInfo>>,
    /// Where oidc-agent's clients find a socket; absent where the site has none.
    pub agent_socket: Option<String>,
}

/// What there is on this node and what was done since the daemon began: numbers, nobody's names.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct StatsReply {
    /// When the daemon began: what is counted below is counted from then.
    pub since: u64,
    /// How many users have accounts.
    pub users: u32,
    /// How many accounts are in which state.
    pub accounts: HashMap<String, u32>,
    /// How many sessions are open.
    pub sessions: u32,
    /// How many logins are running.
    pub logins: u32,
    /// Logins that were started.
    pub logins_started: u64,
    /// Logins that ended without success.
    pub logins_failed: u64,
    /// Sign-ins.
    pub sign_ins: u64,
    /// Sign-outs, those by administrators among them.
    pub sign_outs: u64,
    /// Refreshes that brought a token.
    pub refreshes: u64,
    /// Refreshes that did not.
    pub refreshes_failed: u64,
    /// Tokens that were handed out.
    pub tokens: u64,
    /// Requests that were refused.
    pub denials: u64,
    /// The site's issuers, and whether they are asked.
    pub issuers: Vec<IssuerStats>,
    /// The bytes of the store's files.
    pub store_bytes: u64,
    /// The bytes of the journal's file.
    pub journal_bytes: u64,
    /// Answers of issuers that the store does not have yet.
    pub journal: u64,
    /// The ids of the keys, the sealing one first.
    pub keys: Vec<String>,
}

/// An issuer as [`StatsReply`] has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct IssuerStats {
    /// The short name.
    pub name: String,
    /// `closed` (asked), `open` (left in peace for a while), `failing` (asked, after a failure) or
    /// `unknown` (not asked since the start).
    pub circuit: String,
    /// After how many seconds it is asked again; where the circuit is open.
    pub retry_in_seconds: Option<u64>,
}

/// An issuer that the site lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct IssuerInfo {
    /// The short name.
    pub name: String,
    /// For people.
    pub title: String,
    /// The URL.
    pub url: String,
    /// Whether this one is used when no issuer is named.
    pub is_default: bool,
    /// `indigo-iam`, `rfc`, or `auto`: found out from its metadata.
    pub dialect: String,
    /// The scopes a sign-in asks for by default.
    pub scopes: Vec<String>,
    /// `per-site`, `per-user`, `fixed`, or `missing` where the site has to register one first.
    pub client: String,
    /// Whether the issuer's file names a public client.
    pub public_client: Option<bool>,
    /// What the site requires of who signs in there, for people: `preferred_username is {user}`,
    /// with `{user}` and `{uid}` for the local user's.
    pub identity: Option<String>,
    /// The scopes that the issuer says it offers (`scopes_supported`, RFC 8414 §2); absent in a
    /// list. It may grant others: paths and restricted scopes are not named there.
    pub scopes_offered: Option<Vec<String>>,
    /// `ok`, `unknown` (not asked yet) or `unreachable`.
    pub health: String,
}

/// One finding of `Diagnose`.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct Finding {
    /// What was looked at.
    pub name: String,
    /// `ok`, `warning` or `problem`.
    pub level: String,
    /// What was found.
    pub text: String,
    /// What to do; empty when nothing.
    pub advice: String,
}

/// A user as an administrator sees them: counts and states, nothing secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct UserInfo {
    /// The uid.
    pub uid: u32,
    /// The user's name when the account was made.
    pub user: String,
    /// How many accounts.
    pub accounts: u32,
    /// How many of them are signed in.
    pub signed_in: u32,
    /// How many sessions on this node.
    pub sessions: u32,
    /// How many accounts are in which of [`super::state`].
    pub states: HashMap<String, u32>,
    /// How many logins are running.
    pub logins: u32,
    /// When one of the accounts last got a token from its issuer.
    pub last_token_at: Option<u64>,
}

/// A session as an administrator sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct SessionInfo {
    /// The identifier of the session.
    pub session: String,
    /// The uid.
    pub uid: u32,
    /// The user's name.
    pub user: String,
    /// `PAM_SERVICE`.
    pub service: String,
    /// Where the login came from.
    pub rhost: Option<String>,
    /// The process whose end is the session's end.
    pub pid: u32,
    /// When it was opened.
    pub since: u64,
}
