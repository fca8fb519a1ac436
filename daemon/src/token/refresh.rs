//! The order of a refresh: the one place that keeps it.
//!
//! lock → read again → issuer → journal (fsync) → store (compare-and-swap) → settle. A crash
//! between any two steps loses nothing: before the journal the old refresh token is still the
//! issuer's, as far as anybody knows; after it the new one is on disk, and a replay at the next
//! start brings it into the store. A new refresh token that comes with a failure goes the same way
//! before the failure is told. Where the site requires a claim, the new refresh token alone goes this
//! way before the issuer is asked whose the tokens are, and the rest when that is known.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use secrecy::SecretString;

use super::{
    Asked, TokenError,
    cache::Validity,
    held::{Held, Unsettled, hold_the_same, merged, rotate, same},
    person::{check_decided, standing},
};
use crate::{
    account::{
        AccessToken, AccountKey, ClientOwner, ClientRecord, Event, IssuerProfile, Record, Rotation,
        State,
        ports::{
            IssuerError, Issuers, JournalEntry, Lock, LockOn, RefreshError, RefreshFailure,
            Rotated, Stored, Tokens, Vault, VaultError, Wanted,
        },
    },
    clock::Clock,
};

/// How often a compare-and-swap that lost is tried again with what was found.
pub(super) const SWAP_TRIES: usize = 4;

/// Refreshes accounts, one at a time each.
pub struct Refresher {
    pub(super) vault: Arc<dyn Vault>,
    pub(super) issuers: Arc<dyn Issuers>,
    pub(super) clock: Arc<dyn Clock>,
    /// Records that the store did not take. The refresh token in here is the newest there is, so
    /// it goes before what the store says until the store has it.
    pub(super) unsettled: Mutex<HashMap<AccountKey, Unsettled>>,
}

/// What a refresh gave.
#[derive(Debug, Clone)]
pub struct Refreshed {
    /// The token that was wanted.
    pub token: AccessToken,
    /// The account after it.
    pub record: Record,
    /// Whether the issuer was asked.
    pub asked: bool,
    /// The ID token that came with it, which nobody keeps.
    pub id_token: Option<SecretString>,
}

impl Refresher {
    /// A refresher on these neighbours.
    pub fn new(vault: Arc<dyn Vault>, issuers: Arc<dyn Issuers>, clock: Arc<dyn Clock>) -> Self {
        Self { vault, issuers, clock, unsettled: Mutex::default() }
    }

    /// Gets a token for `wanted`. Where `fresh_for` is given and the store has such a token that
    /// is valid long enough, because somebody else just got it, the issuer is not asked.
    ///
    /// `took` is told of the token while the account is still locked. Must run to its end once it
    /// has begun: the caller spawns it.
    ///
    /// # Errors
    /// [`TokenError`]; after one the account's record says what became of it.
    pub async fn refresh(
        self: &Arc<Self>,
        asked: &mut Asked,
        profile: &IssuerProfile,
        wanted: &Wanted,
        fresh_for: Option<Validity>,
        took: &(dyn Fn(&Refreshed) + Send + Sync),
    ) -> Result<Refreshed, TokenError> {
        let key = asked.key.clone();
        let mut lock = self.vault.lock(LockOn::Account(key.clone())).await?;
        let mut refreshed = self.locked(asked, profile, wanted, fresh_for, lock.as_ref()).await;
        if let Err(again @ (TokenError::ClientGone | TokenError::LockLost)) = &refreshed {
            let client_gone = *again == TokenError::ClientGone;
            drop(lock);
            if client_gone {
                // A sign-in with another client puts the client in place before the account names
                // it, and holds the client's lock until both are there.
                self.client_in_place(&key).await?;
            }
            lock = self.vault.lock(LockOn::Account(key.clone())).await?;
            refreshed = self.locked(asked, profile, wanted, fresh_for, lock.as_ref()).await;
        }
        if let Ok(refreshed) = &refreshed {
            // Still under the lock: a sign-out that comes now finds what it has to take away.
            took(refreshed);
            crate::fault_point!("refresh.told", asked.key);
        }
        if self.must_keep(&key, lock.as_ref()) {
            // Nobody waits for it: the token is good, whatever becomes of the store.
            let refresher = Arc::clone(self);
            tokio::spawn(async move { refresher.settle_under(key, lock).await });
        }
        refreshed
    }

    async fn locked(
        &self,
        told: &mut Asked,
        profile: &IssuerProfile,
        wanted: &Wanted,
        fresh_for: Option<Validity>,
        lock: &dyn Lock,
    ) -> Result<Refreshed, TokenError> {
        let key = &told.key.clone();
        let held = Held::from(self.current(key).await?);
        let record = held.record.clone();
        told.with(&record);
        if record.is_locked() {
            return Err(TokenError::Locked { account: record.name.to_string() });
        }
        let is_base = wanted.scopes.is_none() && wanted.audiences == record.audiences;
        if is_base
            && let Some(validity) = fresh_for
            && let Some(token) = &record.access_token
            && validity.suffices(token, self.clock.wall())
        {
            let token = token.clone();
            return Ok(Refreshed { token, record, asked: false, id_token: None });
        }
        if !record.state.may_refresh() {
            return Err(TokenError::login_required(&record));
        }
        let Some(refresh_token) = record.refresh_token.clone() else {
            return Err(TokenError::login_required(&record));
        };
        let client = self.client(&record, profile).await?;
        // The owner may have asked for less than the refresh token has.
        let narrowed = is_base.then(|| record.narrowed()).flatten();
        let asked = Wanted { scopes: narrowed.or(wanted.scopes.clone()), ..wanted.clone() };
        if record.rotation != Rotation::Keeps {
            // Nothing is asked whose answer could not be kept.
            self.vault.make_room().await?;
        }
        if record.subject.is_none() {
            // Whose it is may be learned from the answer; not while what it brings is not kept.
            self.issuers.fetch_keys(profile).await;
        }
        if lock.is_of_several_nodes() {
            // Nothing that may take as long again stands between the look at the lock and the issuer.
            self.issuers.fetch_metadata(profile).await.map_err(RefreshError::Issuer)?;
        }
        // With the lock lost another node may be asking, and a second use can end the family.
        if !lock.is_held().await {
            return Err(TokenError::LockLost);
        }
        crate::fault_point!("refresh.asked", key);
        let ask = || self.issuers.refresh(profile, &client, key.uid, &refresh_token, &asked);
        let mut reply = ask().await;
        if reply.as_ref().is_err_and(is_lost) && lock.is_held().await {
            tracing::info!(account = %key, "the issuer's reply was lost on the way; asked once more");
            reply = ask().await;
        }
        crate::fault_point!("refresh.replied", key);
        match reply {
            Ok(mut tokens) => {
                let held = self.keep_before_asking(held, profile, &tokens).await?;
                let said = self.whose(profile, &client, &tokens, is_base).await?;
                check_decided(&held.record, profile, &said)?;
                let subject = match standing(&held.record, profile, said.identity.as_ref()) {
                    Ok(subject) => subject,
                    Err(text) => {
                        // Whatever this is, it is not this user's any more: only they can mend it.
                        let newest = tokens.refresh_token.unwrap_or(refresh_token);
                        let given = record.access_token.map(|given| given.token);
                        self.disown(held, &text).await;
                        self.end(profile, &client, &newest).await;
                        for token in given.iter().chain([&tokens.access_token]) {
                            self.end_access(profile, &client, token).await;
                        }
                        return Err(TokenError::IdentityMismatch { text });
                    }
                };
                let id_token = tokens.id_token.take();
                let (token, mut next) = Self::apply(&held.record, wanted, is_base, tokens);
                next.subject = subject;
                let record = self.persist(next, held).await?.record;
                Ok(Refreshed { token, record, asked: true, id_token })
            }
            Err(RefreshFailure { error, rotated: None }) => {
                crate::fault_point!("refresh.failed", key);
                Err(self.note_failure(held, error).await)
            }
            Err(RefreshFailure { error, rotated: Some(rotated) }) => {
                self.keep_rotated(held, &error, rotated).await?;
                Err(error.into())
            }
        }
    }

    /// The newest record there is: one that the store did not take yet goes first.
    pub(super) async fn current(&self, key: &AccountKey) -> Result<Stored<Record>, TokenError> {
        let unsettled = self.unsettled().get(key).cloned();
        let stored = self.vault.account(key).await;
        let Some(unsettled) = unsettled else {
            return stored?.ok_or_else(|| TokenError::NoSuchAccount(key.clone()));
        };
        let stored = stored?.ok_or_else(|| TokenError::NoSuchAccount(key.clone()))?;
        let Some(newest) = unsettled.over(&stored.value) else {
            self.unsettled().remove(key);
            return Ok(stored);
        };
        let revision = self.vault.save_account(&newest, stored.revision).await?;
        self.unsettled().remove(key);
        if newest.guard.is_some() {
            // What was kept aside had its key with it; where it is now, it may be locked.
            let again = self.vault.account(key).await?;
            return again.ok_or_else(|| TokenError::NoSuchAccount(key.clone()));
        }
        Ok(Stored { value: newest, revision })
    }

    /// Waits for whoever is about to change the client of an account.
    async fn client_in_place(&self, key: &AccountKey) -> Result<(), TokenError> {
        if let Some(Stored { value, .. }) = self.vault.account(key).await? {
            drop(self.vault.lock(LockOn::Client(value.client_owner, value.issuer)).await?);
        }
        Ok(())
    }

    /// The client that the refresh token belongs to, and no other.
    async fn client(
        &self,
        record: &Record,
        profile: &IssuerProfile,
    ) -> Result<ClientRecord, TokenError> {
        let client = match &record.client_owner {
            ClientOwner::Fixed => self.issuers.fixed_client(profile).await?,
            ClientOwner::Public => self.issuers.public_client(profile)?,
            owner => {
                let stored = self.vault.client(owner, &record.issuer).await?;
                stored.ok_or(TokenError::ClientGone)?.value
            }
        };
        if record.client_id.as_ref() == Some(&client.client_id) {
            Ok(client)
        } else {
            Err(TokenError::ClientGone)
        }
    }

    /// The token and the account after a reply.
    fn apply(
        record: &Record,
        wanted: &Wanted,
        is_base: bool,
        tokens: Tokens,
    ) -> (AccessToken, Record) {
        let asked = wanted.scopes.as_ref().unwrap_or(&record.scopes);
        let token = AccessToken {
            token: tokens.access_token,
            issued_at: tokens.asked_at,
            expires_at: tokens.asked_at.plus(tokens.expires_in),
            scopes: tokens.scopes.unwrap_or_else(|| asked.clone()),
        };
        let mut next = record.clone();
        next.state = next.state.after(Event::Refreshed);
        next.refreshed_at = Some(tokens.asked_at);
        match tokens.refresh_token {
            Some(new) if !same(Some(&new), record.refresh_token.as_ref()) => {
                rotate(&mut next, Rotated { token: new, expires_at: tokens.refresh_expires_at });
            }
            _ => {
                if next.rotation == Rotation::Unknown {
                    next.rotation = Rotation::Keeps;
                }
                if tokens.refresh_expires_at.is_some() {
                    next.note_end(tokens.refresh_expires_at);
                }
            }
        }
        if is_base {
            next.scopes = token.scopes.clone();
            next.access_token = Some(token.clone());
        }
        (token, next)
    }

    /// Journal, store, settle; on a conflict the successor of what the store still holds wins.
    async fn persist(&self, mut next: Record, held: Held) -> Result<Held, TokenError> {
        let Held { record: ref old, stored, mut revision } = held;
        let rotated = !same(next.refresh_token.as_ref(), old.refresh_token.as_ref());
        let changed = rotated
            || next.state != old.state
            || next.rotation != old.rotation
            || next.access_token.as_ref().map(|t| t.issued_at)
                != old.access_token.as_ref().map(|t| t.issued_at)
            // Of two within one second the newer.
            || !same(
                next.access_token.as_ref().map(|now| &now.token),
                old.access_token.as_ref().map(|then| &then.token),
            )
            || next.scopes != old.scopes
            || next.subject != old.subject;
        if !changed {
            return Ok(Held { record: next, stored, revision });
        }
        let journalled = if rotated {
            Some(self.vault.journal(&next, old.refresh_token.as_ref()).await)
        } else {
            None
        };
        crate::fault_point!("refresh.journalled", next.key());
        let mut failure = VaultError::Conflict;
        for _ in 0..SWAP_TRIES {
            match self.vault.save_account(&next, revision).await {
                Ok(revision) => {
                    crate::fault_point!("refresh.stored", next.key());
                    next.generation += 1;
                    self.settle_entry(journalled).await;
                    crate::fault_point!("refresh.settled", next.key());
                    return Ok(Held { stored: next.clone(), record: next, revision });
                }
                Err(VaultError::Conflict) => {
                    let found = self.vault.account(&next.key()).await;
                    match found {
                        Ok(Some(found)) if hold_the_same(&found.value, &stored) => {
                            next = merged(found.value, next);
                            revision = found.revision;
                        }
                        // Signed out, removed or signed in anew: the successor has no place.
                        Ok(_) => {
                            self.settle_entry(journalled).await;
                            return Err(TokenError::Superseded);
                        }
                        Err(error) => {
                            failure = error;
                            break;
                        }
                    }
                }
                Err(error) => {
                    failure = error;
                    break;
                }
            }
        }
        // The access token of an account whose refresh token stayed is worth an answer, but a
        // rotated one must be on disk first.
        self.keep_aside(next.clone(), stored.clone());
        match journalled {
            None | Some(Ok(_)) => {
                tracing::warn!(error = %failure, "the store did not take a refreshed account, it is kept aside: {failure}");
                Ok(Held { record: next, stored, revision })
            }
            Some(Err(error)) => {
                tracing::error!(%error, store = %failure, "a rotated refresh token is in memory only: {error}");
                Err(error.into())
            }
        }
    }

    async fn settle_entry(&self, journalled: Option<Result<JournalEntry, VaultError>>) {
        if let Some(Ok(entry)) = journalled
            && let Err(error) = self.vault.settle(entry).await
        {
            tracing::warn!(%error, "a journal entry could not be settled: {error}");
        }
    }

    /// Keeps the new refresh token of a reply that gave nothing else, as if it had.
    async fn keep_rotated(
        &self,
        held: Held,
        error: &RefreshError,
        rotated: Rotated,
    ) -> Result<(), TokenError> {
        let mut next = held.record.clone();
        match event(error) {
            // About the one that was used, which is of no more interest.
            Some(Event::RefreshTokenDead(_)) | None => {}
            Some(event) => next.state = next.state.after(event),
        }
        next.refreshed_at = Some(self.clock.wall());
        rotate(&mut next, rotated);
        self.persist(next, held).await.map(drop)
    }

    /// Keeps the new refresh token of a reply of which it is still to be asked whose it is. Nothing
    /// that may fail or wait stands between the issuer's answer and this.
    async fn keep_before_asking(
        &self,
        held: Held,
        profile: &IssuerProfile,
        tokens: &Tokens,
    ) -> Result<Held, TokenError> {
        let new = tokens.refresh_token.as_ref();
        let old = held.record.refresh_token.as_ref();
        let (Some(_), Some(token)) = (&profile.identity, new.filter(|new| !same(Some(new), old)))
        else {
            return Ok(held);
        };
        let mut next = held.record.clone();
        next.refreshed_at = Some(tokens.asked_at);
        let expires_at = tokens.refresh_expires_at;
        rotate(&mut next, Rotated { token: token.clone(), expires_at });
        self.persist(next, held).await
    }

    /// What a failure makes of the account.
    async fn note_failure(&self, held: Held, error: RefreshError) -> TokenError {
        let Held { record, revision, .. } = held;
        let Some(event) = event(&error) else { return error.into() };
        let mut next = record.clone();
        next.state = next.state.after(event);
        if matches!(next.state, State::LoginRequired { .. }) {
            next.refresh_token = None;
        }
        if next.state != record.state
            && let Err(failure) = self.vault.save_account(&next, revision).await
        {
            tracing::warn!(error = %failure, "the state of an account could not be written: {failure}");
        }
        error.into()
    }
}

/// What a failure means for the account; most mean nothing.
fn event(error: &RefreshError) -> Option<Event> {
    match error {
        RefreshError::Dead { text } => Some(Event::RefreshTokenDead(text.clone())),
        RefreshError::ActionNeeded { text } => Some(Event::ActionDemanded(text.clone())),
        RefreshError::Issuer(IssuerError::ClientRejected { text }) => {
            Some(Event::ClientRejected(text.clone()))
        }
        _ => None,
    }
}

/// Whether the reply is gone for good, and the issuer at work on it no more. To ask once more with
/// the same refresh token is then right wherever: an issuer that keeps refresh tokens, gives a
/// rotated one a grace, or never saw the request, answers; with any other the new token went with
/// the reply, nothing is left to lose, and the user learns now that they have to sign in. A request
/// that may be under way still is not repeated: of two at once one would be the second use.
fn is_lost(failure: &RefreshFailure) -> bool {
    failure.rotated.is_none()
        && matches!(
            &failure.error,
            RefreshError::Issuer(IssuerError::Unreachable { reply_lost: true, .. })
        )
}
