//! Whose the answer to a refresh is: another person's ends the sign-in, here and at the issuer.

use secrecy::SecretString;

use super::{
    Refresher,
    refresh::{SWAP_TRIES, Unsettled, hold_the_same},
};
use crate::account::{
    ClientRecord, Event, IssuerProfile, Record, Subject,
    ports::{Identity, Revision, Tokens, VaultError},
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

/// Who the account belongs to after a reply, as the site requires it now.
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
    let Some(rule) = &profile.identity else { return Ok(before.clone()) };
    let values = now.as_ref().and_then(|now| now.values.as_ref());
    let known = before.as_ref().and_then(|before| before.proof.as_ref());
    let proof = rule
        .judge(&record.owner, values, known)
        .map_err(|mismatch| rule.refusal(&profile.title, &record.owner, mismatch))?;
    let named =
        |now: &Identity| Subject { sub: now.sub.clone(), name: now.name.clone(), proof: None };
    let person = before.clone().or_else(|| now.as_ref().map(named));
    Ok(person.map(|person| Subject { proof: Some(proof), ..person }))
}
