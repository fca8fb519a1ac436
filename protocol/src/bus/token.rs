//! Types of `org.iamd1.Tokens`.

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
    /// A token that was granted fewer scopes than asked for is an error, not a remark.
    pub strict: Option<bool>,
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
