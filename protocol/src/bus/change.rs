//! Types of `org.iamd1.Accounts`: making, changing and removing accounts.
//!
//! Secrets never stand in a dictionary: they come in by file descriptor, in an argument of type
//! `a{sh}` from one of the names in [`super::secret`] to a descriptor that is read to its end.

use zbus::{DeserializeDict, SerializeDict, Type};

/// What a new account is like: the options of `Add`.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct AddOptions {
    /// The issuer, by short name or URL; absent: the issuer that the account's name says, else
    /// the site's default.
    pub issuer: Option<String>,
    /// The scopes a sign-in asks for; absent: the issuer's default.
    pub scopes: Option<Vec<String>>,
    /// Ask for every scope that the issuer offers.
    pub all_scopes: Option<bool>,
    /// The audiences of the account's tokens; absent: the issuer's default.
    pub audiences: Option<Vec<String>>,
    /// A client that the user had registered (`client_id`); its secret comes by descriptor.
    pub client_id: Option<String>,
    /// How that client authenticates (RFC 7591 §2): `client_secret_basic`, `client_secret_post`
    /// or `none`; absent: basic with a secret, none without.
    pub client_auth: Option<String>,
    /// The public client that the issuer's file names.
    pub public_client: Option<bool>,
    /// A client of this account's own is registered, even where the site shares one.
    pub own_client: Option<bool>,
    /// The name that a client of the account's own gets at the issuer.
    pub client_name: Option<String>,
    /// Make it the account that is meant when none is named.
    pub make_default: Option<bool>,
    /// Say whether this account could be made, and make none: no issuer is asked for anything, and no
    /// secret is used.
    pub dry_run: Option<bool>,
}

/// What is to be different: the options of `Edit`. What is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct EditOptions {
    /// The scopes a sign-in asks for, instead of those it asked for.
    pub scopes: Option<Vec<String>>,
    /// Every scope that the issuer offers.
    pub all_scopes: Option<bool>,
    /// Scopes to ask for besides.
    pub add_scopes: Option<Vec<String>>,
    /// Scopes to ask for no longer.
    pub remove_scopes: Option<Vec<String>>,
    /// The audiences of the account's tokens; empty: the issuer's default.
    pub audiences: Option<Vec<String>>,
    /// The name of the account's own client at the issuer (RFC 7592 §2.2).
    pub client_name: Option<String>,
}

/// What became of `Add`, `Edit`, `Rename`, `SetDefault` or a change of the passphrase.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct ChangeReply {
    /// The account's name, now.
    pub account: String,
    /// Whether the change takes effect with the next sign-in only, such as more scopes.
    pub login_needed: bool,
    /// What a person should know, such as scopes and grants the issuer left out without a word.
    pub remarks: Vec<String>,
}

/// The options of `Remove`.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct RemoveOptions {
    /// Leave the account's own client registered at the issuer.
    pub keep_client: Option<bool>,
}

/// What became of `Remove`. The account is gone here, whatever the issuer said.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct RemoveReply {
    /// The account's name.
    pub account: String,
    /// Whether the issuer confirmed that the refresh token is revoked (RFC 7009).
    pub revoked: bool,
    /// Whether the issuer confirmed that the account's own client is deleted (RFC 7592 §2.3).
    pub client_deleted: bool,
    /// What could not be deleted and why, and which account is the default one now.
    pub remarks: Vec<String>,
}

/// The options of `Unlock`.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct UnlockOptions {
    /// Lock it again after so many seconds; absent: when the daemon ends, or `Lock`.
    pub for_seconds: Option<u32>,
}

/// The secrets of an account, where the site's policy lets its owner see them.
#[derive(Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict")]
pub struct AccountSecrets {
    /// `refresh_token`.
    pub refresh_token: Option<String>,
    /// `client_id`.
    pub client_id: Option<String>,
    /// `client_secret`; never the site's.
    pub client_secret: Option<String>,
    /// `registration_access_token` (RFC 7592); never the site's.
    pub registration_access_token: Option<String>,
    /// `registration_client_uri` (RFC 7592).
    pub registration_client_uri: Option<String>,
}

impl std::fmt::Debug for AccountSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountSecrets").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}
