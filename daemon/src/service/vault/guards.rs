//! Accounts with a passphrase: closed before anything of them is written, opened when they are
//! read while their key is held. Everything else of the house sees tokens, or sees none.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::sync::Semaphore;

use super::{
    StoreVault,
    kept::account_row,
    sealer::{Sealer, to_json},
};
use crate::{
    account::{
        AccountKey, Guard, GuardKey, GuardedSecrets, Guards, PassphraseError, Record,
        ports::VaultError,
    },
    seal::{Cost, GuardError, Whose, mark_of, new_guard, open_guard, open_secrets, seal_secrets},
};

/// The keys of the accounts that are unlocked. In memory only.
pub(super) struct Held {
    keys: Mutex<HashMap<AccountKey, GuardKey>>,
    /// A derivation takes 64 MiB: one at a time.
    turns: Arc<Semaphore>,
    cost: Cost,
}

impl Default for Held {
    fn default() -> Self {
        let turns = Arc::new(Semaphore::new(1));
        Self { keys: Mutex::default(), turns, cost: Cost::RECOMMENDED }
    }
}

impl Held {
    /// Puts the secrets of an unlocked account into its record. Where the key is not held, or is
    /// another one by now, the record stays locked.
    pub(super) fn open(&self, record: &mut Record) {
        if record.guard.is_none() {
            return;
        }
        let key = self.keys().get(&record.key()).cloned();
        if let Some(key) = key {
            reveal(record, &key);
        }
    }

    pub(super) fn release(&self, account: &AccountKey) -> bool {
        self.keys().remove(account).is_some()
    }

    /// Every account is locked.
    pub(super) fn release_all(&self) {
        self.keys().clear();
    }

    /// Where passphrases are not what is tested.
    #[cfg(test)]
    pub(super) fn make_cheap(&mut self) {
        self.cost = Cost::LEAST;
    }

    /// What a guess is to cost.
    pub(super) fn cost(&self) -> Cost {
        self.cost
    }

    /// An account is called something else now; unlocked it stays.
    pub(super) fn renamed(&self, from: &AccountKey, to: AccountKey) {
        let mut keys = self.keys();
        if let Some(key) = keys.remove(from) {
            keys.insert(to, key);
        }
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<AccountKey, GuardKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a derivation when it is its turn, off the async threads.
    pub(super) async fn derive<T: Send + 'static>(
        &self,
        derive: impl FnOnce() -> Result<T, GuardError> + Send + 'static,
    ) -> Result<T, PassphraseError> {
        let unavailable = |text: String| PassphraseError::Vault(VaultError::Unavailable { text });
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|error| unavailable(error.to_string()))?;
        let task = tokio::task::spawn_blocking(move || {
            // Until the end of the work, also when nobody waits for it any more.
            let _turn = turn;
            derive()
        });
        let derived = task.await.map_err(|error| unavailable(error.to_string()))?;
        derived.map_err(|error| match error {
            GuardError::Wrong => PassphraseError::Wrong,
            GuardError::Memory => unavailable(error.to_string()),
            GuardError::Format => VaultError::Unreadable { text: error.to_string() }.into(),
        })
    }
}

impl Sealer {
    /// The record as it may be written: nothing of what its guard guards is outside of it. The
    /// guarded part of a locked account stays as it is, byte for byte.
    pub(super) fn close<'a>(&self, record: &'a Record) -> Result<Cow<'a, Record>, VaultError> {
        let Some(guard) = &record.guard else { return Ok(Cow::Borrowed(record)) };
        let unwritable = |what: &str| VaultError::Unavailable {
            text: format!("{} cannot be written: {what}", record.key()),
        };
        let Some(key) = &guard.key else {
            if record.refresh_token.is_some() || record.access_token.is_some() {
                return Err(unwritable("it is locked, and there are new tokens of it"));
            }
            return Ok(Cow::Borrowed(record));
        };
        let secrets = GuardedSecrets {
            refresh_token: record.refresh_token.clone(),
            access_token: record.access_token.clone(),
            audiences: record.audiences.clone(),
            scopes: record.scopes.clone(),
        };
        let plaintext = to_json(&secrets).map_err(|error| unwritable(&error.to_string()))?;
        let sealed = seal_secrets(self.random(), key, whose(record), &plaintext);
        let guard = Guard {
            wrapped: guard.wrapped.clone(),
            secrets: sealed.ok_or_else(|| unwritable("its secrets are too long"))?,
            mark: record.refresh_token.as_ref().map(|token| mark_of(key, token)),
            key: None,
        };
        let (refresh_token, access_token) = (None, None);
        let closed = Record { refresh_token, access_token, guard: Some(guard), ..record.clone() };
        Ok(Cow::Owned(closed))
    }
}

#[async_trait]
impl Guards for StoreVault {
    fn is_settled(&self, account: &AccountKey) -> Result<(), VaultError> {
        if self.is_waited_for(&account_row(account)) {
            let text = "an answer of the issuer could not be stored yet and waits for the next \
                        start of iamd; change the passphrase after that";
            return Err(VaultError::Unavailable { text: text.into() });
        }
        Ok(())
    }

    async fn make(
        &self,
        record: &Record,
        passphrase: &SecretString,
    ) -> Result<Guard, PassphraseError> {
        let (owner, issuer) = (record.owner.clone(), record.issuer.clone());
        let (random, cost) = (self.sealer.shared_random(), self.held.cost);
        let passphrase = passphrase.clone();
        let derive = move || {
            let whose = Whose { uid: owner.uid, user: &owner.user, issuer: &issuer };
            new_guard(random.as_ref(), whose, &passphrase, cost)
        };
        self.held.derive(derive).await
    }

    async fn open(
        &self,
        record: &Record,
        passphrase: &SecretString,
    ) -> Result<GuardKey, PassphraseError> {
        let Some(guard) = &record.guard else {
            let text = format!("{} has no passphrase", record.key());
            return Err(VaultError::Unreadable { text }.into());
        };
        let (owner, issuer) = (record.owner.clone(), record.issuer.clone());
        let (wrapped, passphrase) = (guard.wrapped.clone(), passphrase.clone());
        let derive = move || {
            let whose = Whose { uid: owner.uid, user: &owner.user, issuer: &issuer };
            open_guard(&wrapped, whose, &passphrase)
        };
        self.held.derive(derive).await
    }

    fn reveal(&self, record: &mut Record, key: &GuardKey) -> bool {
        reveal(record, key)
    }

    fn hold(&self, account: &AccountKey, key: GuardKey) {
        self.held.keys().insert(account.clone(), key);
    }

    fn release(&self, account: &AccountKey) -> bool {
        self.held.release(account)
    }
}

fn reveal(record: &mut Record, key: &GuardKey) -> bool {
    let Some(guard) = &record.guard else { return false };
    let Some(plaintext) = open_secrets(key, whose(record), &guard.secrets) else { return false };
    let Ok(secrets) = serde_json::from_slice::<GuardedSecrets>(&plaintext) else {
        let account = record.key();
        tracing::error!(%account, "what the passphrase guards is not what this iamd writes");
        return false;
    };
    record.refresh_token = secrets.refresh_token;
    // An access token for other audiences than the account now wants is of no use, and one with
    // scopes that were taken away meanwhile must not come back.
    let fits = secrets.audiences == record.audiences && secrets.scopes == record.scopes;
    record.access_token = secrets.access_token.filter(|_| fits);
    if let Some(guard) = &mut record.guard {
        guard.key = Some(key.clone());
    }
    true
}

fn whose(record: &Record) -> Whose<'_> {
    Whose { uid: record.owner.uid, user: &record.owner.user, issuer: &record.issuer }
}
