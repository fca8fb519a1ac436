//! The D-Bus service: names, and (with the feature `bus`) the types of arguments and replies.
//!
//! Bus name [`NAME`], one object [`PATH`], three interfaces:
//!
//! | interface | methods | authorised by |
//! |---|---|---|
//! | [`TOKENS`] | `GetToken(s account, a{sv} options) → a{sv}` | the caller's uid: own accounts only |
//! | [`ACCOUNTS`] | `List() → aa{sv}`, `Show(s account) → a{sv}`, `Login(s account, a{sv} options) → a{sv}`, `LoginState(s account, u wait_ms) → a{sv}`, `CancelLogin(s account)`, `Logout(s account) → a{sv}`, `SetNotice(b on)`, `Status() → a{sv}`, `Issuers() → aa{sv}`, `Diagnose() → aa{sv}` | the caller's uid: own accounts only |
//! | [`ADMIN`] | `Reload()`, `Users() → aa{sv}`, `Sessions() → aa{sv}` | polkit `org.iamd1.admin.*` |
//!
//! Everywhere an account is named, the empty string means the default account. Arguments and
//! replies are dictionaries, so that members can be added without a break; an unknown member is
//! ignored. A member that is absent means "not known" or "not asked for". Instants are seconds
//! since 1970-01-01 UTC (`t`), durations carry their unit in the name. There are no signals:
//! a broadcast on the system bus is seen by every user.

/// The well-known name on the system bus. The version changes only on a break.
pub const NAME: &str = "org.iamd1";
/// The one object.
pub const PATH: &str = "/org/iamd1";
/// Tokens of the caller.
pub const TOKENS: &str = "org.iamd1.Tokens";
/// Accounts and logins of the caller.
pub const ACCOUNTS: &str = "org.iamd1.Accounts";
/// Administration.
pub const ADMIN: &str = "org.iamd1.Admin";
/// polkit: reload the configuration.
pub const ACTION_RELOAD: &str = "org.iamd1.admin.reload";
/// polkit: see who has accounts and sessions (no tokens).
pub const ACTION_INSPECT: &str = "org.iamd1.admin.inspect";
/// The longest that `LoginState` waits, in milliseconds: below the 25 s that D-Bus clients give
/// a call by default.
pub const LONGEST_WAIT_MS: u32 = 20_000;

/// The state of an account, as text in [`AccountInfo::state`].
pub mod state {
    /// Never signed in.
    pub const NEW: &str = "new";
    /// Signed in: tokens are to be had.
    pub const SIGNED_IN: &str = "signed-in";
    /// The sign-in ended; a new one is needed.
    pub const LOGIN_REQUIRED: &str = "login-required";
    /// The issuer no longer accepts our client.
    pub const CLIENT_BROKEN: &str = "client-broken";
    /// The issuer wants the user to do something first.
    pub const ACTION_NEEDED: &str = "action-needed";
    /// The record does not open with this node's keys.
    pub const UNREADABLE: &str = "unreadable";
}

/// The state of a login, as text in [`LoginInfo::state`].
pub mod login_state {
    /// The issuer has been asked for a code and has not answered yet.
    pub const STARTING: &str = "starting";
    /// Code and URL are there; the user has to act.
    pub const PENDING: &str = "pending";
    /// Signed in.
    pub const DONE: &str = "done";
    /// Ended without success; `error` and `message` say why.
    pub const FAILED: &str = "failed";
}

#[cfg(feature = "bus")]
pub use types::*;

#[cfg(feature = "bus")]
mod types {
    use zbus::{DeserializeDict, SerializeDict, Type};

    /// What kind of token is wanted: the options of `GetToken`.
    #[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
    #[zbus(signature = "dict")]
    pub struct TokenOptions {
        /// Only these scopes; absent or empty: all that the sign-in was granted.
        pub scopes: Option<Vec<String>>,
        /// For these audiences; absent or empty: the account's, else the issuer's default.
        pub audiences: Option<Vec<String>>,
        /// The token must be valid for at least so many seconds.
        pub min_valid_seconds: Option<u32>,
        /// Ask the issuer even when a cached token would do.
        pub force_new: Option<bool>,
        /// Which program asks, for the audit record; not trusted.
        pub application: Option<String>,
    }

    /// A token and what is known about it.
    #[derive(Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
    #[zbus(signature = "dict")]
    pub struct TokenReply {
        /// The access token (RFC 6750).
        pub token: String,
        /// When it expires.
        pub expires_at: u64,
        /// The scopes it was granted.
        pub scopes: Vec<String>,
        /// The audiences that were asked for.
        pub audiences: Vec<String>,
        /// The account's name.
        pub account: String,
        /// The issuer's URL.
        pub issuer: String,
        /// What a person should know, such as a scope that was not granted.
        pub remarks: Vec<String>,
    }

    impl std::fmt::Debug for TokenReply {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("TokenReply")
                .field("token", &"[REDACTED]")
                .field("expires_at", &self.expires_at)
                .field("scopes", &self.scopes)
                .field("account", &self.account)
                .field("issuer", &self.issuer)
                .finish_non_exhaustive()
        }
    }

    /// An account as its owner sees it; no secret.
    #[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
    #[zbus(signature = "dict")]
    pub struct AccountInfo {
        /// The short name.
        pub name: String,
        /// Whether this is the one meant when no name is given.
        pub is_default: bool,
        /// The issuer's URL.
        pub issuer: String,
        /// The issuer's short name at this site, where it has one.
        pub issuer_name: Option<String>,
        /// One of [`super::state`].
        pub state: String,
        /// Why the state is not `signed-in`, for people.
        pub reason: Option<String>,
        /// The client identifier at the issuer.
        pub client_id: Option<String>,
        /// The scopes the sign-in asks for.
        pub scopes_asked: Vec<String>,
        /// The scopes that were granted.
        pub scopes: Vec<String>,
        /// The account's audiences.
        pub audiences: Vec<String>,
        /// Who signed in (`sub`).
        pub subject: Option<String>,
        /// A name for that person, as the issuer gave it (`preferred_username`, `name`).
        pub subject_name: Option<String>,
        /// When the user signed in.
        pub signed_in_at: Option<u64>,
        /// When the access token was last renewed.
        pub refreshed_at: Option<u64>,
        /// When the access token expires.
        pub access_expires_at: Option<u64>,
        /// When the refresh token expires, where the issuer tells.
        pub refresh_expires_at: Option<u64>,
        /// Path of the token file, while there is one.
        pub token_file: Option<String>,
        /// Why there is no token file although there should be one, for people.
        pub token_file_problem: Option<String>,
        /// Whether a login is running.
        pub login_running: bool,
    }

    /// How to sign in: the options of `Login`.
    #[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
    #[zbus(signature = "dict")]
    pub struct LoginOptions {
        /// The issuer, by short name or URL; absent: the account's, else the site's default.
        pub issuer: Option<String>,
        /// The scopes to ask for; absent: the account's, else the issuer's default.
        pub scopes: Option<Vec<String>>,
        /// The audiences of the account's tokens; absent: unchanged.
        pub audiences: Option<Vec<String>>,
        /// Only when the account is not signed in; else the reply's state is `done`.
        pub if_needed: Option<bool>,
        /// Register a new client first.
        pub new_client: Option<bool>,
    }

    /// A login in progress, or how it ended.
    #[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
    #[zbus(signature = "dict")]
    pub struct LoginInfo {
        /// The account's name.
        pub account: String,
        /// The issuer's URL.
        pub issuer: String,
        /// The issuer's name for people.
        pub issuer_title: String,
        /// One of [`super::login_state`].
        pub state: String,
        /// The code to enter (RFC 8628 §3.2), printable ASCII.
        pub user_code: Option<String>,
        /// Where to enter it, printable ASCII.
        pub verification_uri: Option<String>,
        /// The same with the code inside, for a QR code.
        pub verification_uri_complete: Option<String>,
        /// When the code ends.
        pub expires_at: Option<u64>,
        /// The short name of a [`crate::error::Kind`] when `state` is `failed`.
        pub error: Option<String>,
        /// What happened, for people.
        pub message: Option<String>,
        /// Who signed in (`sub`), when `state` is `done`.
        pub subject: Option<String>,
        /// What a person should know, such as scopes the issuer left out.
        pub remarks: Vec<String>,
    }

    /// What became of a logout.
    #[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
    #[zbus(signature = "dict")]
    pub struct LogoutReply {
        /// The account's name.
        pub account: String,
        /// Whether the issuer confirmed that the refresh token is revoked (RFC 7009).
        pub revoked: bool,
        /// What a person should know.
        pub remarks: Vec<String>,
    }

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
        /// `per-site`, `per-user` or `fixed`.
        pub client: String,
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
}

#[cfg(all(test, feature = "bus"))]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_in_the_debug_text() {
        let reply = TokenReply { token: "canary".into(), ..Default::default() };
        assert!(!format!("{reply:?}").contains("canary"));
    }
}
