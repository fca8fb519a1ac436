//! Looking into a JWT (RFC 7519) without trusting it. What is decided on such a look is only when
//! to ask again; who signed in is decided in [`identity`](super::identity).

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::account::UnixTime;

/// The parts of a compact JWS.
pub(super) struct Parts<'a> {
    pub(super) header: &'a str,
    pub(super) payload: &'a str,
    pub(super) signature: &'a str,
    /// What is signed.
    pub(super) message: &'a str,
}

/// Splits `header.payload.signature`.
pub(super) fn split(token: &str) -> Option<Parts<'_>> {
    let (message, signature) = token.rsplit_once('.')?;
    let (header, payload) = message.split_once('.')?;
    (!payload.contains('.')).then_some(Parts { header, payload, signature, message })
}

/// A part, decoded.
pub(super) fn decode<T: DeserializeOwned>(part: &str) -> Option<T> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&Zeroizing::new(bytes)).ok()
}

/// `exp` of a token that is a JWT.
pub(super) fn expires_at(token: &str) -> Option<UnixTime> {
    let claims: Value = decode(split(token)?.payload)?;
    time(claims.get("exp")?)
}

/// `exp` of a token that is a JWT without signature (`"alg":"none"`), as INDIGO IAM's refresh
/// tokens are. A hint.
pub(super) fn unsigned_expires_at(token: &str) -> Option<UnixTime> {
    let parts = split(token)?;
    let header: Value = decode(parts.header)?;
    let unsigned = header.get("alg")?.as_str()? == "none" && parts.signature.is_empty();
    unsigned.then(|| expires_at(token)).flatten()
}

/// A NumericDate (RFC 7519 §2): seconds, perhaps with a fraction.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn time(value: &Value) -> Option<UnixTime> {
    let fraction = || value.as_f64().filter(|seconds| *seconds >= 0.0).map(|s| s as u64);
    value.as_u64().or_else(fraction).map(UnixTime)
}
