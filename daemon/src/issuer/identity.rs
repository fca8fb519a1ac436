//! Who signed in: the ID token (OpenID Connect Core 1.0 §3.1.3.7), checked. An account is bound to
//! this subject, so nothing here is taken on trust but what TLS vouches for.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jsonwebtoken::{Algorithm, DecodingKey, crypto, jwk::Jwk};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{
    IssuerClient,
    http::Ask,
    jwt::{self, Parts},
    metadata::{Metadata, same_issuer},
    redact::printable,
};
use crate::account::{
    IssuerProfile,
    ports::{Identity, IssuerError},
};

/// Clocks differ.
const TOLERANCE: Duration = Duration::from_secs(120);
/// How long a key set is used. An unknown key id asks again before.
const FRESH: Duration = Duration::from_secs(6 * 3600);
/// But not more often than this.
const AGAIN: Duration = Duration::from_secs(60);

/// A key set (RFC 7517), those of its keys that can be used.
pub(super) type Keys = Arc<Vec<Jwk>>;

/// The key set of one issuer.
#[derive(Default)]
pub(super) struct KeyCache(Mutex<Option<(Url, Instant, Keys)>>);

impl KeyCache {
    fn get(&self, url: &Url, now: Instant, life: Duration) -> Option<Keys> {
        let cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, at, keys) = cache.as_ref()?;
        (of == url && now.saturating_duration_since(*at) < life).then(|| Arc::clone(keys))
    }

    fn put(&self, url: &Url, now: Instant, keys: &Keys) {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *cache = Some((url.clone(), now, Arc::clone(keys)));
    }
}

#[derive(Deserialize)]
struct Header {
    alg: Algorithm,
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Value>,
    azp: Option<String>,
    exp: Option<Value>,
    preferred_username: Option<Value>,
    name: Option<Value>,
}

impl IssuerClient {
    /// The subject of an ID token that came from the token endpoint; `None` when none came.
    ///
    /// # Errors
    /// [`IssuerError::Malformed`]: it is not this issuer's, not for this client, too old, or its
    /// signature is wrong.
    pub(super) async fn identity(
        &self,
        profile: &IssuerProfile,
        metadata: &Metadata,
        client_id: &str,
        id_token: Option<&SecretString>,
    ) -> Result<Option<Identity>, IssuerError> {
        let Some(id_token) = id_token else { return Ok(None) };
        let wrong = |what: &str| IssuerError::Malformed {
            text: format!("{}: the ID token {what}", profile.title),
        };
        let parts =
            jwt::split(id_token.expose_secret()).ok_or_else(|| wrong("is not a signed JWT"))?;
        let keys = match &metadata.jwks {
            Some(Ok(url)) => self.keys(profile, url, FRESH).await.map(|keys| (url, keys)),
            _ => None,
        };
        // Without a key set TLS vouches for the token, as §3.1.3.7 item 6 has it. It was given to
        // us for a device code that is used up now: to refuse it would lose the sign-in.
        if let Some((url, keys)) = keys
            && !verify(&parts, &keys).map_err(|what| wrong(&what))?
        {
            let newer = self.keys(profile, url, AGAIN).await.unwrap_or_default();
            if !verify(&parts, &newer).map_err(|what| wrong(&what))? {
                return Err(wrong("is signed by none of the issuer's keys"));
            }
        }
        let claims: Claims = jwt::decode(parts.payload).ok_or_else(|| wrong("has no claims"))?;
        let now = self.clock.wall();
        check(&claims, &[&metadata.issuer, profile.url.as_str()], client_id, |expires_at| {
            expires_at.plus(TOLERANCE) > now
        })
        .map(Some)
        .map_err(wrong)
    }

    /// The key set, not older than `life`; `None` when it cannot be had.
    async fn keys(&self, profile: &IssuerProfile, url: &Url, life: Duration) -> Option<Keys> {
        let peer = self.peer(profile);
        if let Some(keys) = peer.keys.get(url, self.clock.monotonic(), life) {
            return Some(keys);
        }
        let reply = self.ask(profile, Ask::get(url), None).await.ok()?;
        let set: Value =
            serde_json::from_slice(&reply.body).ok().filter(|_| reply.status == 200)?;
        // One by one: a key of a kind that is not known does not hide the others.
        let keys = set.get("keys")?.as_array()?.iter().take(64);
        let keys: Keys = Arc::new(keys.filter_map(|key| Jwk::deserialize(key).ok()).collect());
        peer.keys.put(url, self.clock.monotonic(), &keys);
        Some(keys)
    }
}

/// Whether one of the keys made the signature.
///
/// # Errors
/// The token is signed in a way that no key of an issuer makes.
fn verify(parts: &Parts<'_>, keys: &[Jwk]) -> Result<bool, String> {
    let header: Header = jwt::decode(parts.header)
        .ok_or_else(|| "is signed in a way that iamd cannot check".to_owned())?;
    // With HMAC, whoever knows the public key could sign.
    if matches!(header.alg, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
        return Err("is signed with a shared secret, not with the issuer's key".to_owned());
    }
    let named = |key: &&Jwk| match (&header.kid, &key.common.key_id) {
        (Some(wanted), Some(kid)) => wanted == kid,
        _ => true,
    };
    Ok(keys.iter().filter(named).any(|key| {
        DecodingKey::from_jwk(key).is_ok_and(|key| {
            let message = parts.message.as_bytes();
            crypto::verify(parts.signature, message, &key, header.alg).unwrap_or(false)
        })
    }))
}

/// Checks the claims; `alive` judges `exp`.
fn check(
    claims: &Claims,
    issuers: &[&str],
    client_id: &str,
    alive: impl Fn(crate::account::UnixTime) -> bool,
) -> Result<Identity, &'static str> {
    let iss = claims.iss.as_deref().unwrap_or_default();
    if !issuers.iter().any(|issuer| same_issuer(iss, issuer)) {
        return Err("is of another issuer (iss)");
    }
    let (for_us, for_others) = match &claims.aud {
        Some(Value::String(aud)) => (aud == client_id, false),
        Some(Value::Array(list)) => {
            (list.iter().any(|aud| aud.as_str() == Some(client_id)), list.len() > 1)
        }
        _ => (false, false),
    };
    if !for_us {
        return Err("is for another client (aud)");
    }
    if for_others && claims.azp.as_deref().is_some_and(|azp| azp != client_id) {
        return Err("was given to another client (azp)");
    }
    if !claims.exp.as_ref().and_then(jwt::time).is_some_and(alive) {
        return Err("has expired, or the clocks differ by more than two minutes (exp)");
    }
    let sub = claims.sub.as_deref().unwrap_or_default();
    if sub.is_empty() || sub.len() > 255 || printable(sub, 255) != sub {
        return Err("names no usable subject (sub)");
    }
    let name = |value: &Option<Value>| {
        let name = printable(value.as_ref()?.as_str()?, 128);
        (!name.is_empty()).then_some(name)
    };
    Ok(Identity {
        sub: sub.to_owned(),
        name: name(&claims.preferred_username).or_else(|| name(&claims.name)),
    })
}
