//! An issuer's key set (RFC 7517), and whether one of its keys made a signature.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jsonwebtoken::{
    Algorithm, DecodingKey, crypto,
    jwk::{Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{
    IssuerClient,
    http::Ask,
    jwt::{self, Parts},
    lane::Lane,
};
use crate::account::IssuerProfile;

/// How long a key set is used. An unknown key id asks again before.
pub(super) const FRESH: Duration = Duration::from_secs(6 * 3600);
/// But not more often than this.
pub(super) const AGAIN: Duration = Duration::from_secs(60);

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

impl IssuerClient {
    /// The key set, not older than `life`; `None` when it cannot be had.
    pub(super) async fn keys(
        &self,
        profile: &IssuerProfile,
        url: &Url,
        life: Duration,
    ) -> Option<Keys> {
        if let Some(keys) = self.known_keys(profile, url, life) {
            return Some(keys);
        }
        // A key set that is not there is no reason to leave the issuer alone.
        let reply = self.ask(profile, Ask::get(url), Some(Lane::of_keys())).await.ok()?;
        let set: Value =
            serde_json::from_slice(&reply.body).ok().filter(|_| reply.status == 200)?;
        // One by one: a key of a kind that is not known does not hide the others.
        let keys = set.get("keys")?.as_array()?.iter().take(64);
        let keys: Keys = Arc::new(keys.filter_map(|key| Jwk::deserialize(key).ok()).collect());
        self.peer(profile).keys.put(url, self.clock.monotonic(), &keys);
        Some(keys)
    }

    /// The key set that is at hand, not older than `life`.
    pub(super) fn known_keys(
        &self,
        profile: &IssuerProfile,
        url: &Url,
        life: Duration,
    ) -> Option<Keys> {
        self.peer(profile).keys.get(url, self.clock.monotonic(), life)
    }
}

/// How a token is signed, as it says itself: by a public key, or it is not looked at further.
pub(super) struct Signed<'a> {
    parts: &'a Parts<'a>,
    header: Header,
}

impl<'a> Signed<'a> {
    /// # Errors
    /// The token is signed in a way that no key of an issuer makes, or not at all.
    pub(super) fn new(parts: &'a Parts<'a>) -> Result<Self, &'static str> {
        // `none` is no algorithm here.
        let header: Header =
            jwt::decode(parts.header).ok_or("is signed in a way that iamd cannot check")?;
        // With HMAC, whoever knows the public key could sign.
        if matches!(header.alg, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
            return Err("is signed with a shared secret, not with the issuer's key");
        }
        Ok(Self { parts, header })
    }

    /// Whether one of the keys made the signature.
    pub(super) fn by(&self, keys: &[Jwk]) -> bool {
        keys.iter().filter(|key| self.may_be_by(key)).any(|key| {
            DecodingKey::from_jwk(key).is_ok_and(|key| {
                let message = self.parts.message.as_bytes();
                let alg = self.header.alg;
                crypto::verify(self.parts.signature, message, &key, alg).unwrap_or(false)
            })
        })
    }

    /// By its name, its use and its algorithm, as far as they are said (RFC 7517 §4).
    fn may_be_by(&self, key: &Jwk) -> bool {
        let named = match (&self.header.kid, &key.common.key_id) {
            (Some(wanted), Some(kid)) => wanted == kid,
            _ => true,
        };
        let signs = key.common.public_key_use.as_ref();
        let alg = KeyAlgorithm::from(self.header.alg);
        named
            && signs.is_none_or(|its| *its == PublicKeyUse::Signature)
            && key.common.key_algorithm.is_none_or(|its| its == alg)
    }
}
