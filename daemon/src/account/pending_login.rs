//! A device login that waits for its user, as it is kept: it outlives the daemon.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    AccountKey, AccountName, AudienceSet, ClientOwner, ClientRecord, Owner, ScopeSet, UnixTime,
    record::expose,
};

/// What is kept of a device login from the moment that the issuer gave its code (RFC 8628 §3.2).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PendingLogin {
    /// Who signs in.
    pub owner: Owner,
    /// To which account.
    pub name: AccountName,
    /// Whether the account was there when the login was started.
    pub exists: bool,
    /// The issuer's URL.
    pub issuer: String,
    /// Which scopes it asks for.
    pub scopes: ScopeSet,
    /// For which audiences.
    pub audiences: AudienceSet,
    /// Whose client the account had when it was started.
    pub client_owner: ClientOwner,
    /// The client that the code was given to, and that alone may use it.
    pub client: ClientRecord,
    /// Whether that client is the account's only when the sign-in has come.
    pub client_is_new: bool,
    /// The client whose place it takes then.
    pub replaces: Option<ClientRecord>,
    /// `device_code`.
    #[serde(serialize_with = "expose")]
    pub device_code: SecretString,
    /// `user_code`.
    pub user_code: String,
    /// `verification_uri`.
    pub verification_uri: String,
    /// `verification_uri_complete`.
    pub verification_uri_complete: Option<String>,
    /// `interval`, in seconds.
    pub interval_seconds: u64,
    /// When the code was given.
    pub since: UnixTime,
    /// When it ends.
    pub expires_at: UnixTime,
    /// What is to be said with the result.
    pub remarks: Vec<String>,
}

impl PendingLogin {
    /// The account.
    pub fn key(&self) -> AccountKey {
        AccountKey { uid: self.owner.uid, name: self.name.clone() }
    }
}
