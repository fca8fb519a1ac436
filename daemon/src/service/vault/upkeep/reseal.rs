//! Another key for everything, while everything goes on. The order is the promise: the new key is
//! on disk before anything is sealed with it; each record is sealed anew in one step, as it is; an
//! old key goes when nothing is sealed with it. A kill between any two steps leaves a keyring that
//! opens every record.

use std::{collections::BTreeSet, time::Duration};

use futures_util::StreamExt as _;

use super::super::{StoreVault, replay::split, sealer::older, unavailable};
use crate::{
    account::ports::{
        VaultError,
        upkeep::{Resealed, Stale, UpkeepError},
    },
    seal::{ChangeError, KeySources, Keyring, Kind},
    store::StoreError,
};

/// How long is waited for who is at work on a row, before another one is done first.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a row that was written meanwhile is looked at again.
const TRIES: usize = 8;

impl StoreVault {
    /// Changes the keyring: its file first, then what seals. Who began to write under the old key
    /// has ended when this returns.
    pub(super) async fn change_keyring(
        &self,
        change: impl FnOnce(&Keyring, &KeySources) -> Result<Keyring, ChangeError> + Send + 'static,
    ) -> Result<(), UpkeepError> {
        let Some(sources) = self.sources.clone() else {
            return Err(UpkeepError::Keyring { text: "this keyring has no file".into() });
        };
        let keyring = self.sealer.keyring();
        let task = tokio::task::spawn_blocking(move || change(&keyring, &sources));
        let changed = task.await.map_err(|error| UpkeepError::Keyring { text: error.to_string() });
        let changed = changed??;
        crate::fault_point!("rekey.key-durable");
        let _alone = self.gate.write().await;
        self.sealer.use_keyring(changed);
        Ok(())
    }

    pub(super) async fn find_stale(&self) -> Result<Stale, VaultError> {
        let keyring = self.sealer.keyring();
        let current = keyring.ids().next().unwrap_or_default().to_owned();
        let mut stale = Stale::default();
        let mut snapshot = self.store.snapshot().await.map_err(unavailable)?;
        while let Some(entry) = snapshot.entries.next().await {
            let entry = entry.map_err(unavailable)?;
            if is_under_another(&entry.value, &current) {
                stale.rows.push(entry.key);
            }
        }
        for entry in self.journal.unsettled() {
            let sealed = split(&entry.payload).map(|(_, sealed)| sealed);
            stale.journal += u64::from(sealed.is_some_and(|it| is_under_another(it, &current)));
        }
        Ok(stale)
    }

    pub(super) async fn reseal_row(&self, row: &str) -> Result<Resealed, VaultError> {
        // Who has read the row to write it does not find it changed.
        let Ok(lock) = tokio::time::timeout(PATIENCE, self.store.lock(row)).await else {
            return Ok(Resealed::Busy);
        };
        let _lock = lock.map_err(unavailable)?;
        let unreadable = |what: String| VaultError::Unreadable {
            text: format!("the record at {row} does not open: {what}"),
        };
        for _ in 0..TRIES {
            let _open = self.gate.read().await;
            let keyring = self.sealer.keyring();
            let floor = self.sealer.seen().floor(row);
            let Some(entry) = self.store.get(row).await.map_err(unavailable)? else {
                return Ok(Resealed::NotNeeded);
            };
            if !is_under_another(&entry.value, keyring.ids().next().unwrap_or_default()) {
                return Ok(Resealed::NotNeeded);
            }
            let (kind, opened) =
                keyring.open_row(row, &entry.value).map_err(|e| unreadable(e.to_string()))?;
            if opened.generation < floor {
                return Err(older("the record", row));
            }
            let anew = keyring
                .rewrap(self.sealer.random(), kind, row, &entry.value)
                .and_then(|anew| keyring.open(kind, row, &anew).map(|_| anew))
                .map_err(|e| unreadable(e.to_string()))?;
            match self.store.compare_and_swap(row, entry.revision, Some(anew)).await {
                Ok(_) => {
                    crate::fault_point!("rekey.record-sealed", row);
                    return Ok(Resealed::Done);
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(unavailable(error)),
            }
        }
        Ok(Resealed::Busy)
    }

    pub(super) async fn reseal_entries(&self) -> Result<(), VaultError> {
        let keyring = self.sealer.keyring();
        let current = keyring.ids().next().unwrap_or_default();
        let mut anew = Vec::new();
        for entry in self.journal.unsettled() {
            let Some((row, sealed)) = split(&entry.payload) else { continue };
            if !is_under_another(sealed, current) {
                continue;
            }
            let again = keyring.rewrap(self.sealer.random(), Kind::Journal, row, sealed);
            match again.and_then(|it| keyring.open(Kind::Journal, row, &it).map(|_| it)) {
                Ok(again) => anew.push((entry.id, [row.as_bytes(), b"\n", &again].concat())),
                Err(error) => {
                    tracing::warn!(entry = entry.id, %error, "a journal entry stays under its key: {error}");
                }
            }
        }
        if anew.is_empty() {
            return Ok(());
        }
        self.journal.replace(anew).await.map_err(unavailable)
    }

    pub(super) async fn retire_unused(&self) -> Result<Vec<String>, UpkeepError> {
        let keyring = self.sealer.keyring();
        let ids = || keyring.ids().map(str::to_owned);
        let of_site = if keyring.seals_by_credential() { keyring.of_credential() } else { 1 };
        // Everything is looked at, and not what was counted before: a key that goes is gone.
        let mut unused: BTreeSet<String> = ids().skip(of_site).collect();
        let mut snapshot = self.store.snapshot().await.map_err(unavailable)?;
        while let Some(entry) = snapshot.entries.next().await {
            let entry = entry.map_err(unavailable)?;
            if let Ok(id) = Keyring::key_of(&entry.value) {
                unused.remove(id);
            }
        }
        for entry in self.journal.unsettled() {
            if let Some(Ok(id)) = split(&entry.payload).map(|(_, sealed)| Keyring::key_of(sealed)) {
                unused.remove(id);
            }
        }
        if unused.is_empty() {
            return Ok(Vec::new());
        }
        let gone: Vec<String> = ids().filter(|id| unused.contains(id)).collect();
        self.change_keyring(move |keyring, sources| keyring.without(sources, &unused)).await?;
        Ok(gone)
    }
}

/// Whether it is sealed, and with another key than this one.
fn is_under_another(sealed: &[u8], current: &str) -> bool {
    Keyring::key_of(sealed).is_ok_and(|id| id != current)
}
