//! A refresh token that a user hands in with a new account. It is used once. From the moment that
//! the issuer has replaced it, the new one is the only one that works: it is on disk before anything
//! else, and the account it belongs to stays, whatever the store does.

use std::{sync::Arc, time::Duration};

use iamd_protocol::error::Kind;
use secrecy::SecretString;

use super::{Caller, Service, ServiceError, add_plan::NewAccount, passphrases::locked};
use crate::{
    account::{
        AccessToken, AccountKey, ClientRecord, Event, Record, Rotation, Subject, UnixTime,
        ports::{
            JournalEntry, LockOn, RefreshError, RefreshFailure, Stored, Tokens, VaultError, Wanted,
        },
    },
    login::{Claim, Request},
    token::TokenError,
};

/// How long a store that does not take a sign-in is tried again, at first and at most.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Why a new account was not signed in.
pub(super) struct Unsigned {
    pub(super) error: ServiceError,
    /// The account is there all the same: its refresh token is not in the store yet.
    pub(super) kept: bool,
}

impl<E: Into<ServiceError>> From<E> for Unsigned {
    fn from(error: E) -> Self {
        Self { error: error.into(), kept: false }
    }
}

/// What is told besides where the token that was handed in has gone with what came for it: whoever has
/// a copy of it shall not believe that it still works.
fn spent(error: ServiceError) -> ServiceError {
    let message = format!(
        "{}; the issuer had replaced the refresh token that was handed in, which is of no use any more, and the new one is revoked",
        error.message
    );
    ServiceError { message, ..error }
}

/// An account with the refresh token that took the place of the one that was handed in.
struct Replaced {
    before: Record,
    now: Record,
    journalled: Result<JournalEntry, VaultError>,
}

impl Service {
    /// Signs the new account in with the refresh token that was handed in, if there is one; what
    /// a person should know. An account whose token is dead is not kept.
    pub(super) async fn take_over(
        self: &Arc<Self>,
        caller: &Caller,
        plan: &NewAccount,
        client: &ClientRecord,
    ) -> Result<Option<Vec<String>>, Unsigned> {
        let owner = &caller.owner;
        let Some(refresh_token) = &plan.refresh_token else { return Ok(None) };
        let taken = self.use_handed(caller, plan, client, refresh_token).await;
        if matches!(taken, Err(Unsigned { kept: false, .. })) {
            self.locks.release(&plan.key);
            if let Err(error) = self.vault.discard_account(&plan.key).await {
                tracing::warn!(uid = owner.uid, account = %plan.key.name, %error, "an account that could not be signed in remains: {error}");
            }
        }
        taken.map(Some)
    }

    async fn use_handed(
        self: &Arc<Self>,
        caller: &Caller,
        plan: &NewAccount,
        client: &ClientRecord,
        refresh_token: &SecretString,
    ) -> Result<Vec<String>, Unsigned> {
        // What could fail before the token is used does so now.
        let Some(before) = self.vault.account(&plan.key).await? else {
            let text = format!("the account {} was removed meanwhile", plan.key.name);
            return Err(ServiceError::new(Kind::NoSuchAccount, text).into());
        };
        if before.value.is_locked() {
            return Err(locked(&before.value).into());
        }
        let _underway = self.logins.underway().await;
        let wanted = Wanted { scopes: None, audiences: plan.audiences.clone() };
        let answer =
            self.issuers.refresh_handed(&plan.profile, client, refresh_token, &wanted).await;
        match answer {
            Ok(tokens) => self.take_tokens(caller, plan, client, before, tokens).await,
            Err(RefreshFailure { error, rotated: Some(rotated) })
                if plan.profile.identity.is_some() =>
            {
                // Without an answer nobody knows whose it is.
                self.revoke_unkept(&plan.profile, client, Some(&rotated.token)).await;
                Err(spent(TokenError::from(error).into()).into())
            }
            Err(RefreshFailure { error, rotated: Some(rotated) }) => {
                let revision = before.revision;
                let (token, ends) = (rotated.token, rotated.expires_at);
                let replaced = self.journal_handed(before, client, token, ends, None, None).await;
                match self.vault.save_account(&replaced.now, revision).await {
                    Ok(_) => self.settle_handed(replaced).await,
                    Err(error) => return Err(self.keep_replaced(replaced, error.into())),
                }
                let text = format!(
                    "the issuer took the refresh token and gave another, but no access token: {error}"
                );
                Ok(vec![text])
            }
            Err(RefreshFailure { error: RefreshError::Dead { text }, rotated: None }) => {
                let text = format!("the refresh token is of no use: {text}");
                Err(ServiceError::new(Kind::LoginRequired, text).into())
            }
            Err(RefreshFailure { error, rotated: None }) => {
                let mut error = ServiceError::from(TokenError::from(error));
                if error.kind == Kind::ClientBroken {
                    let user = &caller.owner.user;
                    error.kind = self.refusal_of(&client.owner, user, false);
                }
                Err(error.into())
            }
        }
    }

    /// A sign-in with the tokens that came.
    async fn take_tokens(
        self: &Arc<Self>,
        caller: &Caller,
        plan: &NewAccount,
        client: &ClientRecord,
        before: Stored<Record>,
        mut tokens: Tokens,
    ) -> Result<Vec<String>, Unsigned> {
        let (owner, caller_pid) = (&caller.owner, caller.pid);
        let request = Request {
            key: plan.key.clone(),
            profile: plan.profile.clone(),
            scopes: plan.scopes.clone(),
            audiences: plan.audiences.clone(),
            client_owner: client.owner.clone(),
            replaces: None,
            exists: true,
            caller_pid,
            claim: Claim::default(),
        };
        // Before anything of it is kept, also in the journal.
        let person = match self.judge(owner, &request, &tokens).await {
            Ok(person) => person,
            Err(failure) => {
                if failure.kind == Kind::IdentityMismatch {
                    self.note_another(owner, &request, client, tokens.identity.as_ref());
                }
                // What was issued now goes; the one that was handed in the user may still hold, and
                // where it was replaced it is of no use to them.
                self.revoke_unkept(&plan.profile, client, tokens.refresh_token.as_ref()).await;
                self.revoke_anothers(&plan.profile, client, &failure, &tokens.access_token).await;
                let error = ServiceError::from(failure);
                return Err(match tokens.refresh_token {
                    Some(_) => spent(error).into(),
                    None => error.into(),
                });
            }
        };
        let replaced = match tokens.refresh_token.clone() {
            Some(token) => {
                let access_token = AccessToken {
                    token: tokens.access_token.clone(),
                    issued_at: tokens.asked_at,
                    expires_at: tokens.asked_at.plus(tokens.expires_in),
                    scopes: tokens.scopes.clone().unwrap_or_else(|| plan.scopes.clone()),
                };
                let (ends, access) = (tokens.refresh_expires_at, Some(access_token));
                Some(self.journal_handed(before, client, token, ends, access, person).await)
            }
            None => None,
        };
        if replaced.is_none() {
            // The one that was handed in goes on.
            tokens.refresh_token.clone_from(&plan.refresh_token);
        }
        let access_token = tokens.access_token.clone();
        let newest = replaced.as_ref().and_then(|_| tokens.refresh_token.clone());
        match (self.take_sign_in(owner, &request, client, tokens).await, replaced) {
            (Ok((_, remarks)), replaced) => {
                if let Some(replaced) = replaced {
                    self.settle_handed(replaced).await;
                }
                Ok(remarks)
            }
            // Not revoked: the user may still hold it.
            (Err(failure), None) => {
                self.revoke_anothers(&request.profile, client, &failure, &access_token).await;
                Err(failure.into())
            }
            (Err(failure), Some(replaced)) if failure.kind == Kind::StoreUnavailable => {
                Err(self.keep_replaced(replaced, failure.into()))
            }
            // Refused: nobody is to hold it.
            (Err(failure), Some(replaced)) => {
                self.revoke_unkept(&request.profile, client, newest.as_ref()).await;
                self.revoke_anothers(&request.profile, client, &failure, &access_token).await;
                self.settle_handed(replaced).await;
                Err(spent(failure.into()).into())
            }
        }
    }

    /// The account as it is from now on, in the journal before anything else.
    async fn journal_handed(
        &self,
        before: Stored<Record>,
        client: &ClientRecord,
        refresh_token: SecretString,
        refresh_expires_at: Option<UnixTime>,
        access_token: Option<AccessToken>,
        person: Option<Subject>,
    ) -> Replaced {
        let before = before.value;
        let mut now = before.clone();
        let at = self.clock.wall();
        now.state = now.state.after(Event::SignedIn);
        now.client_id = Some(client.client_id.clone());
        now.signed_in_at = Some(at);
        now.refreshed_at = Some(at);
        now.rotation = Rotation::Rotates;
        now.refresh_token = Some(refresh_token);
        now.refresh_expires_at = refresh_expires_at;
        now.extended = false;
        if let Some(token) = &access_token {
            now.scopes = token.scopes.clone();
        }
        now.access_token = access_token;
        now.subject = person;
        let journalled = self.vault.journal(&now, None).await;
        Replaced { before, now, journalled }
    }

    async fn settle_handed(&self, replaced: Replaced) {
        if let Ok(entry) = replaced.journalled
            && let Err(error) = self.vault.settle(entry).await
        {
            tracing::warn!(%error, "a journal entry could not be settled: {error}");
        }
    }

    /// The store does not take the account's new refresh token. It is kept in the journal and
    /// aside, and brought into the store as soon as that works; what the user is told.
    fn keep_replaced(self: &Arc<Self>, replaced: Replaced, error: ServiceError) -> Unsigned {
        let Replaced { before, now, journalled } = replaced;
        let key = now.key();
        let where_to = match &journalled {
            Ok(_) => "in the journal",
            Err(_) => "in memory only, for the journal fails too: iamd must not be stopped now,",
        };
        let text = format!(
            "the issuer took the refresh token and gave another, which the store does not take: {error}. The account {} is there, and the new refresh token is kept {where_to} until the store works; then:  iamctl token {}",
            key.name, key.name
        );
        match journalled {
            Ok(_) => tracing::warn!(uid = key.uid, account = %key.name, "{text}"),
            Err(error) => tracing::error!(uid = key.uid, account = %key.name, %error, "{text}"),
        }
        self.broker.keep_aside(now, before);
        self.settle_later(key);
        Unsigned { error: ServiceError::new(Kind::StoreUnavailable, text), kept: true }
    }

    /// Brings what is kept aside of an account into the store when that works again.
    fn settle_later(self: &Arc<Self>, key: AccountKey) {
        let (service, clock) = (Arc::downgrade(self), Arc::clone(&self.clock));
        tokio::spawn(async move {
            let mut wait = FIRST_WAIT;
            loop {
                clock.sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
                let Some(service) = service.upgrade() else { return };
                let Ok(lock) = service.vault.lock(LockOn::Account(key.clone())).await else {
                    continue;
                };
                match service.broker.settle(&key).await {
                    Err(TokenError::Vault(VaultError::Unavailable { .. })) => {}
                    _ => {
                        drop(lock);
                        return service.keep(&key);
                    }
                }
            }
        });
    }
}
