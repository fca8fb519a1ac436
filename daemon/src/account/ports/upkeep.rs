//! Looking after what is kept: the keys that seal it, whether it is whole, backups of it. All of it
//! works on sealed records: no passphrase of a user is needed, and a locked account stays locked.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncWrite};

use super::VaultError;
use crate::account::{AccountKey, PasswordFlow, UnixTime};

/// The keys of the keyring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The id of the one that seals.
    pub current: String,
    /// Whether that one comes from the credential.
    pub from_credential: bool,
    /// The others, which only open.
    pub older: Vec<String>,
}

/// What an older key seals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stale {
    /// The rows, by name.
    pub rows: Vec<String>,
    /// How many entries of the journal.
    pub journal: u64,
}

/// What became of a row that was to be sealed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resealed {
    /// The current key seals it now.
    Done,
    /// It was written or removed meanwhile.
    NotNeeded,
    /// Somebody has been at work on it for a while: later.
    Busy,
}

/// What was found when everything was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// What the store says of its file, where that is damaged.
    pub damage: Option<String>,
    /// What is there.
    pub counts: Counts,
    /// Rows and entries of the journal that do not open, and why.
    pub unreadable: Vec<String>,
    /// Accounts whose client is not there.
    pub accounts_without_client: Vec<String>,
    /// Clients of users that no account uses.
    pub clients_without_account: Vec<String>,
}

/// How much of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All rows that open.
    pub records: u64,
    /// Accounts among them.
    pub accounts: u64,
    /// Clients among them.
    pub clients: u64,
    /// Accounts whose refresh token is replaced with each use.
    pub rotating: u64,
    /// Entries of the journal that are not settled.
    pub journal: u64,
}

/// How much room what is kept takes on this node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of the store's files.
    pub store: u64,
    /// Bytes of the journal's file.
    pub journal: u64,
    /// Entries of the journal that are not settled.
    pub unsettled: u64,
}

/// What a backup says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The node it was made on.
    pub node: String,
    /// The daemon that made it.
    pub version: String,
    /// When.
    pub made_at: UnixTime,
    /// Whether the keyring is in it.
    pub with_keys: bool,
}

/// What a backup holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// What it says of itself.
    pub about: About,
    /// How much of what.
    pub counts: Counts,
    /// The keys that seal its records.
    pub keys: Vec<String>,
    /// SHA-256 over its records, in hexadecimal.
    pub digest: String,
    /// Its size.
    pub bytes: u64,
    /// The leaves to sign in by password among its records, where it was read.
    pub password_flows: Vec<PasswordFlow>,
    /// What was left out of it because it does not open.
    pub left_out: Vec<String>,
}

/// What a restore did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutBack {
    /// How many records were there before.
    pub replaced: u64,
    /// The accounts that were there before or are there now.
    pub touched: Vec<AccountKey>,
    /// What the store says of its file afterwards, where that is damaged.
    pub damage: Option<String>,
}

/// Why something of this was not done. Nothing was changed unless it says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpkeepError {
    /// The key that seals is the site's to change.
    #[error("{text}")]
    FromCredential {
        /// Which key.
        text: String,
    },
    /// The keyring cannot be changed.
    #[error("{text}")]
    Keyring {
        /// Why, and the way out.
        text: String,
    },
    /// Not a backup, not whole, or another passphrase.
    #[error("{text}")]
    Invalid {
        /// What is wrong with it.
        text: String,
    },
    /// The other end does not write or read.
    #[error("{text}")]
    Transfer {
        /// What happened.
        text: String,
    },
    /// There are records, and they were not to be replaced.
    #[error("there are {records} records here already")]
    NotEmpty {
        /// How many.
        records: u64,
    },
    /// The store's file is damaged, so that nobody can tell what is missing.
    #[error("{}", damaged(.what, *.put_back))]
    Damaged {
        /// The first damage.
        what: String,
        /// Whether a backup was put back into it all the same.
        put_back: bool,
    },
    /// The store.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

fn damaged(what: &str, put_back: bool) -> String {
    let begun = if put_back {
        "the backup is put back and in force, but the store it is in is damaged"
    } else {
        "the store is damaged, and what is missing cannot be told: no backup is made of it, and none put into it"
    };
    format!(
        "{begun} ({what}). The way out: stop iamd, move iamd.db with its -wal and -shm files away \
         and keep them, start iamd, restore the last good backup. Where there is none: sqlite3 \
         iamd.db REINDEX, with iamd stopped, then: iamctl admin store check"
    )
}

/// A backup that was read, checked and found good; nothing is changed yet.
#[async_trait]
pub trait Checked: Send {
    /// What it holds.
    fn contents(&self) -> &Contents;

    /// Puts it into the store, all of it or nothing. Everything is sealed with this node's key,
    /// as the newest version of each row.
    ///
    /// # Errors
    /// [`UpkeepError::NotEmpty`] without `replace` when something is there; the store.
    async fn put_back(self: Box<Self>, replace: bool) -> Result<PutBack, UpkeepError>;
}

/// Where a backup goes.
pub type Sink<'a> = &'a mut (dyn AsyncWrite + Send + Unpin);
/// Where a backup comes from.
pub type Source<'a> = &'a mut (dyn AsyncRead + Send + Unpin);

/// The upkeep of a vault.
#[async_trait]
pub trait Upkeep: Send + Sync + 'static {
    /// The keys there are.
    fn keys(&self) -> Keys;

    /// From now on another key seals: a new one, or one that the site put on top of the keyring.
    /// When this returns it is on disk, and nothing is written under another.
    ///
    /// # Errors
    /// [`UpkeepError::FromCredential`], [`UpkeepError::Keyring`]; the key in force stays.
    async fn renew_key(&self) -> Result<(), UpkeepError>;

    /// What an older key seals.
    ///
    /// # Errors
    /// The store.
    async fn stale(&self) -> Result<Stale, VaultError>;

    /// Seals a row with the current key, as it is: the same record, the same generation.
    ///
    /// # Errors
    /// It does not open, or the store.
    async fn reseal(&self, row: &str) -> Result<Resealed, VaultError>;

    /// Seals the journal's entries with the current key, all at once; what does not open stays.
    ///
    /// # Errors
    /// The journal.
    async fn reseal_journal(&self) -> Result<(), VaultError>;

    /// Takes those keys out of the keyring that are not the credential's and seal nothing; which.
    ///
    /// # Errors
    /// [`UpkeepError::Keyring`]; the store.
    async fn retire(&self) -> Result<Vec<String>, UpkeepError>;

    /// How much room it takes; 0 for what cannot be seen.
    async fn sizes(&self) -> Sizes;

    /// Reads everything.
    ///
    /// # Errors
    /// The store cannot be read at all.
    async fn inspect(&self) -> Result<Inspection, VaultError>;

    /// Rows that are older than ones that were seen in their place hold from now on: what an
    /// administrator says who put an older store back. Which ones.
    ///
    /// # Errors
    /// The store, or what was decided cannot be kept.
    async fn accept(&self) -> Result<Vec<String>, VaultError>;

    /// Writes a backup of this moment, sealed with `passphrase`; writers do not wait for it.
    ///
    /// # Errors
    /// [`UpkeepError::Transfer`]; the store.
    async fn back_up(
        &self,
        about: About,
        passphrase: &SecretString,
        to: Sink<'_>,
    ) -> Result<Contents, UpkeepError>;

    /// Reads a backup and checks everything about it.
    ///
    /// # Errors
    /// [`UpkeepError::Invalid`], [`UpkeepError::Transfer`].
    async fn read_backup(
        self: Arc<Self>,
        passphrase: &SecretString,
        from: Source<'_>,
    ) -> Result<Box<dyn Checked>, UpkeepError>;
}
