//! Types of the password flow (RFC 6749 §4.3): which clients an administrator allowed it for.

use zbus::{DeserializeDict, SerializeDict, Type};

/// Which client: the options of `EnablePasswordFlow` and `DisablePasswordFlow`.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct PasswordFlowOptions {
    /// The issuer, by short name or URL. Has to be there.
    pub issuer: Option<String>,
    /// The `client_id`. Has to be there.
    pub client: Option<String>,
    /// Change the client at the issuer too, as the administrator there that the caller is.
    pub at_issuer: Option<bool>,
    /// With which of the caller's accounts; absent: the first one at the issuer that may.
    pub account: Option<String>,
}

/// A client that users may sign in with by password.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct PasswordFlowInfo {
    /// The issuer's URL.
    pub issuer: String,
    /// Its short name at this site.
    pub issuer_name: Option<String>,
    /// The `client_id`.
    pub client: String,
    /// The uid of the administrator who allowed it.
    pub enabled_by: u32,
    /// The user name of that administrator then.
    pub enabled_by_user: String,
    /// When.
    pub enabled_at: u64,
    /// Why what is kept of it cannot be read; it is then as good as not there.
    pub problem: Option<String>,
}

/// What became of a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct PasswordFlowReply {
    /// The issuer's URL.
    pub issuer: String,
    /// The `client_id`.
    pub client: String,
    /// Whether this site lets the client sign users in by password now.
    pub enabled: bool,
    /// Whether the client has the grant at the issuer now; absent: not asked for.
    pub at_issuer: Option<bool>,
    /// What a person should know.
    pub remarks: Vec<String>,
}
