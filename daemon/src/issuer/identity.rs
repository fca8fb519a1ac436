//! Who signed in: the ID token (OpenID Connect Core 1.0 §3.1.3.7), checked, and where it does not
//! say what the site requires, the userinfo endpoint (§5.3). An account is bound to this subject,
//! so nobody is taken for who an ID token says but by a signature of the issuer's keys. Where the
//! keys cannot be had, TLS vouches for no more than this: a token that names somebody else than the
//! account's person ends a sign-in; and where the site requires a claim, there is none without them.
//!
//! No nonce is sent in any grant of ours. A sign-in that we asked for brings none, so a token with
//! one was made for somebody else's request and is refused (§3.1.3.7 item 11). What a refresh brings
//! has the nonce of the first sign-in, if any (§12.2), which for a refresh token that was handed in
//! another program chose: there it says nothing.

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
    ClaimValues, ClientRecord, IssuerProfile, ScopeSet, UnixTime,
    ports::{Identity, IssuerError, Tokens},
};

/// How long a refresh waits for keys before it begins.
const KEYS_WAIT: Duration = Duration::from_secs(3);

/// Clocks differ.
pub(super) const TOLERANCE: Duration = Duration::from_secs(120);

/// The claims of a token or of a userinfo reply.
pub(super) type Claims = Map<String, Value>;

/// When it is asked who somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Nothing is kept before it is known.
    SignIn,
    /// The same, with a refresh token of a sign-in that another program began.
    HandedIn,
    /// It was known at the sign-in; what is learned now can only end it.
    Refresh,
    /// The same, with a token for less than the account has: it may open less of what is said.
    Narrowed,
}

impl Moment {
    /// Whether a sign-in begins here.
    pub(super) fn begins(self) -> bool {
        matches!(self, Self::SignIn | Self::HandedIn)
    }
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
            let Some(id_token) = given.id_token else { return Ok(None) };
            let (claims, signed) =
                self.verified(profile, metadata, &given, id_token, moment).await?;
            return Ok(Some(told(&claims, signed)));
        };
        let claims = match given.id_token {
            None => None,
            Some(id_token) => {
                if moment.begins() {
                    self.required_keys(profile, metadata).await?;
                }
                match self.verified(profile, metadata, &given, id_token, moment).await? {
                    (claims, true) => Some(claims),
                    (claims, false) if !moment.begins() => {
                        return Ok(Some(told(&claims, false)));
                    }
                    (_, false) => return Err(without_keys(profile)),
                }
            }
        };
        // What a token for less does not open may be there all the same.
        let found = |values: ClaimValues| {
            let missing = moment == Moment::Narrowed && values.is_empty();
            (!missing).then(|| rule.proof(values))
        };
        let values = claims.as_ref().map(|claims| rule.values_in(claims));
        if let (Some(claims), Some(values)) = (&claims, values)
            && !values.is_empty()
        {
            return Ok(Some(Identity { proof: Some(rule.proof(values)), ..told(claims, true) }));
        }
        // Many issuers put into an ID token only what cannot be asked for (§5.4).
        match (self.userinfo(profile, metadata, given.access_token).await, claims) {
            (Ok(Some(info)), claims) => {
                let wrong = |what| malformed(profile, "userinfo reply", what);
                let sub = subject(&info).map_err(wrong)?;
                if claims.as_ref().is_some_and(|claims| subject(claims) != Ok(sub)) {
                    return Err(wrong("is about another person (§5.3.2)"));
                }
                // Asked for at the issuer itself, with a token that only it could know.
                Ok(Some(Identity { proof: found(rule.values_in(&info)), ..told(&info, true) }))
            }
            (Ok(None), Some(claims)) => {
                Ok(Some(Identity { proof: found(ClaimValues::default()), ..told(&claims, true) }))
            }
            (Ok(None), None) => Ok(None),
            // It is known from the sign-in, and a passing failure ends nothing.
            (Err(_), Some(claims)) if !moment.begins() => Ok(Some(told(&claims, true))),
            // Nor does an answer that cannot be read, such as one that is signed.
            (Err(error), None) if !moment.begins() && !error.may_pass() => Ok(None),
            (Err(error), _) => Err(error),
        }
    }

    /// Who the ID token of a refresh says it is for, without asking anybody. Where the site requires
    /// a claim, it is asked later who vouches for that.
    ///
    /// # Errors
    /// The site requires a claim, and the ID token is not this issuer's, not for this client, or too
    /// old. Without a rule, one that is odd says nothing.
    pub(super) fn identity_at_hand(
        &self,
        profile: &IssuerProfile,
        metadata: &Metadata,
        given: &Given<'_>,
    ) -> Result<Option<Identity>, IssuerError> {
        let Some(id_token) = given.id_token else { return Ok(None) };
        let claims = self.checked(profile, metadata, given, id_token, Moment::Refresh);
        if profile.identity.is_some() {
            return claims.map(|claims| Some(told(&claims, false)));
        }
        Ok(match self.is_signed_by_known(profile, metadata, id_token) {
            // Somebody else's, or by a key that is new: it says nothing of anybody.
            Some(false) => None,
            signed => claims.ok().map(|claims| told(&claims, signed == Some(true))),
        })
    }

    /// Whose the tokens of a refresh are, which are kept by now: see `Issuers::identify`.
    ///
    /// # Errors
    /// As [`Self::identity`].
    pub(super) async fn identity_of_refresh(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
        tokens: &Tokens,
        whole: bool,
    ) -> Result<Option<Identity>, IssuerError> {
        let opens = |scopes: &ScopeSet| whole || scopes.contains("openid");
        if tokens.id_token.is_none() && !tokens.scopes.as_ref().is_none_or(opens) {
            // Without that scope there is no answer (§5.3.1).
            return Ok(None);
        }
        let metadata = self.metadata(profile).await?;
        let given = Given {
            client_id: &client.client_id,
            access_token: &tokens.access_token,
            id_token: tokens.id_token.as_ref(),
        };
        let moment = if whole { Moment::Refresh } else { Moment::Narrowed };
        self.identity(profile, &metadata, given, moment).await
    }

    /// Has the keys at hand with which the next ID token is checked, where they can be had.
    pub(super) async fn fetch_keys(&self, profile: &IssuerProfile) {
        if let Ok(metadata) = self.metadata(profile).await
            && let Some(Ok(url)) = &metadata.jwks
        {
            tokio::select! {
                _ = self.keys(profile, url, FRESH) => {}
                () = self.clock.sleep(KEYS_WAIT) => {}
            }
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
        self.keys(profile, url, FRESH).await.ok_or_else(|| without_keys(profile))
    }

    /// The claims of an ID token, all checked, and whether its signature was: not where the keys
    /// cannot be had. To refuse it then would lose a sign-in whose device code is used up.
    async fn verified(
        &self,
        profile: &IssuerProfile,
        metadata: &Metadata,
        given: &Given<'_>,
        id_token: &SecretString,
        moment: Moment,
    ) -> Result<(Claims, bool), IssuerError> {
        let wrong = |what: &str| malformed(profile, "ID token", what);
        let parts = jwt::split(id_token.expose_secret());
        let parts = parts.ok_or_else(|| wrong("is not a signed JWT"))?;
        let signed = Signed::new(&parts).map_err(wrong)?;
        let mut by_a_key = None;
        if let Some(Ok(url)) = &metadata.jwks {
            by_a_key = self.keys(profile, url, FRESH).await.map(|keys| signed.by(&keys));
            if by_a_key == Some(false) {
                // Perhaps by one that is newer than those that are known.
                by_a_key = self.keys(profile, url, AGAIN).await.map(|keys| signed.by(&keys));
            }
        }
        if by_a_key == Some(false) {
            return Err(wrong("is signed by none of the issuer's keys"));
        }
        let claims = self.checked(profile, metadata, given, id_token, moment)?;
        Ok((claims, by_a_key == Some(true)))
    }

    /// Whether one of the keys that are at hand made the signature; `None` where none are.
    fn is_signed_by_known(
        &self,
        profile: &IssuerProfile,
        metadata: &Metadata,
        id_token: &SecretString,
    ) -> Option<bool> {
        let Some(Ok(url)) = &metadata.jwks else { return None };
        let keys = self.known_keys(profile, url, FRESH)?;
        let parts = jwt::split(id_token.expose_secret());
        Some(parts.is_some_and(|parts| Signed::new(&parts).is_ok_and(|signed| signed.by(&keys))))
    }

    /// The claims of an ID token, all but its signature checked.
    fn checked(
        &self,
        profile: &IssuerProfile,
        metadata: &Metadata,
        given: &Given<'_>,
        id_token: &SecretString,
        moment: Moment,
    ) -> Result<Claims, IssuerError> {
        let wrong = |what: &str| malformed(profile, "ID token", what);
        let parts = jwt::split(id_token.expose_secret());
        let claims: Option<Claims> = parts.and_then(|parts| jwt::decode(parts.payload));
        let claims = claims.ok_or_else(|| wrong("has no claims"))?;
        let to = Addressed {
            issuers: [&metadata.issuer, profile.url.as_str()],
            client_id: given.client_id,
            only_us: profile.identity.is_some(),
        };
        check(&claims, &to, self.clock.wall()).map_err(wrong)?;
        if moment == Moment::SignIn && claims.get("nonce").is_some_and(|nonce| !nonce.is_null()) {
            return Err(wrong("was made for another request than ours (nonce)"));
        }
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

/// Whom claims are about that were checked. Without a signature, only that they are not about
/// somebody else is of use.
fn told(claims: &Claims, verified: bool) -> Identity {
    let sub = subject(claims).unwrap_or_default().to_owned();
    if !verified {
        return Identity { sub, ..Identity::default() };
    }
    let name = |name: &str| {
        let name = printable(claims.get(name)?.as_str()?, 128);
        (!name.is_empty()).then_some(name)
    };
    Identity {
        sub,
        name: name("preferred_username").or_else(|| name("name")),
        proof: None,
        verified: true,
    }
}

fn without_keys(profile: &IssuerProfile) -> IssuerError {
    IssuerError::Unreachable {
        text: format!(
            "the keys of {} cannot be had now, and without them this site lets nobody sign in there",
            profile.title
        ),
        retry_after: None,
        maybe_processed: false,
        reply_lost: false,
        too_slow: false,
        cause: Default::default(),
    }
}

fn malformed(profile: &IssuerProfile, part: &str, what: &str) -> IssuerError {
    IssuerError::Malformed { text: format!("{}: the {part} {what}", profile.title) }
}
