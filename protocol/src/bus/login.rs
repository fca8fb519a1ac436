//! Types of `org.iamd1.Accounts`: signing in.

use zbus::{DeserializeDict, SerializeDict, Type};

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
