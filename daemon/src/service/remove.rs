//! Removing an account: here at once and whole; at the issuer as far as it can be reached, and
//! what stays there is said.

use std::sync::Arc;

use iamd_protocol::{
    bus::{RemoveOptions, RemoveReply},
    error::Kind,
};

use super::{
    Caller, Service, ServiceError,
    accounts::{Accounts, must_be_named},
    leftovers::{DAYS, GivenUp},
};
use crate::{
    account::{
        AccountKey, AccountName, ClientOwner, Record,
        ports::{Deregistered, LockOn},
    },
    audit,
};

impl Service {
    /// Removes an account of the caller's: revokes its refresh token and deletes its own client.
    ///
    /// # Errors
    /// No such account, an empty name, or the store. What the issuer does not do is a remark.
    pub async fn remove(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        options: RemoveOptions,
    ) -> Result<RemoveReply, ServiceError> {
        let _guard = self.enter(caller)?;
        must_be_named(named)?;
        let owner = &caller.owner;
        let _accounts = self.vault.lock(LockOn::Accounts(owner.uid)).await?;
        let accounts = self.accounts(owner).await?;
        let default = accounts.default_name(self.config().default_profile());
        let found = match accounts.find_one(named, self.config().default_profile()) {
            Ok(account) => Some(&account.value),
            // A record that does not open can still be given up.
            Err(error) if error.kind == Kind::AccountUnreadable => None,
            Err(error) => return Err(error),
        };
        let mut reply = match found {
            Some(record) => self.remove_account(&accounts, &record.key(), options).await?,
            None => self.discard_unreadable(owner.uid, named).await?,
        };
        let name: AccountName = reply.account.parse()?;
        if accounts.settings.default_account.as_ref() == Some(&name)
            && let Err(error) = self.choose_default(owner.uid, None).await
        {
            tracing::warn!(uid = owner.uid, %error, "the default account is still the removed one: {error}");
        }
        let now = self.default_follows(owner).await;
        if default == Some(name)
            && let Some(now) = now
        {
            reply.remarks.push(format!("the default account is {now} now"));
        }
        self.audit.record(
            audit::Kind::AccountRemoved,
            &audit::Event {
                uid: owner.uid,
                account: &reply.account,
                issuer: found.map_or("", |record| &record.issuer),
                client: found.and_then(|record| record.client_id.as_deref()).unwrap_or_default(),
                caller_pid: caller.pid,
                result: "ok",
                detail: reply.remarks.join("; "),
                ..audit::Event::default()
            },
        );
        Ok(reply)
    }

    async fn remove_account(
        &self,
        accounts: &Accounts,
        key: &AccountKey,
        options: RemoveOptions,
    ) -> Result<RemoveReply, ServiceError> {
        self.logins.cancel(key);
        let mut reply = RemoveReply { account: key.name.to_string(), ..RemoveReply::default() };
        let lock = self.vault.lock(LockOn::Account(key.clone())).await?;
        // Again under the lock: a refresh may have rotated the token, and the store not taken it.
        let Some(stored) = self.broker.newest(key).await? else { return Ok(reply) };
        let record = stored.value;
        self.vault.remove_account(key, stored.revision).await?;
        self.locks.release(key);
        self.broker.give_up(key);
        self.presence.forget(key);
        drop(lock);
        match self.revoke(&record).await {
            Ok(_) if record.is_locked() => reply.remarks.push(
                "the account was locked: its refresh token is behind the passphrase and was not revoked"
                    .into(),
            ),
            Ok(revoked) => reply.revoked = revoked,
            Err(error) => reply.remarks.push(format!(
                "the issuer did not confirm the revocation: {error}; the refresh token ends by itself"
            )),
        }
        self.end_client(accounts, &record, options.keep_client == Some(true), &mut reply).await;
        Ok(reply)
    }

    /// Deletes the account's client where it is its own, or the user's and of no other use.
    async fn end_client(
        &self,
        accounts: &Accounts,
        record: &Record,
        keep: bool,
        reply: &mut RemoveReply,
    ) {
        let id = record.client_id.as_deref().unwrap_or_default();
        let remark = match &record.client_owner {
            ClientOwner::Site | ClientOwner::Fixed => {
                "its client is the site's and stays registered".to_owned()
            }
            ClientOwner::Public => "its client is the public one, which stays".to_owned(),
            ClientOwner::Given(..) => {
                self.forget_registration(record).await;
                format!("the client {id} that you gave to it stays registered at the issuer")
            }
            ClientOwner::User(_) if self.is_used_by_others(accounts, record) => {
                "its client stays: other accounts of yours use it".to_owned()
            }
            ClientOwner::User(_) if keep => "its client stays registered".to_owned(),
            ClientOwner::Own(..) if keep => {
                self.forget_registration(record).await;
                format!("its client {id} stays registered at the issuer, and is forgotten here")
            }
            owner @ (ClientOwner::User(_) | ClientOwner::Own(..)) => {
                let on = LockOn::Client(owner.clone(), record.issuer.clone());
                let _lock = self.vault.lock(on).await;
                match self.delete_registration(record).await {
                    Ok(None) => return,
                    Ok(Some(GivenUp::Ended(Deregistered::Deleted | Deregistered::Gone))) => {
                        reply.client_deleted = true;
                        return;
                    }
                    Ok(Some(GivenUp::Ended(Deregistered::Unconfirmed))) => format!(
                        "the issuer did not confirm that its client {id} is deleted: it does not accept the token for that; the client is gone, or stays there"
                    ),
                    Ok(Some(GivenUp::Later(error))) => format!(
                        "its client {id} could not be deleted at the issuer: {error}; that is tried again for {DAYS} days"
                    ),
                    Ok(Some(GivenUp::Stays(error))) | Err(error) => format!(
                        "its client {id} could not be deleted at the issuer and stays there: {error}"
                    ),
                }
            }
        };
        reply.remarks.push(remark);
    }

    fn is_used_by_others(&self, accounts: &Accounts, record: &Record) -> bool {
        let mut others = accounts.open.iter().filter(|other| other.value.name != record.name);
        let uses = |other: &Record| {
            other.issuer == record.issuer && other.client_owner == record.client_owner
        };
        let uid = record.owner.uid;
        let running = self.logins.running_of(uid).into_iter().filter(|name| *name != record.name);
        let mut at = running.map(|name| self.logins.issuer_of(&AccountKey { uid, name }));
        others.any(|other| uses(&other.value))
            || at.any(|issuer| issuer.as_ref() == Some(&record.issuer))
    }

    /// Deletes a client at the issuer (RFC 7592 §2.3) and forgets it; `None` when there is none.
    async fn delete_registration(&self, record: &Record) -> Result<Option<GivenUp>, ServiceError> {
        let found = self.vault.client(&record.client_owner, &record.issuer).await?;
        let found = found.filter(|client| client.value.is_of(record));
        let Some(client) = found else { return Ok(None) };
        self.journal_aside(&client.value).await;
        // From here on nobody gets it any more.
        self.forget_registration(record).await;
        let profile = self.profile_of(record);
        let profile = profile.as_ref().map_err(Clone::clone);
        Ok(Some(self.delete_or_keep(profile, &client.value).await))
    }

    async fn forget_registration(&self, record: &Record) {
        if let Err(error) = self.vault.remove_client(&record.client_owner, &record.issuer).await {
            tracing::warn!(uid = record.owner.uid, %error, "the client of a removed account could not be forgotten: {error}");
        }
    }

    /// Removes an account whose record does not open: nobody can revoke what nobody can read.
    async fn discard_unreadable(&self, uid: u32, named: &str) -> Result<RemoveReply, ServiceError> {
        let key = AccountKey { uid, name: named.parse()? };
        self.discard_here(&key).await?;
        let remark = "the record did not open, so nothing was revoked or deleted at the issuer";
        let account = key.name.to_string();
        Ok(RemoveReply { account, remarks: vec![remark.to_owned()], ..RemoveReply::default() })
    }
}
