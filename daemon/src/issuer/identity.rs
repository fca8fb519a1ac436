//! Who signed in: the ID token (OpenID Connect Core 1.0 §3.1.3.7), checked, and where it does not
//! say what the site requires, the userinfo endpoint (§5.3). An account is bound to this subject,
//! so nothing here is taken on trust but what TLS vouches for; and where the site requires a
//! claim, not even that at a sign-in.
//!
//! No nonce is sent in any grant of ours, so none is compared: an ID token is taken from the reply
//! to our own request only.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::{
    IssuerClient, jwt,
    keys::{AGAIN, FRESH, Keys, Signed},
    metadata::{Metadata, need, same_issuer},
    redact::printable,
};
use crate::account::{
    IssuerProfile, UnixTime,
    ports::{Identity, IssuerError},
};

/// Clocks differ.
pub(super) const TOLERANCE: Duration = Duration::from_secs(120);

/// The claims of a token or of a userinfo reply.
pub(super) type Claims = Map<String, Value>;

/// When it is asked who somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Nothing is kept before it is known.
    SignIn,
    /// It was known at the sign-in; what is learned now can only end it.
    Refresh,
}

/// What a token endpoint gave that tells who it is for.
pub(super) struct Given<'a> {
    /// To whom it was given.
    pub(super) client_id: &'a str,
    pub(super) access_token: &'a SecretString,
    pub(super) id_token: Option<&'a SecretString>,
}

impl IssuerClient {
    /// Who the tokens are for; `None` when the issuer does not say and need not. With a rule of the
    /// site's, the values of its claim come along.
    ///
    /// # Errors
    /// [`IssuerError::Malformed`]: the ID token is not this issuer's, not for this client, too old,
    /// or its signature is wrong. With a rule also when it could not be found out now.
    pub(super) async fn identity(
        &self,
        profile: &IssuerProfile,
        metadata: &Metadata,
        given: Given<'_>,
        moment: Moment,
    ) -> Result<Option<Identity>, IssuerError> {
        let Some(rule) = &profile.identity else {
            return match (given.id_token, moment) {
                (None, _) => Ok(None),
                (Some(id_token), Moment::SignIn) => {
                    let claims = self.verified(profile, metadata, given.client_id, id_token);
                    Ok(Some(person(&claims.await?)))
                }
                // One that is odd must not cost a refresh token that rotated.
                (Some(id_token), Moment::Refresh) => {
                    let claims = self.checked(profile, metadata, given.client_id, id_token);
                    Ok(claims.ok().map(|claims| person(&claims)))
                }
            };
        };
        let claims = match (given.id_token, moment) {
            (None, Moment::Refresh) => return Ok(None),
            (None, Moment::SignIn) => None,
            (Some(id_token), _) => {
                let keys = self.required_keys(profile, metadata).await;
                if let (Err(error), Moment::SignIn) = (&keys, moment) {
                    return Err(error.clone());
                }
                Some(self.verified(profile, metadata, given.client_id, id_token).await?)
            }
        };
        let values = claims.as_ref().map(|claims| rule.values_in(claims));
        if let (Some(claims), Some(values)) = (&claims, values)
            && !values.is_empty()
        {
            return Ok(Some(Identity { values: Some(values), ..person(claims) }));
        }
        // Many issuers put into an ID token only what cannot be asked for (§5.4).
        match (self.userinfo(profile, metadata, given.access_token).await, claims) {
            (Ok(Some(info)), claims) => {
                let wrong = |what| malformed(profile, "userinfo reply", what);
                let sub = subject(&info).map_err(wrong)?;
                if claims.as_ref().is_some_and(|claims| subject(claims) != Ok(sub)) {
                    return Err(wrong("is about another person (§5.3.2)"));
                }
                Ok(Some(Identity { values: Some(rule.values_in(&info)), ..person(&info) }))
            }
            (Ok(None), Some(claims)) => {
                Ok(Some(Identity { values: Some(Default::default()), ..person(&claims) }))
            }
            (Ok(None), None) => Ok(None),
            // It is known from the sign-in, and a passing failure ends nothing.
            (Err(_), Some(claims)) if moment == Moment::Refresh => Ok(Some(person(&claims))),
            (Err(error), _) => Err(error),
        }
    }

    /// The keys, without which a site that requires a claim lets nobody in.
    ///
    /// # Errors
    /// They cannot be had.
    pub(super) async fn required_keys(
        &self,
        profile: &IssuerProfile,
        metadata: &Metadata,
    ) -> Result<Keys, IssuerError> {
        let url = need(profile, &metadata.jwks, "key set", "jwks")?;
        self.keys(profile, url, FRESH).await.ok_or_else(|| IssuerError::Unreachable {
            text: format!(
                "the keys of {} cannot be had now, and without them this site lets nobody sign in there",
                profile.title
            ),
            retry_after: None,
            maybe_processed: false,
            reply_lost: false,
            too_slow: false,
        })
    }

    /// The claims of an ID token whose signature is right, as far as there are keys.
    async fn verified(
        &self,
        profile: &IssuerProfile,
        metadata: &Metadata,
        client_id: &str,
        id_token: &SecretString,
    ) -> Result<Claims, IssuerError> {
        let wrong = |what: &str| malformed(profile, "ID token", what);
        let parts = jwt::split(id_token.expose_secret());
        let parts = parts.ok_or_else(|| wrong("is not a signed JWT"))?;
        let signed = Signed::new(&parts).map_err(wrong)?;
        // Without a key set TLS vouches for the token, as §3.1.3.7 item 6 has it. It was given to
        // us for a device code that is used up now: to refuse it would lose the sign-in.
        if let Some(Ok(url)) = &metadata.jwks
            && let Some(keys) = self.keys(profile, url, FRESH).await
            && !signed.by(&keys)
        {
            let newer = self.keys(profile, url, AGAIN).await.unwrap_or_default();
            if !signed.by(&newer) {
                return Err(wrong("is signed by none of the issuer's keys"));
            }
        }
        self.checked(profile, metadata, client_id, id_token)
    }

    /// The claims of an ID token, all but its signature checked.
    fn checked(
        &self,
        profile: &IssuerProfile,
        metadata: &Metadata,
        client_id: &str,
        id_token: &SecretString,
    ) -> Result<Claims, IssuerError> {
        let wrong = |what: &str| malformed(profile, "ID token", what);
        let parts = jwt::split(id_token.expose_secret());
        let claims: Option<Claims> = parts.and_then(|parts| jwt::decode(parts.payload));
        let claims = claims.ok_or_else(|| wrong("has no claims"))?;
        let to = Addressed {
            issuers: [&metadata.issuer, profile.url.as_str()],
            client_id,
            only_us: profile.identity.is_some(),
        };
        check(&claims, &to, self.clock.wall()).map_err(wrong)?;
        Ok(claims)
    }
}

/// By whom and for whom an ID token has to be.
struct Addressed<'a> {
    issuers: [&'a str; 2],
    client_id: &'a str,
    /// Another audience beside us is one that the site does not know: `azp` has to say that it was
    /// given to us (§3.1.3.7 items 3 and 4).
    only_us: bool,
}

fn check(claims: &Claims, to: &Addressed<'_>, now: UnixTime) -> Result<(), &'static str> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let iss = text("iss").unwrap_or_default();
    if !to.issuers.iter().any(|issuer| same_issuer(iss, issuer)) {
        return Err("is of another issuer (iss)");
    }
    let (for_us, for_others) = match claims.get("aud") {
        Some(Value::String(aud)) => (aud == to.client_id, false),
        Some(Value::Array(list)) => {
            (list.iter().any(|aud| aud.as_str() == Some(to.client_id)), list.len() > 1)
        }
        _ => (false, false),
    };
    if !for_us {
        return Err("is for another client (aud)");
    }
    let azp = match claims.get("azp") {
        None | Some(Value::Null) => None,
        Some(azp) => Some(azp.as_str() == Some(to.client_id)),
    };
    if azp == Some(false) || (for_others && to.only_us && azp.is_none()) {
        return Err("was given to another client (azp)");
    }
    let time = |name: &str| claims.get(name).map(jwt::time);
    if time("exp").flatten().is_none_or(|expires_at| expires_at.plus(TOLERANCE) <= now) {
        return Err("has expired, or the clocks differ by more than two minutes (exp)");
    }
    // `iat` has to be there (§2), but nothing hangs on it that `exp` does not say.
    for name in ["iat", "nbf"] {
        if time(name).is_some_and(|at| at.is_none_or(|at| at > now.plus(TOLERANCE))) {
            return Err("is of the future, or the clocks differ by more than two minutes (iat)");
        }
    }
    subject(claims).map(drop)
}

/// The subject, if it is one: at most 255 ASCII characters (§2), none that a terminal acts on.
fn subject(claims: &Claims) -> Result<&str, &'static str> {
    let sub = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    if sub.is_empty() || sub.len() > 255 || printable(sub, 255) != sub {
        return Err("names no usable subject (sub)");
    }
    Ok(sub)
}

/// Whom claims are about that were checked.
fn person(claims: &Claims) -> Identity {
    let name = |name: &str| {
        let name = printable(claims.get(name)?.as_str()?, 128);
        (!name.is_empty()).then_some(name)
    };
    Identity {
        sub: subject(claims).unwrap_or_default().to_owned(),
        name: name("preferred_username").or_else(|| name("name")),
        values: None,
    }
}

fn malformed(profile: &IssuerProfile, part: &str, what: &str) -> IssuerError {
    IssuerError::Malformed { text: format!("{}: the {part} {what}", profile.title) }
}
