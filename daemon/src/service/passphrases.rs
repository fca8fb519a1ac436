//! Accounts with a passphrase: set, changed, taken off; locked and unlocked.
//!
//! What such an account is while it is locked, the vault sees to: its record has no tokens. Here
//! is what follows from that: no file, no keeper, nothing cached, and who may try a passphrase.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use iamd_protocol::{
    bus::{ChangeReply, LoginOptions, UnlockOptions},
    error::Kind,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::task::AbortHandle;

use crate::{
    account::{
        AccountKey, GuardKey, Guards, PassphraseError, Record, UnixTime,
        ports::{LockOn, Revision, VaultError},
    },
    audit,
    policy::{Attempt, Attempts, NotNow},
    token::Validity,
};

use super::{About, Caller, Service, ServiceError};

/// The shortest passphrase, in characters.
const SHORTEST: usize = 8;
/// A node that slept is noticed after so long at the latest.
const LOOK: Duration = Duration::from_secs(60);

/// Who may try a passphrase, and until when what is unlocked.
pub(super) struct Locks {
    guards: Arc<dyn Guards>,
    attempts: Attempts,
    timers: Mutex<HashMap<AccountKey, Timer>>,
}

struct Timer {
    until: UnixTime,
    task: AbortHandle,
}

impl Locks {
    pub(super) fn new(guards: Arc<dyn Guards>) -> Self {
        Self { guards, attempts: Attempts::default(), timers: Mutex::default() }
    }

    /// Until when an account is unlocked, where it was unlocked for a time.
    pub(super) fn unlocked_until(&self, key: &AccountKey) -> Option<UnixTime> {
        self.timers().get(key).map(|timer| timer.until)
    }

    /// Forgets the key of an account, and when it was to be forgotten.
    pub(super) fn release(&self, key: &AccountKey) -> bool {
        if let Some(timer) = self.timers().remove(key) {
            timer.task.abort();
        }
        self.guards.release(key)
    }

    fn timers(&self) -> MutexGuard<'_, HashMap<AccountKey, Timer>> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What every call hears that needs the secrets of a locked account.
pub(super) fn locked(record: &Record) -> ServiceError {
    ServiceError::new(Kind::AccountLocked, format!("the account {} is locked", record.name))
}

/// Whether a new passphrase is long enough.
pub(super) fn check_passphrase(new: &SecretString) -> Result<(), ServiceError> {
    if new.expose_secret().chars().count() >= SHORTEST {
        return Ok(());
    }
    let text = format!("a passphrase has at least {SHORTEST} characters");
    Err(ServiceError::new(Kind::InvalidArgument, text))
}

impl Service {
    /// Stores an account that is not there yet, behind a passphrase where one is given: then it is
    /// unlocked, and guarded from its first byte on.
    pub(super) async fn save_guarded(
        &self,
        mut record: Record,
        passphrase: Option<&SecretString>,
    ) -> Result<(), ServiceError> {
        record.guard = match passphrase {
            Some(passphrase) => Some(self.locks.guards.make(&record, passphrase).await?),
            None => None,
        };
        self.vault.save_account(&record, Revision::ABSENT).await.map_err(|error| match error {
            VaultError::Conflict => {
                let text = format!("an account \u{201c}{}\u{201d} was made meanwhile", record.name);
                ServiceError::new(Kind::AccountExists, text)
            }
            error => error.into(),
        })?;
        let key = record.key();
        if let Some(guard_key) = record.guard.and_then(|guard| guard.key) {
            self.locks.guards.hold(&key, guard_key);
        }
        Ok(())
    }

    /// Locks an account: its secrets are out of reach until its passphrase is given again.
    ///
    /// # Errors
    /// No such account, or it has no passphrase.
    pub async fn lock(&self, caller: &Caller, named: &str) -> Result<(), ServiceError> {
        let _guard = self.enter(caller)?;
        let accounts = self.accounts(&caller.owner).await?;
        let record = &accounts.find(named, self.config().default_profile())?.value;
        if record.guard.is_none() {
            return Err(has_none(record));
        }
        let key = record.key();
        if self.locks.release(&key) {
            let (kind, about) = (audit::Kind::Lock, About::of(record));
            self.record_passphrase(kind, key.uid, &about, caller.pid, "ok");
        }
        self.shut(&key).await;
        Ok(())
    }

    /// Unlocks an account with its passphrase, for a time or until the daemon ends.
    ///
    /// # Errors
    /// [`Kind::WrongPassphrase`]; [`Kind::TooManyAttempts`]; no such account.
    pub async fn unlock(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        options: UnlockOptions,
        passphrase: SecretString,
    ) -> Result<(), ServiceError> {
        let mut about = About::named(named);
        let result = self.open_account(caller, named, options, passphrase, &mut about).await;
        result.inspect_err(|error| self.note_denial(caller, &about, error))
    }

    async fn open_account(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        options: UnlockOptions,
        passphrase: SecretString,
        about: &mut About,
    ) -> Result<(), ServiceError> {
        let _guard = self.enter(caller)?;
        let accounts = self.accounts(&caller.owner).await?;
        let mut record = accounts.find(named, self.config().default_profile())?.value.clone();
        about.is(&record);
        if record.guard.is_none() {
            return Err(has_none(&record));
        }
        if options.for_seconds == Some(0) {
            return Err(ServiceError::new(
                Kind::InvalidArgument,
                "an account is unlocked for 1 s at least",
            ));
        }
        let key = record.key();
        let attempt = self.attempt(caller)?;
        let guard_key = self.try_passphrase(caller, &record, &passphrase, &attempt).await?;
        drop(attempt);
        if !self.locks.guards.reveal(&mut record, &guard_key) {
            let text = format!("{} was changed meanwhile; try again", record.name);
            return Err(ServiceError::new(Kind::StoreUnavailable, text));
        }
        self.locks.guards.hold(&key, guard_key);
        self.lock_after(&key, options.for_seconds);
        self.record_passphrase(audit::Kind::Unlock, key.uid, about, caller.pid, "ok");
        self.take_back(&record);
        Ok(())
    }

    /// Sets, changes or takes off the passphrase of an account. One that is not there yet is made,
    /// so that its first sign-in is guarded from the first byte on.
    ///
    /// # Errors
    /// [`Kind::WrongPassphrase`], [`Kind::TooManyAttempts`]; what [`Service::login`] refuses.
    pub async fn set_passphrase(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        present: Option<SecretString>,
        new: Option<SecretString>,
    ) -> Result<ChangeReply, ServiceError> {
        let mut about = About::named(named);
        let result = self.change_passphrase(caller, named, present, new, &mut about).await;
        result.inspect_err(|error| self.note_denial(caller, &about, error))
    }

    async fn change_passphrase(
        self: &Arc<Self>,
        caller: &Caller,
        named: &str,
        present: Option<SecretString>,
        new: Option<SecretString>,
        about: &mut About,
    ) -> Result<ChangeReply, ServiceError> {
        let _guard = self.enter(caller)?;
        new.as_ref().map_or(Ok(()), check_passphrase)?;
        // None is added, renamed or removed meanwhile.
        let accounts = self.vault.lock(LockOn::Accounts(caller.owner.uid)).await?;
        let (key, is_new) = self.to_be_guarded(caller, named, new.is_some(), about).await?;
        let attempt = self.attempt(caller)?;
        let lock = self.vault.lock(LockOn::Account(key.clone())).await?;
        let found = self.vault.account(&key).await?;
        let (mut record, revision) = match found {
            Some(found) if found.value.owner == caller.owner => (found.value, found.revision),
            None if !is_new => {
                let text = format!("the account {} was removed meanwhile", key.name);
                return Err(ServiceError::new(Kind::NoSuchAccount, text));
            }
            _ => (self.unsigned(caller, named, &key).await?, Revision::ABSENT),
        };
        self.locks.guards.is_settled(&key)?;
        let was_locked = record.is_locked();
        let had_one = record.guard.is_some();
        match (had_one, &present) {
            (true, None) => {
                let text = format!(
                    "the account {} has a passphrase: the present one is needed to change it",
                    record.name
                );
                return Err(ServiceError::new(Kind::InvalidArgument, text));
            }
            (false, _) if new.is_none() => return Err(has_none(&record)),
            (false, _) => {}
            (true, Some(present)) => {
                let opened = self.try_passphrase(caller, &record, present, &attempt).await?;
                if !self.locks.guards.reveal(&mut record, &opened) {
                    let text = "what the passphrase guards does not open".to_owned();
                    return Err(ServiceError::new(Kind::AccountUnreadable, text));
                }
            }
        }
        record.guard = match &new {
            Some(new) => Some(self.locks.guards.make(&record, new).await?),
            None => None,
        };
        self.vault.save_account(&record, revision).await?;
        let guard_key = record.guard.as_ref().and_then(|guard| guard.key.clone());
        let what = match (guard_key, had_one) {
            (Some(guard_key), had_one) => {
                if !was_locked {
                    self.locks.guards.hold(&key, guard_key);
                }
                if had_one { "changed" } else { "set" }
            }
            (None, _) => {
                self.locks.release(&key);
                "removed"
            }
        };
        drop(lock);
        drop(accounts);
        drop(attempt);
        about.is(&record);
        self.record_passphrase(audit::Kind::Passphrase, key.uid, about, caller.pid, what);
        if !was_locked || new.is_none() {
            self.take_back(&record);
        }
        Ok(ChangeReply { account: key.name.to_string(), ..ChangeReply::default() })
    }

    /// The account whose passphrase is meant: one that is there, else one that may be made; and
    /// whether it would be new.
    async fn to_be_guarded(
        &self,
        caller: &Caller,
        named: &str,
        may_be_new: bool,
        about: &mut About,
    ) -> Result<(AccountKey, bool), ServiceError> {
        let accounts = self.accounts(&caller.owner).await?;
        match accounts.find(named, self.config().default_profile()) {
            Ok(found) => {
                about.is(&found.value);
                Ok((found.value.key(), false))
            }
            Err(error)
                if may_be_new
                    && matches!(error.kind, Kind::NoSuchAccount | Kind::LoginRequired) =>
            {
                let plan = self.plan(&caller.owner, &accounts, named, &LoginOptions::default())?;
                about.plans(&plan);
                Ok((plan.key, plan.record.is_none()))
            }
            Err(error) => Err(error),
        }
    }

    /// An account as a login would make it, not signed in.
    async fn unsigned(
        &self,
        caller: &Caller,
        named: &str,
        key: &AccountKey,
    ) -> Result<Record, ServiceError> {
        let accounts = self.accounts(&caller.owner).await?;
        let plan = self.plan(&caller.owner, &accounts, named, &LoginOptions::default())?;
        if plan.key != *key || plan.record.is_some() {
            let text = format!("{} was changed meanwhile; try again", key.name);
            return Err(ServiceError::new(Kind::StoreUnavailable, text));
        }
        let who = self.who(&caller.owner.user).await;
        self.permit_issuer(&who, &plan.profile)?;
        let owner = Self::client_owner(&plan.profile, key.uid);
        let issuer = plan.profile.url.to_string();
        let mut record = Record::new(caller.owner.clone(), key.name.clone(), issuer, owner);
        record.scopes_asked = plan.scopes;
        record.audiences = plan.audiences;
        Ok(record)
    }

    fn attempt(&self, caller: &Caller) -> Result<Attempt, ServiceError> {
        let begun = self.locks.attempts.begin(caller.owner.uid, self.clock.monotonic());
        begun.map_err(|not_now| match not_now {
            NotNow::UnderWay => {
                let text = "another passphrase of yours is being tried";
                ServiceError::new(Kind::TooManyRequests, text)
            }
            NotNow::Barred => {
                let text = "too many wrong passphrases just now; none is tried for a minute";
                ServiceError::new(Kind::TooManyAttempts, text)
            }
        })
    }

    async fn try_passphrase(
        &self,
        caller: &Caller,
        record: &Record,
        passphrase: &SecretString,
        attempt: &Attempt,
    ) -> Result<GuardKey, ServiceError> {
        let opened = self.locks.guards.open(record, passphrase).await;
        opened.map_err(|error| {
            if error != PassphraseError::Wrong {
                return error.into();
            }
            attempt.was_wrong(self.clock.monotonic());
            let name = Kind::WrongPassphrase.short_name();
            let (kind, about) = (audit::Kind::WrongPassphrase, About::of(record));
            self.record_passphrase(kind, record.owner.uid, &about, caller.pid, name);
            let text = format!("that is not the passphrase of the account {}", record.name);
            ServiceError::new(Kind::WrongPassphrase, text)
        })
    }

    /// Nothing of a locked account stays in memory or in the user's directory.
    async fn shut(&self, key: &AccountKey) {
        // What it would bring could not be kept.
        self.logins.cancel(key);
        self.broker.forget(key);
        self.presence.forget(key);
        // A refresh that is under way is let come to its end: its answer may be the only refresh
        // token that works, and is sealed with the key that it began with. Its access token is
        // cached and written by then.
        let held = self.vault.lock(LockOn::Account(key.clone())).await;
        let is_locked = match self.vault.account(key).await {
            Ok(found) => found.is_none_or(|found| found.value.is_locked()),
            Err(_) => true,
        };
        if is_locked {
            self.broker.forget(key);
            self.presence.forget(key);
        }
        drop(held);
    }

    /// An account is called something else now: its time goes on.
    pub(super) fn lock_follows(self: &Arc<Self>, from: &AccountKey, to: &AccountKey) {
        let until = self.locks.timers().remove(from).map(|timer| {
            timer.task.abort();
            timer.until
        });
        if let Some(until) = until {
            self.lock_at(to, until);
        }
    }

    /// Locks an account when its time is over; without a time, it stays as it is.
    fn lock_after(self: &Arc<Self>, key: &AccountKey, seconds: Option<u32>) {
        if let Some(before) = self.locks.timers().remove(key) {
            before.task.abort();
        }
        let Some(seconds) = seconds else { return };
        self.lock_at(key, self.clock.wall().plus(Duration::from_secs(seconds.into())));
    }

    fn lock_at(self: &Arc<Self>, key: &AccountKey, until: UnixTime) {
        let mut timers = self.locks.timers();
        let (service, clock) = (Arc::downgrade(self), Arc::clone(&self.clock));
        let account = key.clone();
        let task = tokio::spawn(async move {
            loop {
                let left = until.after(clock.wall());
                if left.is_zero() {
                    break;
                }
                // In short pieces: the time that a node sleeps counts too.
                clock.sleep(left.min(LOOK)).await;
            }
            let Some(service) = service.upgrade() else { return };
            {
                // Off the list first: who is on it can be aborted. Unlocked anew at this very
                // moment, another timer stands there.
                let mut timers = service.locks.timers();
                if timers.get(&account).is_none_or(|timer| timer.until != until) {
                    return;
                }
                timers.remove(&account);
            }
            // Else it was removed meanwhile, and what has its name now is another one.
            if service.locks.release(&account) {
                service.note_expired(&account).await;
                service.shut(&account).await;
            }
        });
        timers.insert(key.clone(), Timer { until, task: task.abort_handle() });
    }

    /// The file of an account that is unlocked comes back, and is kept fresh.
    fn take_back(self: &Arc<Self>, record: &Record) {
        let key = record.key();
        let usual = Validity::Usual(self.config().tokens.min_valid);
        let now = self.clock.wall();
        if let Some(token) = record.access_token.as_ref().filter(|t| usual.suffices(t, now))
            && self.presence.is_here(key.uid)
        {
            self.presence.ensure_file(record, token);
        }
        self.keep(&key);
    }

    async fn note_expired(&self, key: &AccountKey) {
        let about = match self.vault.account(key).await {
            Ok(Some(found)) => About::of(&found.value),
            _ => About::named(key.name.as_str()),
        };
        self.record_passphrase(audit::Kind::Lock, key.uid, &about, None, "expired");
    }

    pub(super) fn record_passphrase(
        &self,
        kind: audit::Kind,
        uid: u32,
        about: &About,
        caller_pid: Option<u32>,
        result: &str,
    ) {
        let (account, issuer, client) = about.identity();
        self.audit.record(
            kind,
            &audit::Event {
                uid,
                account,
                issuer,
                client,
                caller_pid,
                result,
                ..audit::Event::default()
            },
        );
    }
}

fn has_none(record: &Record) -> ServiceError {
    let text = format!(
        "the account {} has no passphrase; to set one:  iamctl account passphrase {0}",
        record.name
    );
    ServiceError::new(Kind::InvalidArgument, text)
}
