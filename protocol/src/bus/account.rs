//! Types of `org.iamd1.Accounts`: what an account is, and what its owner may do with it.

use zbus::{DeserializeDict, SerializeDict, Type};

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
    /// Whose client it is: one of [`super::client`].
    pub client: Option<String>,
    /// The name it was registered with.
    pub client_name: Option<String>,
    /// The grants it was registered with.
    pub grant_types: Option<Vec<String>>,
    /// How the client authenticates (`token_endpoint_auth_method`, RFC 7591 §2), where that is known.
    pub client_auth: Option<String>,
    /// Where the registration is read and changed (RFC 7592 §3); it is of no use without its token.
    pub registration_client_uri: Option<String>,
    /// Where the issuer's metadata was found, since it was last read.
    pub configuration_endpoint: Option<String>,
    /// Where device logins begin (RFC 8628 §3.1), since the metadata was last read.
    pub device_authorization_endpoint: Option<String>,
    /// The certificates that the site checks the issuer with, where they are not the system's.
    pub ca_file: Option<String>,
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
    /// When the access token expires; absent where a rule of the site does not let the user have it.
    pub access_expires_at: Option<u64>,
    /// When the refresh token expires, where the issuer tells.
    pub refresh_expires_at: Option<u64>,
    /// Whether so little of the sign-in is left that logins announce its end.
    pub ends_soon: Option<bool>,
    /// Path of the token file, while there is one.
    pub token_file: Option<String>,
    /// Why there is no token file although there should be one, for people.
    pub token_file_problem: Option<String>,
    /// Whether a login is running.
    pub login_running: bool,
    /// Whether the sign-in is sealed with the user's passphrase besides.
    pub has_passphrase: Option<bool>,
    /// Until when an account with a passphrase is unlocked; absent when it is locked, or unlocked
    /// until the daemon ends.
    pub unlocked_until: Option<u64>,
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
