//! The default account: which one it is, and the plain file name that goes with it.

use std::sync::Arc;

use iamd_protocol::bus::ChangeReply;

use super::{Caller, Service, ServiceError};
use crate::{
    account::{
        AccountName, Owner, Record, Settings,
        ports::{LockOn, Stored, VaultError, Wanted},
    },
    audit,
    token::Ask,
};

impl Service {
    /// Makes an account the one that is meant when none is named. Its file takes the plain name at
    /// once.
    ///
    /// # Errors
    /// No such account, or the store.
    pub async fn set_default(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
    ) -> Result<ChangeReply, ServiceError> {
        let _guard = self.enter(caller)?;
        let owner = &caller.owner;
        let _accounts = self.vault.lock(LockOn::Accounts(owner.uid)).await?;
        let accounts = self.accounts(owner).await?;
        let record = &accounts.find(named, self.config().default_profile())?.value;
        let name = record.name.clone();
        self.choose_default(owner.uid, Some(name.clone())).await?;
        self.default_follows(owner).await;
        self.audit.record(
            audit::Kind::AccountChanged,
            &audit::Event {
                uid: owner.uid,
                account: name.as_str(),
                issuer: &record.issuer,
                client: record.client_id.as_deref().unwrap_or_default(),
                caller_pid: caller.pid,
                result: "ok",
                detail: "is the default account".into(),
                ..audit::Event::default()
            },
        );
        Ok(ChangeReply { account: name.to_string(), ..ChangeReply::default() })
    }

    /// Writes which account was chosen.
    pub(super) async fn choose_default(
        &self,
        uid: u32,
        chosen: Option<AccountName>,
    ) -> Result<(), ServiceError> {
        loop {
            let Stored { value, revision } = self.vault.settings(uid).await?;
            if value.default_account == chosen {
                return Ok(());
            }
            let settings = Settings { default_account: chosen.clone(), ..value };
            match self.vault.save_settings(uid, &settings, revision).await {
                Ok(_) => return Ok(()),
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Finds out which account is the default one now and lets the files follow: the plain name
    /// goes from one token to the other in one step. Gives its name.
    pub(super) async fn default_follows(self: &Arc<Self>, owner: &Owner) -> Option<AccountName> {
        let accounts = match self.accounts(owner).await {
            Ok(accounts) => accounts,
            Err(error) => {
                tracing::warn!(uid = owner.uid, %error, "the default account is not known: {error}");
                return None;
            }
        };
        let default = accounts.default_name(self.config().default_profile());
        let former = self.presence.set_default(owner.uid, default.clone());
        if former != default && self.presence.is_here(owner.uid) {
            // The new one first: its token takes the place of the other's, whole.
            for name in [&default, &former].into_iter().flatten() {
                let found = accounts.open.iter().find(|account| account.value.name == *name);
                found.into_iter().for_each(|account| self.refile(&account.value));
            }
            default.iter().for_each(|name| self.presence.remove_named(owner.uid, name));
        }
        for account in &accounts.open {
            self.keep(&account.value.key());
        }
        default
    }

    /// Writes an account's file where it belongs now, or takes away what stands there.
    pub(super) fn refile(&self, record: &Record) {
        let wanted = Wanted { scopes: None, audiences: record.audiences.clone() };
        let cached = self.broker.cached(&record.key(), &Ask { wanted, ..Ask::default() });
        let now = self.clock.wall();
        let kept = record.access_token.clone().filter(|token| token.expires_at > now);
        match cached.or(kept).filter(|_| !self.is_barred(record)) {
            Some(token) => self.presence.write_file(record, &token),
            None => self.presence.remove_file(record),
        }
    }
}
