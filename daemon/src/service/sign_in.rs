//! What is done with the tokens of a sign-in, in the order that loses nothing: check who it is,
//! journal, store, and only then cache, file and answer.

use std::sync::Arc;

use iamd_protocol::error::Kind;
use secrecy::SecretString;

use crate::{
    account::{
        AccessToken, ClaimValues, ClientRecord, Event, IssuerProfile, Owner, Proof, Record,
        Rotation, Subject,
        ports::{Identity, JournalEntry, Lock, LockOn, Revision, Tokens, VaultError, Wanted},
    },
    audit,
    login::{Failure, Request},
    token::Publisher as _,
};

use super::{Service, ServiceError, passphrases::locked, policy::is_doubt};

/// Who signed in (`sub`), and what they should know.
pub(super) type SignedIn = (Option<String>, Vec<String>);
/// A refresh token that a new sign-in took the place of, and the client that it was given to.
type Replaced = (Option<String>, SecretString);

/// What a sign-in brought, and who signed in.
struct Brought<'a> {
    tokens: &'a Tokens,
    refresh_token: &'a SecretString,
    person: Option<Subject>,
}

impl Service {
    /// Keeps the tokens of a sign-in; where they cannot be kept, they are ended at the issuer too.
    pub(super) async fn keep_sign_in(
        self: &Arc<Self>,
        owner: &Owner,
        request: &Request,
        client: &ClientRecord,
        tokens: Tokens,
    ) -> Result<SignedIn, Failure> {
        let (refresh_token, access_token) =
            (tokens.refresh_token.clone(), tokens.access_token.clone());
        let kept = self.take_sign_in(owner, request, client, tokens).await;
        // Nobody holds these tokens now.
        if let Err(failure) = &kept {
            self.revoke_unkept(&request.profile, client, refresh_token.as_ref()).await;
            self.revoke_anothers(&request.profile, client, failure, &access_token).await;
        }
        kept
    }

    /// Ends the access token of a sign-in that is somebody else's: it would outlive its refresh token.
    pub(super) async fn revoke_anothers(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
        failure: &Failure,
        access_token: &SecretString,
    ) {
        if failure.kind == Kind::IdentityMismatch
            && let Err(error) = self.issuers.revoke_access(profile, client, access_token).await
        {
            tracing::info!(issuer = %profile.name, %error, "the access token of a refused sign-in could not be revoked; it ends by itself: {error}");
        }
    }

    /// Ends the tokens of a sign-in that is not kept.
    pub(super) async fn revoke_unkept(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
        refresh_token: Option<&SecretString>,
    ) {
        if let Some(refresh_token) = refresh_token
            && let Err(error) = self.issuers.revoke(profile, client, refresh_token).await
        {
            tracing::warn!(issuer = %profile.name, %error, "the tokens of a refused sign-in could not be revoked: {error}");
        }
    }

    /// Keeps the tokens of a sign-in, of the right person. Every sign-in comes through here.
    pub(super) async fn take_sign_in(
        self: &Arc<Self>,
        owner: &Owner,
        request: &Request,
        client: &ClientRecord,
        tokens: Tokens,
    ) -> Result<SignedIn, Failure> {
        let who = tokens.identity.clone();
        let taken = match self.judge(owner, request, &tokens).await {
            Ok(person) => self.take_proven(owner, request, client, tokens, person).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = &taken
            && failure.kind == Kind::IdentityMismatch
        {
            self.note_another(owner, request, client, who.as_ref());
        }
        taken
    }

    /// Whether these tokens may be kept, and whose they are: by the site's rules as they are now,
    /// which may be others than when the sign-in began.
    ///
    /// # Errors
    /// They are somebody else's, or the site does not allow them.
    pub(super) async fn judge(
        &self,
        owner: &Owner,
        request: &Request,
        tokens: &Tokens,
    ) -> Result<Option<Subject>, Failure> {
        let listed = self.config().issuer(request.profile.url.as_str()).cloned();
        let profile = listed.as_ref().unwrap_or(&request.profile);
        let who = self.who(&owner.user).await;
        let asked = [&request.scopes].into_iter().chain(&tokens.scopes);
        let permitted = [self.permit_issuer(&who, profile)]
            .into_iter()
            .chain(asked.map(|scopes| self.permit_scopes(&who, scopes)));
        // Each of them: a doubt about one is none about the others.
        if let Some(error) = permitted.filter_map(Result::err).find(|error| !is_doubt(error)) {
            return Err(error.into());
        }
        // Nobody is bound to an account for whom the issuer's keys do not vouch.
        let identity = tokens.identity.as_ref().filter(|identity| identity.verified);
        let proof = required(owner, profile, identity)?;
        Ok(identity.map(|identity| Subject {
            sub: identity.sub.clone(),
            name: identity.name.clone(),
            proof,
        }))
    }

    async fn take_proven(
        self: &Arc<Self>,
        owner: &Owner,
        request: &Request,
        client: &ClientRecord,
        tokens: Tokens,
        person: Option<Subject>,
    ) -> Result<SignedIn, Failure> {
        let Some(refresh_token) = tokens.refresh_token.clone() else {
            let text = format!(
                "{} gave no refresh token: its client lacks the grant refresh_token or the scope offline_access",
                request.profile.title
            );
            return Err(Failure::new(Kind::IssuerRefused, text));
        };
        let brought = Brought { tokens: &tokens, refresh_token: &refresh_token, person };
        let stored = self.store_sign_in(owner, request, client, &brought).await;
        let (lock, record, replaced, access_token) = stored?;
        let wanted = Wanted { scopes: None, audiences: record.audiences.clone() };
        self.broker.give_up(&request.key);
        self.broker.adopt(&request.key, &wanted, &access_token);
        // A second account must not take the first one's file name.
        let accounts = match self.accounts(owner).await {
            Ok(accounts) => {
                let default = accounts.default_name(self.config().default_profile());
                self.presence.set_default(owner.uid, default);
                accounts.open
            }
            Err(error) => {
                tracing::warn!(uid = owner.uid, %error, "the default account is not known: {error}");
                Vec::new()
            }
        };
        self.publish(&record, &access_token);
        crate::fault_point!("login.published", request.key);
        self.keep(&request.key);
        // Until here: a sign-out that comes now finds what it has to take away.
        drop(lock);
        // The others too: where the default changed, one of them has a new file name.
        for account in &accounts {
            self.keep(&account.value.key());
        }
        let unchecked = tokens.identity.as_ref().filter(|said| !said.verified).map(|_| {
            format!(
                "who signed in could not be checked: the keys of {} cannot be had now",
                request.profile.title
            )
        });
        self.audit.record(
            audit::Kind::SignIn,
            &audit::Event {
                uid: owner.uid,
                account: request.key.name.as_str(),
                issuer: &record.issuer,
                client: &client.client_id,
                scopes: record.scopes.to_string(),
                audience: record.audiences.to_string(),
                token_hash: audit::token_hash(&access_token.token),
                caller_pid: request.caller_pid,
                result: "ok",
                detail: unchecked.clone().unwrap_or_default(),
                ..audit::Event::default()
            },
        );
        self.end_replaced(request, client, replaced);
        let missing = record.scopes_asked.missing_from(&record.scopes);
        let mut remarks = Vec::new();
        if !missing.is_empty() {
            remarks.push(format!("the issuer did not grant: {missing}"));
        }
        remarks.extend(unchecked);
        let subject = record.subject.map(|subject| subject.sub);
        Ok((subject, remarks))
    }

    /// Somebody else signed in: whose account it was to be, and of the other a name that is of this
    /// node alone.
    pub(super) fn note_another(
        &self,
        owner: &Owner,
        request: &Request,
        client: &ClientRecord,
        who: Option<&Identity>,
    ) {
        self.audit.record(
            audit::Kind::Denial,
            &audit::Event {
                uid: owner.uid,
                account: request.key.name.as_str(),
                issuer: request.profile.url.as_str(),
                client: &client.client_id,
                scopes: request.scopes.to_string(),
                audience: request.audiences.to_string(),
                caller_pid: request.caller_pid,
                result: Kind::IdentityMismatch.short_name(),
                detail: match who {
                    Some(who) => {
                        let issuer = request.profile.url.as_str();
                        format!("signed in: person {}", self.people.name_of(issuer, &who.sub))
                    }
                    None => "the issuer did not say who signed in".into(),
                },
                ..audit::Event::default()
            },
        );
    }

    async fn store_sign_in(
        &self,
        owner: &Owner,
        request: &Request,
        client: &ClientRecord,
        brought: &Brought<'_>,
    ) -> Result<(Box<dyn Lock>, Record, Option<Replaced>, AccessToken), Failure> {
        let on = || LockOn::Account(request.key.clone());
        let mut lock = self.vault.lock(on()).await.map_err(vault)?;
        let mut journalled = None;
        let mut stored = self.swap_sign_in(owner, request, client, brought, &mut journalled).await;
        if stored.is_err() && !lock.is_held().await {
            // Nothing was written under a lock that was lost: the sign-in has its place still.
            drop(lock);
            lock = self.vault.lock(on()).await.map_err(vault)?;
            stored = self.swap_sign_in(owner, request, client, brought, &mut journalled).await;
        }
        // Also when it was not stored: it is revoked then, and a replay must not bring it back in
        // the place of a sign-in that works.
        if let Some(entry) = journalled
            && let Err(error) = self.vault.settle(entry).await
        {
            tracing::warn!(%error, "a journal entry could not be settled: {error}");
        }
        crate::fault_point!("login.settled", request.key);
        stored.map(|(record, replaced, token)| (lock, record, replaced, token))
    }

    /// Journals the account with its new tokens, and stores it.
    async fn swap_sign_in(
        &self,
        owner: &Owner,
        request: &Request,
        client: &ClientRecord,
        brought: &Brought<'_>,
        journalled: &mut Option<JournalEntry>,
    ) -> Result<(Record, Option<Replaced>, AccessToken), Failure> {
        let Brought { tokens, refresh_token, person } = brought;
        loop {
            let found = self.broker.newest(&request.key).await.map_err(vault)?;
            let revision = found.as_ref().map_or(Revision::ABSENT, |found| found.revision);
            let mut record = match found {
                Some(found) if found.value.owner == *owner => {
                    is_for(&found.value, request)?;
                    found.value
                }
                Some(_) => {
                    let text = "this account belongs to an earlier user of this uid";
                    return Err(Failure::new(Kind::DeniedByPolicy, text));
                }
                None if request.exists => {
                    let text = "the account was removed meanwhile";
                    return Err(Failure::new(Kind::LoginCancelled, text));
                }
                None => Record::new(
                    owner.clone(),
                    request.key.name.clone(),
                    request.profile.url.to_string(),
                    client.owner.clone(),
                ),
            };
            request.claim.keep()?;
            if record.is_locked() {
                // Locked while the login ran. The sign-in that is there stays what it was.
                return Err(locked(&record).into());
            }
            bind(&mut record, person.as_ref(), tokens.identity.as_ref())?;
            let before = record.client_id.take();
            let replaced = record.refresh_token.take().map(|token| (before, token));
            let now = self.clock.wall();
            let access_token = AccessToken {
                token: tokens.access_token.clone(),
                issued_at: tokens.asked_at,
                expires_at: tokens.asked_at.plus(tokens.expires_in),
                scopes: tokens.scopes.clone().unwrap_or_else(|| request.scopes.clone()),
            };
            record.state = record.state.after(Event::SignedIn);
            record.client_owner = client.owner.clone();
            record.client_id = Some(client.client_id.clone());
            record.scopes_asked = request.scopes.clone();
            record.scopes = access_token.scopes.clone();
            record.narrowed_from = None;
            record.audiences = request.audiences.clone();
            record.signed_in_at = Some(now);
            record.refreshed_at = Some(now);
            record.refresh_token = Some((*refresh_token).clone());
            record.refresh_expires_at = tokens.refresh_expires_at;
            record.extended = false;
            record.access_token = Some(access_token.clone());
            record.rotation = Rotation::Unknown;
            record.unanswered_logins = 0;
            if journalled.is_none() {
                *journalled = Some(self.vault.journal(&record, None).await.map_err(vault)?);
            }
            crate::fault_point!("login.journalled", request.key);
            match self.vault.save_account(&record, revision).await {
                Ok(_) => {
                    crate::fault_point!("login.stored", request.key);
                    record.generation += 1;
                    return Ok((record, replaced, access_token));
                }
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(vault(error)),
            }
        }
    }

    /// Revokes the refresh token that a new sign-in took the place of, then deletes the client that
    /// was the account's alone and is no more, behind the scenes. Only the client that the token was
    /// given to can end it.
    fn end_replaced(
        self: &Arc<Self>,
        request: &Request,
        client: &ClientRecord,
        replaced: Option<Replaced>,
    ) {
        let before = request.replaces.clone();
        let revoked = replaced.and_then(|(id, token)| {
            let mut clients = before.iter().chain([client]);
            let of = clients.find(|client| id.as_ref() == Some(&client.client_id))?;
            Some((of.clone(), token))
        });
        let (service, profile) = (Arc::clone(self), request.profile.clone());
        tokio::spawn(async move {
            if let Some((client, token)) = revoked
                && let Err(error) = service.issuers.revoke(&profile, &client, &token).await
            {
                tracing::info!(issuer = %profile.name, %error, "the previous refresh token could not be revoked; it ends by itself: {error}");
            }
            if let Some(before) = before.filter(|before| before.owner.is_of_one_account()) {
                service.give_up(&profile, &before).await;
            }
        });
    }

    /// Counts a login that nobody answered.
    pub(super) async fn count_unanswered(&self, owner: &Owner, request: &Request) {
        let counted = match self.vault.account(&request.key).await {
            Ok(None) if request.exists => Ok(()),
            Ok(None) => {
                let mut record = Record::new(
                    owner.clone(),
                    request.key.name.clone(),
                    request.profile.url.to_string(),
                    request.client_owner.clone(),
                );
                record.scopes_asked = request.scopes.clone();
                record.audiences = request.audiences.clone();
                record.unanswered_logins = 1;
                self.vault
                    .save_account(&record, Revision::ABSENT)
                    .await
                    .map(drop)
                    .map_err(ServiceError::from)
            }
            _ => {
                self.update(&request.key, |record| {
                    record.unanswered_logins = record.unanswered_logins.saturating_add(1);
                    true
                })
                .await
            }
        };
        if let Err(error) = counted {
            tracing::warn!(uid = owner.uid, %error, "an unanswered login could not be counted: {error}");
        }
    }
}

/// Another account may have got the name while the login ran: made anew, or renamed. The tokens of
/// one issuer, or of one client, are never put beside the other's.
fn is_for(record: &Record, request: &Request) -> Result<(), Failure> {
    let issuer = record.issuer == request.profile.url.as_str();
    // One that was there may have changed to the site's other client, as the login then says.
    let client = request.exists || record.client_owner == request.client_owner;
    if issuer && client {
        return Ok(());
    }
    let text = format!(
        "another account got the name {} while the login ran; sign in again under another name",
        record.name
    );
    Err(Failure::new(Kind::LoginCancelled, text))
}

/// What the site requires of who signs in.
fn required(
    owner: &Owner,
    profile: &IssuerProfile,
    identity: Option<&Identity>,
) -> Result<Option<Proof>, Failure> {
    let Some(rule) = &profile.identity else { return Ok(None) };
    // What an earlier sign-in said is of another one.
    let nothing = rule.proof(ClaimValues::default());
    let said = identity.and_then(|identity| identity.proof.as_ref()).unwrap_or(&nothing);
    rule.judge(owner, Some(said), None).map(Some).map_err(|mismatch| {
        let text = rule.refusal(&profile.title, owner, mismatch);
        Failure::new(Kind::IdentityMismatch, format!("{text}; nothing was kept"))
    })
}

/// The first sign-in binds the account to a person; later ones must be the same. What nobody vouches
/// for (`said`) binds nobody, and is good enough to tell somebody else.
fn bind(
    record: &mut Record,
    person: Option<&Subject>,
    said: Option<&Identity>,
) -> Result<(), Failure> {
    let sub = person.map(|person| &person.sub).or(said.map(|said| &said.sub));
    match (&record.subject, person, sub) {
        (Some(subject), _, Some(sub)) if subject.sub != *sub => {
            // Nothing of the other person is told.
            let text = "somebody else signed in than the person this account belongs to";
            Err(Failure::new(Kind::IdentityMismatch, text))
        }
        (Some(_), _, None) => {
            let text = "the issuer did not say who signed in, and this account belongs to a person";
            Err(Failure::new(Kind::IdentityMismatch, text))
        }
        (_, Some(person), _) => {
            record.subject = Some(person.clone());
            Ok(())
        }
        (_, None, _) => Ok(()),
    }
}

fn vault(error: VaultError) -> Failure {
    ServiceError::from(error).into()
}
