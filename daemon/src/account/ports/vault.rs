//! What is kept: accounts, clients, settings and logins that wait.

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use secrecy::SecretString;

use super::{ClientStep, Leftover, PasswordFlows};
use crate::account::{
    AccountKey, AccountName, ClientOwner, ClientRecord, PendingLogin, Record, Settings,
};

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

/// What other nodes, or this one, changed in a store that several share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// An account: written or removed.
    Account(AccountKey),
    /// What a user decided.
    Settings(u32),
    /// What was changed is not known: anything may have been.
    Anything,
}

/// Held while one account is refreshed or changed; dropping it releases.
#[async_trait]
pub trait Lock: Send + Sync {
    /// Whether it still is held, and will be for as long as an issuer may take to reply. One that
    /// other nodes respect too is lost when the store has not heard of this node in time; somebody
    /// else may hold it then, and what this node writes under it is refused. To be asked before
    /// anything that cannot be done twice.
    async fn is_held(&self) -> bool {
        true
    }

    /// Whether it keeps other nodes out too.
    fn is_of_several_nodes(&self) -> bool {
        false
    }
}

/// What can be locked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LockOn {
    /// One account.
    Account(AccountKey),
    /// Which accounts a uid has: held while one is made, renamed or removed. Taken before that of
    /// an account, never after it.
    Accounts(u32),
    /// The registration of a client at an issuer.
    Client(ClientOwner, String),
    /// Whether users may sign in by password, at an issuer with a client.
    PasswordFlow(String, String),
}

/// A journal entry that is on disk; given back when the store has it too.
#[derive(Debug)]
pub struct JournalEntry(pub u64);

/// Accounts, clients and settings: sealed, journalled, stored.
#[async_trait]
pub trait Vault: PasswordFlows + Send + Sync + 'static {
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

    /// Gives an account another name, all at once: its row, the row of a client that is its own,
    /// and the default account in its owner's settings. What the journal has for it is written
    /// first. To be called with the locks of both names.
    ///
    /// # Errors
    /// [`VaultError::Conflict`] when there is an account of that name, or none to rename.
    async fn rename_account(&self, key: &AccountKey, to: &AccountName) -> Result<(), VaultError>;

    /// Waits for a lock, node-wide or cluster-wide as the store goes.
    async fn lock(&self, on: LockOn) -> Result<Box<dyn Lock>, VaultError>;

    /// Appends a record to the journal, sealed, and waits until it is on disk. `predecessor` is
    /// the refresh token that `record`'s replaces, `None` after a sign-in.
    async fn journal(
        &self,
        record: &Record,
        predecessor: Option<&SecretString>,
    ) -> Result<JournalEntry, VaultError>;

    /// Sees to it that what comes next fits into the journal: to be called before anything is asked
    /// whose answer must not be lost.
    ///
    /// # Errors
    /// There is no room on the disk.
    async fn make_room(&self) -> Result<(), VaultError>;

    /// The store has the record: its journal entry is of no more use.
    async fn settle(&self, entry: JournalEntry) -> Result<(), VaultError>;

    /// Writes journal entries whose predecessor is still current into the store; how many. Clients
    /// that nobody came to use are found, and kept as [`Leftover`]s. Takes each account's lock: not
    /// to be called by who holds one.
    async fn replay(&self) -> Result<usize, VaultError>;

    /// A registered client: what the journal has of it goes before what the store says.
    async fn client(
        &self,
        owner: &ClientOwner,
        issuer: &str,
    ) -> Result<Option<Stored<ClientRecord>>, VaultError>;

    /// Tells the journal of a client, sealed, and waits until that is on disk.
    async fn journal_client(&self, step: &ClientStep) -> Result<JournalEntry, VaultError>;

    /// What the journal has of this client is of no more use: it is where it belongs, or gone.
    async fn settle_client(&self, client: &ClientRecord) -> Result<(), VaultError>;

    /// The clients that their issuers have not deleted yet; those that do not open are left out.
    async fn leftovers(&self) -> Result<Vec<Stored<Leftover>>, VaultError>;

    /// Keeps a client that is to be deleted, or what became of a try.
    ///
    /// # Errors
    /// [`VaultError::Conflict`] also when there are [`Leftover::MOST`] of its owner already.
    async fn save_leftover(
        &self,
        leftover: &Leftover,
        expected: Revision,
    ) -> Result<Revision, VaultError>;

    /// Forgets a client that was to be deleted.
    async fn remove_leftover(&self, leftover: &Stored<Leftover>) -> Result<(), VaultError>;

    /// Writes a client if it still is at `expected`; what the journal has for its owner is of no
    /// more use then.
    async fn save_client(
        &self,
        client: &ClientRecord,
        expected: Revision,
    ) -> Result<Revision, VaultError>;

    /// Forgets a client.
    async fn remove_client(&self, owner: &ClientOwner, issuer: &str) -> Result<(), VaultError>;

    /// Keeps a device login that waits for its user, in the place of an earlier one of its account.
    async fn save_login(&self, login: &PendingLogin) -> Result<Revision, VaultError>;

    /// A device login is over; another one may have taken its place.
    async fn remove_login(&self, key: &AccountKey, expected: Revision) -> Result<(), VaultError>;

    /// The device logins that waited when the daemon ended; those that do not open are left out.
    async fn logins(&self) -> Result<Vec<Stored<PendingLogin>>, VaultError>;

    /// What is changed in the store from now on, where it is one of several nodes; `None` where
    /// nobody else writes it. Begins with [`Changed::Anything`], and goes on when the store was away.
    fn changes(&self) -> Option<BoxStream<'static, Changed>> {
        None
    }

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
