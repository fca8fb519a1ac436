//! Whose the answer to a refresh is: another person's ends the sign-in, here and at the issuer.

use std::time::Duration;

use secrecy::SecretString;

use super::{
    Refresher,
    held::{Held, Unsettled, hold_the_same},
    refresh::SWAP_TRIES,
};
use crate::account::{
    ClientRecord, Event, IssuerProfile, Record, Subject,
    identity_rule::Mismatch,
    ports::{Identity, IssuerError, Tokens, VaultError},
};

/// How long it is asked whose a token is that many may wait for.
const WHOSE_WAIT: Duration = Duration::from_secs(5);

/// What is known of whose the answer is.
pub(super) struct Said {
    pub(super) identity: Option<Identity>,
    /// Whether the issuer was asked for all that it says; else what it did not say may only have
    /// not been asked.
    told: bool,
}

impl Refresher {
    /// Asks whose the tokens are, where the site requires a claim. What came has to be kept by now:
    /// this may wait, and fail.
    ///
    /// # Errors
    /// What is said is wrong in a way that does not pass.
    pub(super) async fn whose(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
        tokens: &Tokens,
        whole: bool,
    ) -> Result<Said, IssuerError> {
        if profile.identity.is_none() {
            return Ok(Said { identity: tokens.identity.clone(), told: true });
        }
        let asked = tokio::select! {
            asked = self.issuers.identify(profile, client, tokens, whole) => asked,
            () = self.clock.sleep(WHOSE_WAIT) => Err(cannot_be_checked(profile)),
        };
        match asked {
            Ok(identity) => Ok(Said { identity, told: whole }),
            Err(error) if error.may_pass() => {
                tracing::info!(issuer = %profile.name, %error, "the issuer could not be asked whose a token is: {error}");
                Ok(Said { identity: tokens.identity.clone(), told: false })
            }
            Err(error) => Err(error),
        }
    }

    /// Forgets the tokens of a sign-in that is not its owner's.
    pub(super) async fn disown(&self, held: Held, reason: &str) {
        let Held { stored: record, mut revision, .. } = held;
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

    /// The same for an access token, which may outlive its refresh token at the issuer.
    pub(super) async fn end_access(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
        token: &SecretString,
    ) {
        if let Err(error) = self.issuers.revoke_access(profile, client, token).await {
            tracing::info!(issuer = %profile.name, %error, "an access token that is not its owner's could not be revoked; it ends by itself: {error}");
        }
    }
}

/// Whether it can be told now if the answer is the owner's: not where the site requires a claim that
/// the account has not proven, and the issuer could not be asked. That passes, and ends nothing.
///
/// # Errors
/// It cannot.
pub(super) fn check_decided(
    record: &Record,
    profile: &IssuerProfile,
    said: &Said,
) -> Result<(), IssuerError> {
    let Some(rule) = &profile.identity else { return Ok(()) };
    let before = record.subject.as_ref().and_then(|subject| subject.proof.as_ref());
    let Err(mismatch) = rule.judge(&record.owner, None, before) else { return Ok(()) };
    let decided = match &said.identity {
        None => said.told || mismatch != Mismatch::Unproven,
        Some(now) => {
            let another = record.subject.as_ref().is_some_and(|person| person.sub != now.sub);
            another
                || (now.verified && now.proof.as_ref().is_some_and(|proof| rule.is_about(proof)))
        }
    };
    if decided { Ok(()) } else { Err(cannot_be_checked(profile)) }
}

fn cannot_be_checked(profile: &IssuerProfile) -> IssuerError {
    IssuerError::Unreachable {
        text: format!(
            "whose sign-in this is cannot be checked now, as this site requires: the keys or the \
             userinfo of {} cannot be had",
            profile.title
        ),
        retry_after: None,
        maybe_processed: false,
        reply_lost: false,
        too_slow: false,
        cause: Default::default(),
    }
}

/// Who the account belongs to after a reply, as the site requires it now. Nobody becomes its owner
/// whom the issuer's keys do not vouch for.
///
/// # Errors
/// Not to this person: why, without anything of them.
pub(super) fn standing(
    record: &Record,
    profile: &IssuerProfile,
    now: Option<&Identity>,
) -> Result<Option<Subject>, String> {
    let before = &record.subject;
    if let (Some(now), Some(before)) = (now, before)
        && now.sub != before.sub
    {
        return Err("the issuer answered for another person than this account belongs to".into());
    }
    let verified = now.filter(|now| now.verified);
    let named =
        |now: &Identity| Subject { sub: now.sub.clone(), name: now.name.clone(), proof: None };
    let person = before.clone().or_else(|| verified.map(named));
    let Some(rule) = &profile.identity else { return Ok(person) };
    let said = verified.and_then(|now| now.proof.as_ref());
    let known = before.as_ref().and_then(|before| before.proof.as_ref());
    let proof = rule
        .judge(&record.owner, said, known)
        .map_err(|mismatch| rule.refusal(&profile.title, &record.owner, mismatch))?;
    Ok(person.map(|person| Subject { proof: Some(proof), ..person }))
}
