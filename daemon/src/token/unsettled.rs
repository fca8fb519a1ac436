//! What the store did not take, kept until it does: the refresh token in here is the newest there is,
//! so it goes before what the store says.
//!
//! Where several nodes share the store, another one would ask the issuer with what was replaced. So the
//! account's lock is not given up before the store has the new one.

use std::{collections::HashMap, sync::PoisonError, time::Duration};

use super::{
    TokenError,
    held::{Unsettled, same},
    refresh::Refresher,
};
use crate::account::{
    AccountKey, Record,
    ports::{Lock, LockOn, Stored, VaultError},
};

/// A store that does not take it is tried for so often.
const TRY_AGAIN: Duration = Duration::from_millis(500);

impl Refresher {
    /// Whether another node, that has the lock, would use a refresh token that was replaced.
    pub(super) fn must_keep(&self, key: &AccountKey, lock: &dyn Lock) -> bool {
        lock.is_of_several_nodes()
            && self.unsettled().get(key).is_some_and(|Unsettled { newest, old }| {
                !same(newest.refresh_token.as_ref(), old.refresh_token.as_ref())
            })
    }

    /// Brings it into the store, however long that takes, and gives up the lock then. One that was
    /// lost is taken again: it has its place if the store still holds what it replaces.
    pub(super) async fn settle_under(&self, key: AccountKey, lock: Box<dyn Lock>) {
        let mut lock = Some(lock);
        loop {
            // Not answered, the store does not tell whether the lock is lost; it may be held still.
            if self.vault.account(&key).await.is_ok() {
                if let Some(kept) = lock.take() {
                    lock = kept.is_held().await.then_some(kept);
                }
                if lock.is_none() {
                    lock = self.vault.lock(LockOn::Account(key.clone())).await.ok();
                }
            }
            if lock.is_some() {
                match self.settle(&key).await {
                    Err(TokenError::Vault(
                        VaultError::Unavailable { .. } | VaultError::Conflict,
                    )) => {}
                    Err(error) => {
                        tracing::warn!(account = %key, %error, "the newest refresh token is still not in the store: {error}");
                        return;
                    }
                    Ok(()) => {
                        tracing::info!(account = %key, "the store has the newest refresh token");
                        return;
                    }
                }
            }
            self.clock.sleep(TRY_AGAIN).await;
        }
    }

    /// Brings into the store what it did not take before. To be called with the account's lock.
    ///
    /// # Errors
    /// The store still does not take it.
    pub async fn settle(&self, key: &AccountKey) -> Result<(), TokenError> {
        if self.unsettled().contains_key(key) {
            self.current(key).await?;
        }
        Ok(())
    }

    /// The account with the newest refresh token there is, whether the store takes that or not:
    /// who gives an account up has to end the one that the issuer holds good. To be called with
    /// the account's lock.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn newest(&self, key: &AccountKey) -> Result<Option<Stored<Record>>, VaultError> {
        if let Err(error) = self.settle(key).await {
            tracing::warn!(account = %key, %error, "the newest refresh token is still not in the store: {error}");
        }
        let Some(Stored { value, revision }) = self.vault.account(key).await? else {
            return Ok(None);
        };
        let value = match self.unsettled().get(key).cloned() {
            Some(unsettled) => unsettled.over(&value).unwrap_or(value),
            None => value,
        };
        Ok(Some(Stored { value, revision }))
    }

    /// A record that the store did not take, where it held `old`: goes before what the store says
    /// until the store has it.
    pub fn keep_aside(&self, newest: Record, old: Record) {
        self.unsettled().insert(newest.key(), Unsettled { newest, old });
    }

    /// The account was given up or signed in anew: what the store did not take has no place.
    pub fn forget(&self, key: &AccountKey) {
        self.unsettled().remove(key);
    }

    pub(super) fn unsettled(&self) -> std::sync::MutexGuard<'_, HashMap<AccountKey, Unsettled>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
