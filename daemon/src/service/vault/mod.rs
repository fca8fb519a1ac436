//! The vault: the store, the journal and the seal, joined. Everything else sees accounts.
//!
//! | what | key in the store | bound by the seal |
//! |---|---|---|
//! | account | `accounts/UID/NAME` | key, generation, user name, issuer |
//! | client | `clients/site/HASH`, `clients/UID/HASH`, `clients/UID/own/NAME/HASH`, `clients/UID/given/NAME/HASH` | key, generation, issuer |
//! | client that is to be deleted | `clients/gone/UID/HASH`, `clients/gone/site/HASH` | key, generation, issuer |
//! | device login that waits | `logins/UID/NAME`, with several nodes `logins/@NODE/UID/NAME` | key, generation, user name, issuer |
//! | settings | `settings/UID` | key, generation |
//! | leave for the password flow | `password-flows/HASH/HASH` | key, generation, issuer |
//!
//! `HASH` is 128 bits of SHA-256 over the issuer, so that a reader of the store does not learn
//! which issuers a user registered at; the second is over the client.

mod clients;
mod floors;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod guards;
mod kept;
mod password_flows;
mod rename;
mod replay;
mod sealer;
mod seen;
mod shared;
#[cfg(test)]
mod tests;
mod upkeep;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use secrecy::SecretString;
use tokio::sync::RwLock;

use crate::{
    account::{
        AccountKey, AccountName, ClientOwner, ClientRecord, PendingLogin, Record, Settings,
        ports::{
            Changed, ClientStep, JournalEntry, Leftover, Lock, LockOn, Revision, Stored, Vault,
            VaultError,
        },
    },
    clock::{Clock, Random},
    seal::{KeySources, Keyring, KeyringError},
    store::{
        EtcdSettings, EtcdStore, FloorsFile, Journal, SqliteStore, StateDir, Store, StoreError,
    },
};
use guards::Held;
use kept::{Kept, account_row, client_row, key_of_row, settings_row};
use sealer::Sealer;
pub use shared::SharedStore;

/// Accounts, clients and settings: sealed, journalled, stored.
pub struct StoreVault {
    store: Arc<dyn Store>,
    journal: Journal,
    sealer: Sealer,
    held: Held,
    /// Held by each write from its sealing until it is in the store or the journal; taken alone to
    /// change the key, or everything at once. So nothing is written under a key that has gone.
    gate: RwLock<()>,
    /// Where the keys come from.
    sources: Option<KeySources>,
    /// This node's name, where the store is one of several nodes.
    node: Option<String>,
}

/// Why there is no vault. The texts say what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenVaultError {
    /// The state directory, the store or the journal.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}

impl StoreVault {
    /// A key of this node's own for something else than sealing. With another sealing key it is
    /// another.
    pub fn key_for(&self, purpose: &str) -> zeroize::Zeroizing<[u8; 32]> {
        self.sealer.keyring().derived(purpose)
    }

    /// A vault on this node: SQLite, journal and keys in `state_dir`, whose lock it holds.
    /// `credential` is the keyring that systemd passes, where there is one. Call
    /// [`Vault::replay`] before anything else.
    ///
    /// # Errors
    /// [`OpenVaultError`].
    pub async fn open(
        state_dir: &Path,
        credential: Option<PathBuf>,
        random: Arc<dyn Random>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenVaultError> {
        Self::open_on(state_dir, credential, None, random, clock).await
    }

    /// The same with the store that several nodes share, where it is given; journal and keys are in
    /// `state_dir` all the same.
    ///
    /// # Errors
    /// [`OpenVaultError`].
    pub async fn open_with(
        state_dir: &Path,
        credential: Option<PathBuf>,
        shared: Option<SharedStore>,
        random: Arc<dyn Random>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenVaultError> {
        Self::open_on(state_dir, credential, shared.map(Into::into), random, clock).await
    }

    async fn open_on(
        state_dir: &Path,
        credential: Option<PathBuf>,
        shared: Option<EtcdSettings>,
        random: Arc<dyn Random>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenVaultError> {
        let node = shared.as_ref().map(|settings| settings.node.clone());
        let blocking =
            |error: tokio::task::JoinError| StoreError::unavailable(state_dir, error.to_string());
        let path = state_dir.to_owned();
        let opened = tokio::task::spawn_blocking(move || StateDir::open(&path));
        // First of all: another iamd may be at work here.
        let dir = opened.await.map_err(blocking)??;
        let shared: Option<Arc<dyn Store>> = match shared {
            Some(settings) => Some(Arc::new(EtcdStore::open(settings, Arc::clone(&clock)).await?)),
            None => None,
        };
        // Opening checks the whole database: not on an async thread.
        let opened = tokio::task::spawn_blocking(move || {
            let floors = FloorsFile::open(&dir)?;
            let store = match shared {
                Some(store) => store,
                None => Arc::new(SqliteStore::open(&dir)?),
            };
            Ok::<_, StoreError>((store, Journal::open(&dir)?, floors))
        });
        let (store, journal, floors) = opened.await.map_err(blocking)??;
        let sealed_records = !journal.unsettled().is_empty() || !store.keys("").await?.is_empty();
        let sources = KeySources { credential, state_dir: state_dir.to_owned() };
        let keyring = Keyring::load(&sources, random.as_ref(), sealed_records)?;
        let vault = Self::new(store, journal, keyring, random, clock);
        vault.sealer.remember(floors)?;
        Ok(Self { node, ..vault.with_keys_from(sources) })
    }

    /// A vault of given parts.
    pub fn new(
        store: Arc<dyn Store>,
        journal: Journal,
        keyring: Keyring,
        random: Arc<dyn Random>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let sealer = Sealer::new(keyring, random, clock);
        Self {
            store,
            journal,
            sealer,
            held: Held::default(),
            gate: RwLock::default(),
            sources: None,
            node: None,
        }
    }

    /// The same, with a keyring that can be changed where it came from.
    #[must_use]
    pub fn with_keys_from(self, sources: KeySources) -> Self {
        Self { sources: Some(sources), ..self }
    }

    async fn read<T: Kept>(&self, row: &str) -> Result<Option<Stored<T>>, VaultError> {
        // Before reading: a write that ends meanwhile must not make what is read here look old.
        let floor = self.sealer.seen().floor(row);
        let Some(entry) = self.store.get(row).await.map_err(unavailable)? else {
            return Ok(None);
        };
        let value = self.sealer.open_row(row, &entry.value, floor)?;
        Ok(Some(Stored { value, revision: entry.revision }))
    }

    async fn write<T: Kept>(
        &self,
        row: &str,
        value: &T,
        expected: Revision,
    ) -> Result<Revision, VaultError> {
        let _open = self.gate.read().await;
        let (sealed, generation) = self.sealed(row, value, expected).await?;
        let written = self.store.compare_and_swap(row, expected, Some(sealed)).await;
        let revision = written.map_err(unavailable)?;
        self.sealer.seen().note(row, generation);
        Ok(revision)
    }

    /// The sealed row as it is to be written, and its generation.
    async fn sealed<T: Kept>(
        &self,
        row: &str,
        value: &T,
        expected: Revision,
    ) -> Result<(Vec<u8>, u64), VaultError> {
        let store_now = match expected {
            Revision::ABSENT => Some(self.store.list(row).await.map_err(unavailable)?.revision),
            _ => None,
        };
        self.sealer.seal_row(row, value, store_now)
    }

    /// Everything under a prefix that opens.
    async fn all_of<T: Kept>(&self, prefix: &str) -> Result<Vec<Stored<T>>, VaultError> {
        let floors = self.sealer.seen().floors(prefix);
        let listing = self.store.list(prefix).await.map_err(unavailable)?;
        let open = |entry: crate::store::Entry| {
            let floor = floors.get(&entry.key).copied().unwrap_or_default();
            match self.sealer.open_row::<T>(&entry.key, &entry.value, floor) {
                Ok(value) => Some(Stored { value, revision: entry.revision }),
                Err(error) => {
                    tracing::error!(%error, "{} is left alone: {error}", T::NOUN);
                    None
                }
            }
        };
        Ok(listing.entries.into_iter().filter_map(open).collect())
    }

    async fn remove(&self, row: &str, expected: Revision) -> Result<(), VaultError> {
        self.store.compare_and_swap(row, expected, None).await.map_err(unavailable)?;
        self.sealer.seen().note_removed(row);
        Ok(())
    }

    /// Whatever it is now, readable or not: it is to go.
    async fn discard(&self, row: &str) -> Result<(), VaultError> {
        loop {
            let Some(entry) = self.store.get(row).await.map_err(unavailable)? else {
                return Ok(());
            };
            match self.remove(row, entry.revision).await {
                Err(VaultError::Conflict) => {}
                done => return done,
            }
        }
    }
}

fn unavailable(error: StoreError) -> VaultError {
    match error {
        StoreError::Conflict => VaultError::Conflict,
        other => VaultError::Unavailable { text: other.to_string() },
    }
}

#[async_trait]
impl Vault for StoreVault {
    async fn account(&self, key: &AccountKey) -> Result<Option<Stored<Record>>, VaultError> {
        let mut found = self.read::<Record>(&account_row(key)).await?;
        if let Some(found) = &mut found {
            self.held.open(&mut found.value);
        }
        Ok(found)
    }

    async fn accounts_of(
        &self,
        uid: u32,
    ) -> Result<Vec<(AccountKey, Result<Stored<Record>, VaultError>)>, VaultError> {
        let prefix = format!("{}{uid}/", kept::ACCOUNTS);
        let floors = self.sealer.seen().floors(&prefix);
        let listing = self.store.list(&prefix).await.map_err(unavailable)?;
        let open = |entry: crate::store::Entry| {
            let key = key_of_row(&entry.key)?;
            let floor = floors.get(&entry.key).copied().unwrap_or_default();
            let opened = self.sealer.open_row::<Record>(&entry.key, &entry.value, floor);
            let revision = entry.revision;
            let opened = opened.map(|mut value| {
                self.held.open(&mut value);
                Stored { value, revision }
            });
            Some((key, opened))
        };
        Ok(listing.entries.into_iter().filter_map(open).collect())
    }

    async fn account_keys(&self) -> Result<Vec<AccountKey>, VaultError> {
        let rows = self.store.keys(kept::ACCOUNTS).await.map_err(unavailable)?;
        Ok(rows.iter().filter_map(|row| key_of_row(row)).collect())
    }

    async fn save_account(
        &self,
        record: &Record,
        expected: Revision,
    ) -> Result<Revision, VaultError> {
        let closed = self.sealer.close(record)?;
        self.write(&account_row(&record.key()), closed.as_ref(), expected).await
    }

    async fn remove_account(&self, key: &AccountKey, expected: Revision) -> Result<(), VaultError> {
        // A settled sign-in whose mark a power failure undid would make the account anew.
        self.journal.sync().await.map_err(unavailable)?;
        let row = account_row(key);
        self.remove(&row, expected).await?;
        self.held.release(key);
        self.forget_entries_of(&row).await;
        Ok(())
    }

    async fn discard_account(&self, key: &AccountKey) -> Result<(), VaultError> {
        self.journal.sync().await.map_err(unavailable)?;
        let row = account_row(key);
        self.discard(&row).await?;
        self.held.release(key);
        self.forget_entries_of(&row).await;
        Ok(())
    }

    async fn rename_account(&self, key: &AccountKey, to: &AccountName) -> Result<(), VaultError> {
        self.rename(key, to).await
    }

    async fn lock(&self, on: LockOn) -> Result<Box<dyn Lock>, VaultError> {
        let name = match on {
            LockOn::Account(key) => account_row(&key),
            LockOn::Accounts(uid) => format!("{}{uid}", kept::ACCOUNTS),
            LockOn::Client(owner, issuer) => client_row(&owner, &issuer)
                .unwrap_or_else(|| format!("clients/fixed/{}", kept::hash(&issuer))),
            LockOn::PasswordFlow(issuer, client_id) => kept::password_flow_row(&issuer, &client_id),
        };
        self.store.lock(&name).await.map_err(unavailable)
    }

    async fn journal(
        &self,
        record: &Record,
        predecessor: Option<&SecretString>,
    ) -> Result<JournalEntry, VaultError> {
        let _open = self.gate.read().await;
        let payload = replay::payload(&self.sealer, record, predecessor)?;
        self.journal.append(payload).await.map(JournalEntry).map_err(unavailable)
    }

    async fn make_room(&self) -> Result<(), VaultError> {
        self.journal.make_room().await.map_err(unavailable)
    }

    async fn settle(&self, entry: JournalEntry) -> Result<(), VaultError> {
        self.journal.settle(entry.0).await.map_err(unavailable)
    }

    async fn replay(&self) -> Result<usize, VaultError> {
        let replayed = self.replay_all().await?;
        self.store.begun().await;
        Ok(replayed)
    }

    async fn client(
        &self,
        owner: &ClientOwner,
        issuer: &str,
    ) -> Result<Option<Stored<ClientRecord>>, VaultError> {
        match client_row(owner, issuer) {
            Some(row) => self.newest_client(&row).await,
            None => Ok(None),
        }
    }

    async fn journal_client(&self, step: &ClientStep) -> Result<JournalEntry, VaultError> {
        let _open = self.gate.read().await;
        let payload = clients::payload(&self.sealer, step)?;
        let entry = self.journal.append(payload).await.map_err(unavailable)?;
        self.settle_older(step, entry).await;
        Ok(JournalEntry(entry))
    }

    async fn settle_client(&self, client: &ClientRecord) -> Result<(), VaultError> {
        self.settle_steps(client, |step| step.client().client_id == client.client_id).await
    }

    async fn leftovers(&self) -> Result<Vec<Stored<Leftover>>, VaultError> {
        self.all_of(kept::LEFTOVERS).await
    }

    async fn save_leftover(
        &self,
        leftover: &Leftover,
        expected: Revision,
    ) -> Result<Revision, VaultError> {
        self.put_leftover(leftover, expected).await
    }

    async fn remove_leftover(&self, leftover: &Stored<Leftover>) -> Result<(), VaultError> {
        self.remove(&kept::leftover_row(&leftover.value), leftover.revision).await
    }

    async fn save_client(
        &self,
        client: &ClientRecord,
        expected: Revision,
    ) -> Result<Revision, VaultError> {
        let Some(row) = client_row(&client.owner, &client.issuer) else {
            let text = "a client from the configuration is not kept in the store".into();
            return Err(VaultError::Unavailable { text });
        };
        let written = self.write(&row, client, expected).await?;
        self.settle_newest(client).await;
        Ok(written)
    }

    async fn remove_client(&self, owner: &ClientOwner, issuer: &str) -> Result<(), VaultError> {
        let Some(row) = client_row(owner, issuer) else { return Ok(()) };
        self.discard(&row).await?;
        self.forget_newest(&row).await;
        // A mark that a power failure undid would make it anew.
        self.journal.sync().await.map_err(unavailable)
    }

    async fn save_login(&self, login: &PendingLogin) -> Result<Revision, VaultError> {
        let row = self.login_row(&login.key());
        let there = self.store.get(&row).await.map_err(unavailable)?;
        let expected = there.map_or(Revision::ABSENT, |there| there.revision);
        self.write(&row, login, expected).await
    }

    async fn remove_login(&self, key: &AccountKey, expected: Revision) -> Result<(), VaultError> {
        self.remove(&self.login_row(key), expected).await
    }

    async fn logins(&self) -> Result<Vec<Stored<PendingLogin>>, VaultError> {
        self.all_of(&self.logins_here()).await
    }

    fn changes(&self) -> Option<BoxStream<'static, Changed>> {
        self.changes_of_all()
    }

    async fn settings(&self, uid: u32) -> Result<Stored<Settings>, VaultError> {
        let none = Stored { value: Settings::default(), revision: Revision::ABSENT };
        Ok(self.read(&settings_row(uid)).await?.unwrap_or(none))
    }

    async fn save_settings(
        &self,
        uid: u32,
        settings: &Settings,
        expected: Revision,
    ) -> Result<Revision, VaultError> {
        self.write(&settings_row(uid), settings, expected).await
    }
}
