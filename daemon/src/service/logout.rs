//! Signing out.

use iamd_protocol::{bus::LogoutReply, error::Kind};

use crate::{
    account::{AccountKey, Event, IssuerProfile, Record, ports::LockOn},
    audit,
};

use super::{Caller, Service, ServiceError};

impl Service {
    /// Signs out: revokes the refresh token at the issuer, forgets every token, removes the file.
    ///
    /// # Errors
    /// No such account, or the store. A revocation that fails is a remark: here the token is gone.
    pub async fn logout(&self, caller: &Caller, named: &str) -> Result<LogoutReply, ServiceError> {
        let _guard = self.enter(caller)?;
        let accounts = self.accounts(&caller.owner).await?;
        let found = accounts.find(named, self.config().default_profile());
        let key = match found {
            Ok(account) => account.value.key(),
            // A record that does not open can still be given up.
            Err(error) if error.kind == Kind::AccountUnreadable && !named.is_empty() => {
                return self.discard(caller, named).await;
            }
            Err(error) => return Err(error),
        };
        self.logins.cancel(&key);
        let mut reply = LogoutReply { account: key.name.to_string(), ..LogoutReply::default() };
        let Some(old) = self.sign_out_here(&key).await? else { return Ok(reply) };
        match self.revoke(&old).await {
            Ok(true) => reply.revoked = true,
            Ok(false) if old.is_locked() => reply.remarks.push(
                "the account was locked, so the issuer could not be told to revoke the sign-in; \
                 it ends by itself"
                    .into(),
            ),
            Ok(false) => reply.remarks.push("there was nothing to revoke at the issuer".into()),
            Err(error) => reply.remarks.push(format!(
                "the issuer did not confirm the revocation: {error}; the token ends by itself"
            )),
        }
        if old.guard.is_some() {
            reply.remarks.push("Its passphrase is forgotten too.".into());
        }
        self.audit.record(
            audit::Kind::SignOut,
            &audit::Event {
                uid: caller.owner.uid,
                account: key.name.as_str(),
                issuer: &old.issuer,
                client: old.client_id.as_deref().unwrap_or_default(),
                caller_pid: caller.pid,
                result: if reply.revoked { "ok" } else { "not-revoked" },
                ..audit::Event::default()
            },
        );
        Ok(reply)
    }

    /// Forgets the tokens of an account and removes its file; the record that it had, `None` when
    /// there is no such account any more.
    pub(super) async fn sign_out_here(
        &self,
        key: &AccountKey,
    ) -> Result<Option<Record>, ServiceError> {
        let _lock = self.vault.lock(LockOn::Account(key.clone())).await?;
        // Again under the lock: a refresh may have rotated the token, and the store not taken it.
        let Some(stored) = self.broker.newest(key).await? else { return Ok(None) };
        let old = stored.value.clone();
        let mut record = stored.value;
        record.state = record.state.after(Event::SignedOut);
        record.refresh_token = None;
        record.access_token = None;
        record.refresh_expires_at = None;
        record.extended = false;
        // With nothing left to guard, a passphrase that was lost is of no more harm.
        record.guard = None;
        // A sign-in as the wrong person can be undone: the next one binds anew.
        record.subject = None;
        self.vault.save_account(&record, stored.revision).await?;
        self.locks.release(key);
        self.broker.give_up(key);
        self.presence.forget(key);
        Ok(Some(old))
    }

    /// Removes an account from the store and forgets all of it, whatever it is.
    pub(super) async fn discard_here(&self, key: &AccountKey) -> Result<(), ServiceError> {
        let _lock = self.vault.lock(LockOn::Account(key.clone())).await?;
        self.vault.discard_account(key).await?;
        self.locks.release(key);
        self.broker.give_up(key);
        self.presence.forget(key);
        Ok(())
    }

    /// Removes an account whose record does not open: nobody can revoke what nobody can read.
    async fn discard(&self, caller: &Caller, named: &str) -> Result<LogoutReply, ServiceError> {
        let key = AccountKey { uid: caller.owner.uid, name: named.parse()? };
        self.discard_here(&key).await?;
        let remark = "the record did not open, so nothing was revoked at the issuer";
        self.audit.record(
            audit::Kind::SignOut,
            &audit::Event {
                uid: caller.owner.uid,
                account: key.name.as_str(),
                caller_pid: caller.pid,
                result: "discarded",
                ..audit::Event::default()
            },
        );
        let account = key.name.to_string();
        Ok(LogoutReply { account, revoked: false, remarks: vec![remark.to_owned()] })
    }

    /// Revokes the refresh token of a record; `false` when it has none.
    pub(super) async fn revoke(&self, record: &Record) -> Result<bool, ServiceError> {
        let Some(token) = &record.refresh_token else { return Ok(false) };
        // Also at an issuer that the site does not allow any more.
        let profile = match (self.profile_of(record), record.issuer.parse()) {
            (Ok(profile), _) => profile,
            (Err(_), Ok(url)) => IssuerProfile::unlisted(url, Some(record.owner.uid)),
            (Err(error), Err(_)) => return Err(error),
        };
        let Some(client) = self.client_of(record, &profile).await? else { return Ok(false) };
        self.issuers.revoke(&profile, &client, token).await?;
        Ok(true)
    }
}
