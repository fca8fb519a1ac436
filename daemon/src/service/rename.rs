//! Another name for an account. Everything follows: rows, client, default, token file.

use std::sync::Arc;

use iamd_protocol::{bus::ChangeReply, error::Kind};

use super::{About, Caller, Service, ServiceError, accounts::must_be_named};
use crate::{
    account::{
        AccountKey, AccountName, Record,
        ports::{LockOn, VaultError, Wanted},
    },
    audit,
};

impl Service {
    /// Gives an account of the caller's another name.
    ///
    /// # Errors
    /// No such account, an empty name, the name is taken or malformed, a login is running, or the store.
    pub async fn rename(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        new_name: &str,
    ) -> Result<ChangeReply, ServiceError> {
        let mut about = About::named(named);
        let result = self.change_name(caller, named, new_name, &mut about).await;
        if let Err(error) = &result {
            self.note_denial(caller, &about, error);
        }
        result
    }

    async fn change_name(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        new_name: &str,
        about: &mut About,
    ) -> Result<ChangeReply, ServiceError> {
        let _guard = self.enter(caller)?;
        must_be_named(named)?;
        let uid = caller.owner.uid;
        let _accounts = self.vault.lock(LockOn::Accounts(uid)).await?;
        let accounts = self.accounts(&caller.owner).await?;
        let record = &accounts.find_one(named, self.config().default_profile())?.value;
        about.is(record);
        let old = record.key();
        let name = self.free(uid, &accounts, new_name)?;
        self.no_login(&old)?;
        self.clear_way(record, &name).await?;
        let new = AccountKey { uid, name };
        // Two renames of one user never wait for each other: they hold the lock above.
        let lock = self.vault.lock(LockOn::Account(old.clone())).await?;
        let new_lock = self.vault.lock(LockOn::Account(new.clone())).await?;
        self.no_login(&new)?;
        // A refresh token that the store did not take yet is the newest there is.
        self.broker.settle(&old).await?;
        self.vault.rename_account(&old, &new.name).await?;
        self.lock_follows(&old, &new);
        self.broker.forget(&old);
        if let Some(stored) = self.vault.account(&new).await? {
            if let Some(token) = &stored.value.access_token {
                let wanted = Wanted { scopes: None, audiences: stored.value.audiences.clone() };
                self.broker.adopt(&new, &wanted, token);
            }
            self.presence.renamed(&old, &new.name);
            if self.presence.is_here(uid) {
                self.refile(&stored.value);
            }
            self.presence.remove_named(uid, &old.name);
        }
        drop(new_lock);
        drop(lock);
        self.default_follows(&caller.owner).await;
        self.audit.record(
            audit::Kind::AccountChanged,
            &audit::Event {
                uid,
                account: old.name.as_str(),
                issuer: &record.issuer,
                client: record.client_id.as_deref().unwrap_or_default(),
                caller_pid: caller.pid,
                result: "ok",
                detail: format!("is called {} now", new.name),
                ..audit::Event::default()
            },
        );
        Ok(ChangeReply { account: new.name.to_string(), ..ChangeReply::default() })
    }

    /// Withdraws the client that an account of the new name left behind: there is none now, and its
    /// row is where this account's is to go.
    async fn clear_way(&self, record: &Record, to: &AccountName) -> Result<(), ServiceError> {
        if !record.client_owner.is_of_one_account() {
            return Ok(());
        }
        let owner = record.client_owner.renamed(to);
        match (self.vault.client(&owner, &record.issuer).await, self.profile_of(record)) {
            (Ok(None), _) => {}
            (Ok(Some(left)), Ok(profile)) => self.withdraw(&profile, &left.value).await,
            (Ok(Some(_)), Err(_)) | (Err(VaultError::Unreadable { .. }), _) => {
                self.vault.remove_client(&owner, &record.issuer).await?;
            }
            (Err(error), _) => return Err(error.into()),
        }
        Ok(())
    }

    /// A login that runs would bring back what is changed now.
    pub(super) fn no_login(&self, key: &AccountKey) -> Result<(), ServiceError> {
        if !self.logins.running_of(key.uid).contains(&key.name) {
            return Ok(());
        }
        let text =
            format!("a login of the account {} is running; finish or cancel it first", key.name);
        Err(ServiceError::new(Kind::LoginPending, text))
    }
}
