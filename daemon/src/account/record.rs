//! What is kept of an account, a client and a user. Records are sealed before they leave the
//! process; secrets inside have a type that zeroizes and prints nothing.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use super::{AccountKey, AccountName, AudienceSet, Guard, Owner, Proof, ScopeSet, State, UnixTime};

/// Ends that are no further from each other are one: an issuer tells how long is left, in seconds,
/// and may take 30 s to tell.
const SAME_END: Duration = Duration::from_secs(60);

/// Everything that is kept of an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Whose it is.
    pub owner: Owner,
    /// Its name.
    pub name: AccountName,
    /// The issuer's URL.
    pub issuer: String,
    /// Counts the writes of this record; part of what the seal binds.
    pub generation: u64,
    /// Where it stands.
    pub state: State,
    /// The client that the refresh token belongs to. Never mixed up: an issuer may destroy a
    /// refresh token that another client presents.
    pub client_owner: ClientOwner,
    /// The `client_id` of that client, for people and as a check.
    pub client_id: Option<String>,
    /// What a sign-in asks for.
    pub scopes_asked: ScopeSet,
    /// What the account's own token has: what was granted, as the token response said.
    pub scopes: ScopeSet,
    /// What the refresh token was granted, where the owner has since asked for less: the account's
    /// own token is then asked for with [`Record::narrowed`] only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrowed_from: Option<ScopeSet>,
    /// What tokens are for.
    pub audiences: AudienceSet,
    /// Who signed in; the first sign-in binds it.
    pub subject: Option<Subject>,
    /// When the user signed in.
    pub signed_in_at: Option<UnixTime>,
    /// When the refresh token was last used.
    pub refreshed_at: Option<UnixTime>,
    /// When the refresh token ends, where known.
    pub refresh_expires_at: Option<UnixTime>,
    /// Whether the last refresh moved that end forward: then it is no end, the issuer extends it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub extended: bool,
    /// Whether the issuer replaces the refresh token.
    pub rotation: Rotation,
    /// Device logins in a row that nobody answered.
    pub unanswered_logins: u32,
    /// The refresh token.
    #[serde(serialize_with = "expose_option", default)]
    pub refresh_token: Option<SecretString>,
    /// The access token for all granted scopes and the account's audiences.
    #[serde(default)]
    pub access_token: Option<AccessToken>,
    /// Where the user has a passphrase on it: then the two tokens are kept behind this, and are
    /// absent here while the account is locked.
    #[serde(default)]
    pub guard: Option<Guard>,
}

impl Record {
    /// An account that never signed in.
    pub fn new(owner: Owner, name: AccountName, issuer: String, client_owner: ClientOwner) -> Self {
        Self {
            owner,
            name,
            issuer,
            generation: 0,
            state: State::New,
            client_owner,
            client_id: None,
            scopes_asked: ScopeSet::default(),
            scopes: ScopeSet::default(),
            narrowed_from: None,
            audiences: AudienceSet::default(),
            subject: None,
            signed_in_at: None,
            refreshed_at: None,
            refresh_expires_at: None,
            extended: false,
            rotation: Rotation::Unknown,
            unanswered_logins: 0,
            refresh_token: None,
            access_token: None,
            guard: None,
        }
    }

    /// Whether its owner has signed out of it: only what was asked for is left.
    pub fn is_signed_out(&self) -> bool {
        let nothing_left = self.refresh_token.is_none() && self.subject.is_none();
        nothing_left && matches!(self.state, State::LoginRequired { .. })
    }

    /// What the account's own token is asked for with, where that is less than what the refresh
    /// token has.
    pub fn narrowed(&self) -> Option<ScopeSet> {
        let granted = self.narrowed_from.as_ref()?;
        Some(self.scopes_asked.filtered(|scope| granted.covers(scope)))
    }

    /// What the refresh token was granted.
    pub fn granted(&self) -> &ScopeSet {
        self.narrowed_from.as_ref().unwrap_or(&self.scopes)
    }

    /// Takes in when the refresh token ends, as a refresh told.
    pub fn note_end(&mut self, end: Option<UnixTime>) {
        self.extended = match (self.refresh_expires_at, end) {
            // Nearer to the same end than a refresh is to the one before: it tells nothing new.
            (Some(before), Some(end)) if end > before && end.after(before) <= SAME_END => {
                self.extended
            }
            (Some(before), Some(end)) => end > before,
            _ => false,
        };
        self.refresh_expires_at = end;
    }

    /// What identifies it.
    pub fn key(&self) -> AccountKey {
        AccountKey { uid: self.owner.uid, name: self.name.clone() }
    }
}

/// An access token and what is known of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccessToken {
    /// The token (RFC 6750).
    #[serde(serialize_with = "expose")]
    pub token: SecretString,
    /// When it was issued, by our clock.
    pub issued_at: UnixTime,
    /// When it expires.
    pub expires_at: UnixTime,
    /// What it was granted.
    pub scopes: ScopeSet,
}

/// Who signed in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// `sub`, which with the issuer identifies a person.
    pub sub: String,
    /// A name to show, without control characters.
    pub name: Option<String>,
    /// What the site's rule for who may sign in was judged on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

/// Whether an issuer replaces the refresh token when it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rotation {
    /// Not seen yet.
    Unknown,
    /// The same one came back, or none.
    Keeps,
    /// A new one came.
    Rotates,
}

/// Whose client it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientOwner {
    /// The site's, registered by us.
    Site,
    /// This uid's, registered by us.
    User(u32),
    /// The site's, from the configuration; not kept in the store.
    Fixed,
    /// One account's own, registered by us.
    Own(u32, AccountName),
    /// One that the user had registered and gave to an account.
    Given(u32, AccountName),
    /// The public client that the issuer's file names; not kept in the store.
    Public,
}

impl ClientOwner {
    /// Whether the client belongs to one account and comes and goes with it.
    pub const fn is_of_one_account(&self) -> bool {
        matches!(self, Self::Own(..) | Self::Given(..))
    }

    /// Whether it is a user's, and not the site's.
    pub const fn is_of_a_user(&self) -> bool {
        matches!(self, Self::User(_)) || self.is_of_one_account()
    }

    /// The user whose it is.
    pub const fn uid(&self) -> Option<u32> {
        match self {
            Self::User(uid) | Self::Own(uid, _) | Self::Given(uid, _) => Some(*uid),
            Self::Site | Self::Fixed | Self::Public => None,
        }
    }

    /// Whose it is when its account is called `name`.
    #[must_use]
    pub fn renamed(&self, name: &AccountName) -> Self {
        match self {
            Self::Own(uid, _) => Self::Own(*uid, name.clone()),
            Self::Given(uid, _) => Self::Given(*uid, name.clone()),
            other => other.clone(),
        }
    }
}

/// How a client authenticates at the token endpoint (RFC 7591 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// HTTP Basic, both parts form-encoded (RFC 6749 §2.3.1).
    ClientSecretBasic,
    /// In the body.
    ClientSecretPost,
    /// A public client.
    None,
}

impl ClientAuth {
    /// Its name in the registry of RFC 7591 §4.2.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::None => "none",
        }
    }
}

/// A registered client (RFC 7591 §3.2.1).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClientRecord {
    /// Whose it is.
    pub owner: ClientOwner,
    /// The name of the user that it was registered for; the site's is nobody's.
    #[serde(default)]
    pub user: Option<String>,
    /// The issuer's URL.
    pub issuer: String,
    /// Counts the writes of this record.
    pub generation: u64,
    /// `client_id`.
    pub client_id: String,
    /// `client_name`, as it was registered.
    #[serde(default)]
    pub client_name: Option<String>,
    /// `client_secret`.
    #[serde(serialize_with = "expose_option", default)]
    pub client_secret: Option<SecretString>,
    /// When the secret ends; `None`: never.
    pub client_secret_expires_at: Option<UnixTime>,
    /// How it authenticates.
    pub auth: ClientAuth,
    /// `registration_access_token` (RFC 7592).
    #[serde(serialize_with = "expose_option", default)]
    pub registration_access_token: Option<SecretString>,
    /// `registration_client_uri` (RFC 7592).
    pub registration_client_uri: Option<String>,
    /// The scopes it was registered with.
    pub scopes: ScopeSet,
    /// The grants it was registered with.
    pub grant_types: Vec<String>,
    /// When we registered it.
    pub registered_at: UnixTime,
}

impl ClientRecord {
    /// Whether this user may use it: one of an earlier user of the same uid is nobody's, and so is
    /// one of a uid that does not say whose it was (requirement 54).
    pub fn is_for(&self, user: &str) -> bool {
        match &self.user {
            Some(mine) => mine == user,
            None => !self.owner.is_of_a_user(),
        }
    }

    /// Whether it is the one that this account signed in with: the account's record, which says
    /// whose it is, says so for a client that does not.
    pub fn is_of(&self, record: &Record) -> bool {
        let named = record.client_id.as_ref() == Some(&self.client_id);
        self.is_for(&record.owner.user) || (self.user.is_none() && named)
    }
}

/// What a user decided for themself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// No notice at login.
    pub notice_off: bool,
    /// The default account, where it was chosen.
    pub default_account: Option<AccountName>,
}

pub(super) fn expose<S: Serializer>(secret: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret.expose_secret())
}

pub(super) fn expose_option<S: Serializer>(
    secret: &Option<SecretString>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => to.serialize_some(secret.expose_secret()),
        None => to.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_and_its_debug_text_has_no_secret() {
        let owner = Owner { uid: 1001, user: "alice".into() };
        let mut record =
            Record::new(owner, "wlcg".parse().unwrap(), "https://iss/".into(), ClientOwner::Site);
        record.refresh_token = Some("canary-rt".to_owned().into());
        record.access_token = Some(AccessToken {
            token: "canary-at".to_owned().into(),
            issued_at: UnixTime(1),
            expires_at: UnixTime(2),
            scopes: ScopeSet::default(),
        });
        let json = serde_json::to_string(&record).unwrap();
        let back: Record = serde_json::from_str(&json).unwrap();
        assert_eq!(back.refresh_token.as_ref().unwrap().expose_secret(), "canary-rt");
        assert!(!format!("{back:?}").contains("canary"));
    }
}
