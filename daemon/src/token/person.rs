//! Whose the answer to a refresh is: another person's ends the sign-in, here and at the issuer.

use secrecy::SecretString;

use super::{
    Refresher,
    refresh::{SWAP_TRIES, Unsettled, hold_the_same},
};
use crate::account::{
    ClientRecord, Event, IssuerProfile, Record, Subject,
    ports::{Identity, IssuerError, RefreshFailure, Revision, Rotated, Tokens, VaultError},
};

impl Refresher {
    /// Forgets the tokens of a sign-in that is not its owner's.
    pub(super) async fn disown(&self, record: Record, mut revision: Revision, reason: &str) {
        let mut next = record.clone();
        let mut failure = VaultError::Conflict;
        for _ in 0..SWAP_TRIES {
            next.state = next.state.after(Event::RefreshTokenDead(reason.to_owned()));
            next.refresh_token = None;
            next.access_token = None;
            match self.vault.save_account(&next, revision).await {
                Ok(_) => return,
                Err(VaultError::Conflict) => match self.vault.account(&next.key()).await {
                    Ok(Some(found)) if hold_the_same(&found.value, &record) => {
                        (next, revision) = (found.value, found.revision);
                    }
                    // Signed out, removed or signed in anew.
                    Ok(_) => return,
                    Err(error) => failure = error,
                },
                Err(error) => failure = error,
            }
        }
        tracing::warn!(account = %next.key(), error = %failure, "a sign-in that is not its owner's could not be forgotten: {failure}");
        self.unsettled().insert(next.key(), Unsettled { newest: next, old: record });
    }

    /// Ends at the issuer what nobody here holds any more.
    pub(super) async fn end(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
        token: &SecretString,
    ) {
        if let Err(error) = self.issuers.revoke(profile, client, token).await {
            tracing::warn!(issuer = %profile.name, %error, "a sign-in that is not its owner's could not be revoked: {error}");
        }
    }
}

/// What came, unless it cannot be told now whether it is the owner's: the site requires a claim that
/// was not asked for before, and the issuer's keys cannot be had. That passes, and ends nothing.
///
/// # Errors
/// With the refresh token that came.
pub(super) fn checkable(
    record: &Record,
    profile: &IssuerProfile,
    tokens: Tokens,
) -> Result<Tokens, RefreshFailure> {
    let Some(rule) = &profile.identity else { return Ok(tokens) };
    let before = record.subject.as_ref().and_then(|subject| subject.proof.as_ref());
    let (now, sub) = (&tokens.identity, record.subject.as_ref().map(|subject| &subject.sub));
    let unverified =
        now.as_ref().is_some_and(|now| !now.verified && sub.is_none_or(|sub| *sub == now.sub));
    if !unverified || rule.judge(&record.owner, None, before).is_ok() {
        return Ok(tokens);
    }
    let text = format!(
        "whose sign-in this is cannot be checked now, as this site requires: the keys of {} cannot be \
         had",
        profile.title
    );
    let error = IssuerError::Unreachable {
        text,
        retry_after: None,
        maybe_processed: false,
        reply_lost: false,
        too_slow: false,
        cause: Default::default(),
    };
    let expires_at = tokens.refresh_expires_at;
    let rotated = tokens.refresh_token.map(|token| Rotated { token, expires_at });
    Err(RefreshFailure { error: error.into(), rotated })
}

/// Who the account belongs to after a reply, as the site requires it now. Nobody becomes its owner
/// whom the issuer's keys do not vouch for.
///
/// # Errors
/// Not to this person: why, without anything of them.
pub(super) fn standing(
    record: &Record,
    profile: &IssuerProfile,
    tokens: &Tokens,
) -> Result<Option<Subject>, String> {
    let (now, before) = (&tokens.identity, &record.subject);
    if let (Some(now), Some(before)) = (now, before)
        && now.sub != before.sub
    {
        return Err("the issuer answered for another person than this account belongs to".into());
    }
    let verified = now.as_ref().filter(|now| now.verified);
    let named =
        |now: &Identity| Subject { sub: now.sub.clone(), name: now.name.clone(), proof: None };
    let person = before.clone().or_else(|| verified.map(named));
    let Some(rule) = &profile.identity else { return Ok(person) };
    let values = verified.and_then(|now| now.values.as_ref());
    let known = before.as_ref().and_then(|before| before.proof.as_ref());
    let proof = rule
        .judge(&record.owner, values, known)
        .map_err(|mismatch| rule.refusal(&profile.title, &record.owner, mismatch))?;
    Ok(person.map(|person| Subject { proof: Some(proof), ..person }))
}
