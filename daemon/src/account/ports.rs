//! The traits by which the rooms reach each other. A room names the trait it needs; `startup`
//! hands in the implementation; a test hands in its own.

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use secrecy::SecretString;

use super::{
    AccountKey, AccountName, AudienceSet, ClientOwner, ClientRecord, IssuerProfile, Record,
    ScopeSet, Settings, UnixTime,
};

// ---------------------------------------------------------------- issuers

pub use super::checkup::Checkup;

/// What a token endpoint gave (RFC 6749 §5.1).
#[derive(Debug, Clone)]
pub struct Tokens {
    /// `access_token`.
    pub access_token: SecretString,
    /// `expires_in`; where it was absent, from the token itself, else 300 s (requirement 27).
    pub expires_in: Duration,
    /// `refresh_token`, where a new one came.
    pub refresh_token: Option<SecretString>,
    /// When that refresh token expires, where it tells (INDIGO IAM's do).
    pub refresh_expires_at: Option<UnixTime>,
    /// `scope`, where it was there; absent means as asked (RFC 6749 §5.1).
    pub scopes: Option<ScopeSet>,
    /// Who signed in, from an ID token that was checked.
    pub identity: Option<Identity>,
}

/// Who signed in, as the ID token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `sub`.
    pub sub: String,
    /// `preferred_username`, else `name`, without control characters.
    pub name: Option<String>,
}

/// What the device authorization endpoint gave (RFC 8628 §3.2), checked: printable ASCII only.
#[derive(Debug, Clone)]
pub struct DeviceAuthorization {
    /// `device_code`.
    pub device_code: SecretString,
    /// `user_code`.
    pub user_code: String,
    /// `verification_uri`, in full.
    pub verification_uri: String,
    /// `verification_uri_complete`.
    pub verification_uri_complete: Option<String>,
    /// `expires_in`; 600 s where it was absent.
    pub expires_in: Duration,
    /// `interval`; 5 s where it was absent.
    pub interval: Duration,
}

/// What a registration gave.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The client, to be kept before it is used (requirement 19).
    pub client: ClientRecord,
    /// The scopes the issuer left out without a word (requirement 18).
    pub left_out: ScopeSet,
}

/// Why an issuer gave nothing. Each text is for people: bounded, printable, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// Connection, time-out, 5xx, 429, or an answer that is not the protocol's: may pass.
    #[error("{text}")]
    Unreachable {
        /// What happened.
        text: String,
        /// `Retry-After`, where it was given.
        retry_after: Option<Duration>,
        /// The request may have reached the issuer and been acted on.
        maybe_processed: bool,
    },
    /// Not asked: this issuer failed too often just now.
    #[error("{issuer} is not answering; next try in {} s", retry_in.as_secs())]
    CircuitOpen {
        /// The issuer's title.
        issuer: String,
        /// When it will be asked again.
        retry_in: Duration,
    },
    /// The site did not list this issuer and its address is not public, or it is not https.
    #[error("{text}")]
    AddressNotPublic {
        /// Which host or URL, and why.
        text: String,
    },
    /// An OAuth error reply.
    #[error("{text}")]
    Refused {
        /// The error code, as sent (bounded, printable).
        code: String,
        /// What it means.
        text: String,
    },
    /// The issuer rejected our client (`invalid_client`, unknown, suspended).
    #[error("{text}")]
    ClientRejected {
        /// What it said.
        text: String,
    },
    /// The answer breaks the protocol in a way that will not pass.
    #[error("{text}")]
    Malformed {
        /// How.
        text: String,
    },
    /// The issuer does not offer what is needed, such as a device endpoint.
    #[error("{text}")]
    Unsupported {
        /// What is missing, and how a site can supply it.
        text: String,
    },
    /// Something of this node's own: a secret file that cannot be read, for example.
    #[error("{text}")]
    Local {
        /// What, with the path.
        text: String,
    },
}

/// The answer to one poll of the token endpoint with a device code (RFC 8628 §3.5).
#[derive(Debug, Clone)]
pub enum PollAnswer {
    /// Approved. To be persisted before anything else: a second redeem kills the family.
    Tokens(Box<Tokens>),
    /// Not yet.
    Pending,
    /// Not yet, and slower please.
    SlowDown,
    /// `access_denied`.
    Denied,
    /// `expired_token`, or the code is not known any more.
    Expired,
    /// A passing failure; `maybe_processed` when the reply may have been lost on the way.
    Transient {
        /// What happened.
        error: IssuerError,
    },
    /// A final failure.
    Failed(IssuerError),
}

/// Why a refresh gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// The refresh token is expired, revoked or unknown: sign in again (requirement 30).
    #[error("{text}")]
    Dead {
        /// What the issuer said.
        text: String,
    },
    /// The user has to act at the issuer; the refresh token lives.
    #[error("{text}")]
    ActionNeeded {
        /// What the issuer said.
        text: String,
    },
    /// The issuer does not grant the scopes.
    #[error("{text}")]
    Scope {
        /// What it said.
        text: String,
    },
    /// The issuer does not grant the audience (`invalid_target`).
    #[error("{text}")]
    Audience {
        /// What it said.
        text: String,
    },
    /// Anything else; `Unreachable` may pass, `ClientRejected` keeps the refresh token.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
}

/// What a refresh should give.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Only these scopes; `None`: all that the refresh token has (the parameter is left out).
    pub scopes: Option<ScopeSet>,
    /// For these audiences; empty: the issuer's default.
    pub audiences: AudienceSet,
}

/// How an issuer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Not asked since the start.
    Unknown,
    /// The last request was answered.
    Answering,
    /// The last request failed, but it may be asked again.
    Failing,
    /// The circuit is open: it is not asked for this long.
    Open(Duration),
}

/// The issuers, as the other rooms need them.
#[async_trait]
pub trait Issuers: Send + Sync + 'static {
    /// Registers a client (RFC 7591) for `owner`.
    async fn register(
        &self,
        issuer: &IssuerProfile,
        owner: ClientOwner,
    ) -> Result<Registration, IssuerError>;

    /// Deletes a registration (RFC 7592 §2.3). Gone already is success (requirement 22).
    async fn deregister(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
    ) -> Result<(), IssuerError>;

    /// The client that the site configured, its secret read from its file.
    async fn fixed_client(&self, issuer: &IssuerProfile) -> Result<ClientRecord, IssuerError>;

    /// Asks for a device code (RFC 8628 §3.1).
    async fn authorize_device(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        scopes: &ScopeSet,
        audiences: &AudienceSet,
    ) -> Result<DeviceAuthorization, IssuerError>;

    /// Asks once whether the device code was approved (RFC 8628 §3.4).
    async fn poll_device(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        device_code: &SecretString,
        audiences: &AudienceSet,
    ) -> PollAnswer;

    /// Uses a refresh token once (RFC 6749 §6). Never retries by itself.
    async fn refresh(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        refresh_token: &SecretString,
        wanted: &Wanted,
    ) -> Result<Tokens, RefreshError>;

    /// Revokes a refresh token (RFC 7009). Unknown to the issuer is success.
    async fn revoke(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        refresh_token: &SecretString,
    ) -> Result<(), IssuerError>;

    /// Looks at the issuer, for a diagnosis.
    async fn probe(&self, issuer: &IssuerProfile) -> Result<Checkup, IssuerError>;

    /// Whether the issuer still knows a client (RFC 7592 §2.1); `None` where it cannot be asked.
    async fn knows_client(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
    ) -> Result<Option<bool>, IssuerError>;

    /// Whether a refresh token lives, by introspection (RFC 7662), which does not use it; `None`
    /// where that is not offered to this client.
    async fn is_alive(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        refresh_token: &SecretString,
    ) -> Result<Option<bool>, IssuerError>;

    /// How the issuer is doing, without asking it.
    fn health(&self, issuer: &IssuerProfile) -> Health;
}

// ---------------------------------------------------------------- vault

/// A version of a stored value; 0 is "not there".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

impl Revision {
    /// The value is not there.
    pub const ABSENT: Self = Self(0);
}

/// A value with the revision it was read at.
#[derive(Debug, Clone)]
pub struct Stored<T> {
    /// The value.
    pub value: T,
    /// Its revision.
    pub revision: Revision,
}

/// Why a record was not read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// Somebody else wrote first: read again.
    #[error("the record was changed meanwhile")]
    Conflict,
    /// The store or the journal cannot be read or written now.
    #[error("{text}")]
    Unavailable {
        /// What failed, with the path.
        text: String,
    },
    /// The record does not open: key missing, or it is not what it claims to be.
    #[error("{text}")]
    Unreadable {
        /// Which, and why.
        text: String,
    },
}

/// Held while one account is refreshed or changed; dropping it releases.
pub trait Lock: Send + Sync {}

/// What can be locked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LockOn {
    /// One account.
    Account(AccountKey),
    /// The registration of a client at an issuer.
    Client(ClientOwner, String),
}

/// A journal entry that is on disk; given back when the store has it too.
#[derive(Debug)]
pub struct JournalEntry(pub u64);

/// Accounts, clients and settings: sealed, journalled, stored.
#[async_trait]
pub trait Vault: Send + Sync + 'static {
    /// One account.
    async fn account(&self, key: &AccountKey) -> Result<Option<Stored<Record>>, VaultError>;

    /// All accounts of one uid; those that do not open are there with their error.
    async fn accounts_of(
        &self,
        uid: u32,
    ) -> Result<Vec<(AccountKey, Result<Stored<Record>, VaultError>)>, VaultError>;

    /// Every account there is, by key only.
    async fn account_keys(&self) -> Result<Vec<AccountKey>, VaultError>;

    /// Writes an account if it still is at `expected`; sets `generation` to the next one.
    async fn save_account(
        &self,
        record: &Record,
        expected: Revision,
    ) -> Result<Revision, VaultError>;

    /// Removes an account if it still is at `expected`, and what the journal has for it.
    async fn remove_account(&self, key: &AccountKey, expected: Revision) -> Result<(), VaultError>;

    /// Removes an account whatever it is now, also one that does not open, so that it can be made
    /// again. Gone already is success.
    async fn discard_account(&self, key: &AccountKey) -> Result<(), VaultError> {
        match self.account(key).await? {
            Some(found) => self.remove_account(key, found.revision).await,
            None => Ok(()),
        }
    }

    /// Waits for a lock, node-wide or cluster-wide as the store goes.
    async fn lock(&self, on: LockOn) -> Result<Box<dyn Lock>, VaultError>;

    /// Appends a record to the journal, sealed, and waits until it is on disk. `predecessor` is
    /// the refresh token that `record`'s replaces, `None` after a sign-in.
    async fn journal(
        &self,
        record: &Record,
        predecessor: Option<&SecretString>,
    ) -> Result<JournalEntry, VaultError>;

    /// The store has the record: its journal entry is of no more use.
    async fn settle(&self, entry: JournalEntry) -> Result<(), VaultError>;

    /// Writes journal entries whose predecessor is still current into the store; how many. Takes
    /// each account's lock: not to be called by who holds one.
    async fn replay(&self) -> Result<usize, VaultError>;

    /// A registered client.
    async fn client(
        &self,
        owner: &ClientOwner,
        issuer: &str,
    ) -> Result<Option<Stored<ClientRecord>>, VaultError>;

    /// Writes a client if it still is at `expected`.
    async fn save_client(
        &self,
        client: &ClientRecord,
        expected: Revision,
    ) -> Result<Revision, VaultError>;

    /// Forgets a client.
    async fn remove_client(&self, owner: &ClientOwner, issuer: &str) -> Result<(), VaultError>;

    /// What a user decided.
    async fn settings(&self, uid: u32) -> Result<Stored<Settings>, VaultError>;

    /// Writes what a user decided.
    async fn save_settings(
        &self,
        uid: u32,
        settings: &Settings,
        expected: Revision,
    ) -> Result<Revision, VaultError>;
}

// ---------------------------------------------------------------- token files

/// Why a token file was not written. The text names the path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenFileError {
    /// Something that is not ours stands at the path; it was left alone.
    #[error("{path}: {what} stands there; move it away")]
    InTheWay {
        /// Where.
        path: String,
        /// What.
        what: &'static str,
    },
    /// The file system refused.
    #[error("{path}: {error}")]
    Io {
        /// Where.
        path: String,
        /// What it said.
        error: String,
    },
}

/// What became of the link in the user's runtime directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkOutcome {
    /// It points to the token file.
    Linked,
    /// The user has no runtime directory now. Normal without logind.
    NoRuntimeDirectory,
    /// Something that is not ours stands there and was left alone.
    InTheWay,
}

/// The users' token files. `account` is `None` for the default account.
pub trait TokenFiles: Send + Sync + 'static {
    /// Replaces the file by rename; a reader sees the old token or the new one, whole.
    fn write(
        &self,
        uid: u32,
        account: Option<&AccountName>,
        token: &SecretString,
    ) -> Result<PathBuf, TokenFileError>;

    /// Removes the file. Absent is success.
    fn remove(&self, uid: u32, account: Option<&AccountName>) -> Result<(), TokenFileError>;

    /// Removes all of the user's files and their directory.
    fn remove_all(&self, uid: u32) -> Result<(), TokenFileError>;

    /// Whether a file that could be ours stands there; looks without following anything.
    fn stands(&self, uid: u32, account: Option<&AccountName>) -> bool;

    /// Makes `$XDG_RUNTIME_DIR/bt_uUID` a link to the default account's file, unless something
    /// that is not ours is there.
    fn link(&self, uid: u32) -> Result<LinkOutcome, TokenFileError>;

    /// Where the file is or would be.
    fn path(&self, uid: u32, account: Option<&AccountName>) -> PathBuf;

    /// The uids that have a directory here, for the reconciliation at start.
    fn owners(&self) -> Vec<u32>;
}
