//! A real store that can be made to fail.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use async_trait::async_trait;

use crate::{
    account::ports::{Lock, Revision},
    store::{Changes, Entry, Listing, Snapshot, SqliteStore, Store, StoreError, Swap},
};

/// What a store says of its file, one after another.
pub type Damage = Arc<Mutex<VecDeque<Option<String>>>>;

/// SQLite that takes no write while `fails` is set, as with a full disk.
pub struct BreakableStore {
    pub inner: SqliteStore,
    pub fails: Arc<AtomicBool>,
    /// What it says of its file, one after another; what the file is, when there is none.
    pub damage: Damage,
}

impl BreakableStore {
    fn takes(&self) -> Result<(), StoreError> {
        match self.fails.load(SeqCst) {
            true => Err(StoreError::unavailable("iamd.db".as_ref(), "the disk is full")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Store for BreakableStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.inner.get(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        self.inner.list(prefix).await
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.inner.keys(prefix).await
    }

    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.inner.snapshot().await
    }

    async fn damage(&self) -> Result<Option<String>, StoreError> {
        let said = self.damage.lock().unwrap().pop_front();
        if let Some(said) = said { Ok(said) } else { self.inner.damage().await }
    }

    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Revision,
        value: Option<Vec<u8>>,
    ) -> Result<Revision, StoreError> {
        self.takes()?;
        self.inner.compare_and_swap(key, expected, value).await
    }

    async fn swap_all(&self, swaps: Vec<Swap>) -> Result<Revision, StoreError> {
        self.takes()?;
        self.inner.swap_all(swaps).await
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn Lock>, StoreError> {
        self.inner.lock(name).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Changes, StoreError> {
        self.inner.watch(prefix, after).await
    }
}
