//! What other nodes do with accounts, where several share the store, and what becomes of it here:
//! token files follow, and nothing is given out of memory that was given up elsewhere.
//!
//! Each request reads the store, so this is not what decides; it is what nobody asks for. What this
//! node wrote itself comes by here as well, and finds everything done.

use std::{collections::HashMap, sync::Arc};

use futures_util::StreamExt as _;

use super::Service;
use crate::account::{
    AccountKey, Owner, Record, UnixTime,
    ports::{Changed, Wanted},
};

/// When each account was signed in that was looked at: another sign-in has other tokens.
type SignIns = HashMap<AccountKey, Option<UnixTime>>;

impl Service {
    /// Follows what is changed in a store that several nodes share, for ever; ends at once where
    /// there is one node.
    pub async fn follow_other_nodes(self: Arc<Self>) {
        let Some(mut changes) = self.vault.changes() else { return };
        let mut sign_ins = SignIns::new();
        while let Some(changed) = changes.next().await {
            match changed {
                Changed::Account(key) => self.follow_account(&key, &mut sign_ins).await,
                Changed::Settings(uid) => self.follow_default(uid).await,
                Changed::Anything => self.follow_all(&mut sign_ins).await,
            }
        }
    }

    /// Nobody knows what was changed.
    async fn follow_all(self: &Arc<Self>, sign_ins: &mut SignIns) {
        sign_ins.clear();
        for uid in self.users_here().await.into_keys() {
            let mut keys = self.presence.kept_of(uid);
            match self.vault.accounts_of(uid).await {
                Ok(accounts) => keys.extend(accounts.into_iter().map(|(key, _)| key)),
                Err(error) => {
                    tracing::warn!(uid, %error, "the accounts could not be read: {error}");
                    continue;
                }
            }
            for key in keys {
                self.follow_account(&key, sign_ins).await;
            }
        }
        // Of those who are not here nothing is kept but what is in the cache.
        self.broker.forget_all_but(|key| self.presence.is_here(key.uid));
    }

    async fn follow_account(self: &Arc<Self>, key: &AccountKey, sign_ins: &mut SignIns) {
        let mut seen = None;
        loop {
            let found = match self.vault.account(key).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(uid = key.uid, account = %key.name, %error, "what another node changed cannot be read: {error}");
                    return;
                }
            };
            let now = found.as_ref().map(|found| found.revision);
            if seen == Some(now) {
                break;
            }
            // Looked at again afterwards: what was given up meanwhile is not to stay in the cache.
            seen = Some(now);
            match found {
                Some(found) => self.adopt_record(key, &found.value, sign_ins),
                None => {
                    sign_ins.remove(key);
                    self.broker.forget(key);
                    self.presence.forget(key);
                }
            }
        }
        if self.presence.is_here(key.uid) {
            self.follow_default(key.uid).await;
            self.keep(key);
        } else {
            sign_ins.remove(key);
        }
    }

    /// What the record says now, in the cache.
    fn adopt_record(&self, key: &AccountKey, record: &Record, sign_ins: &mut SignIns) {
        let before = sign_ins.insert(key.clone(), record.signed_in_at);
        if before != Some(record.signed_in_at) || record.is_locked() || !record.state.may_refresh()
        {
            self.broker.forget(key);
        }
        if let Some(token) = record.access_token.as_ref().filter(|_| !record.is_locked()) {
            let wanted = Wanted { scopes: None, audiences: record.audiences.clone() };
            self.broker.adopt(key, &wanted, token);
        }
    }

    /// Which account has the plain file name may have changed.
    async fn follow_default(self: &Arc<Self>, uid: u32) {
        if let Some(user) = self.users_here().await.remove(&uid) {
            self.default_follows(&Owner { uid, user }).await;
        }
    }
}
