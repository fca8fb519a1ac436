//! Values in replies, read with tolerance: issuers send numbers as text and lists as words, and a
//! field that is of no use is as good as absent.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::account::UnixTime;

/// Beyond this a duration is "for ever", and arithmetic with it stays in bounds.
const FOR_EVER: u64 = 10 * 365 * 24 * 3600;

/// Seconds, as a number or as text; `None` when absent, negative or anything else.
pub(super) fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let seconds = number(&Value::deserialize(from)?);
    Ok(seconds.map(|seconds| Duration::from_secs(seconds.min(FOR_EVER))))
}

/// Seconds since 1970, as a number or as text; `None` for anything else.
pub(super) fn instant<'de, D: Deserializer<'de>>(from: D) -> Result<Option<UnixTime>, D::Error> {
    Ok(number(&Value::deserialize(from)?).map(UnixTime))
}

/// A whole number that is not negative, as a number, perhaps with a fraction, or as text.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number
            .as_u64()
            .or_else(|| number.as_f64().filter(|number| *number >= 0.0).map(|n| n as u64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A space separated list, or a JSON array of words.
pub(super) fn list<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) => Some(text),
        Value::Array(words) => {
            Some(words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "))
        }
        _ => None,
    })
}

/// A text; `None` for anything else.
pub(super) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) if !text.is_empty() => Some(text),
        _ => None,
    })
}

/// Whether a secret can go into a header, a form and a file: visible ASCII, not empty, bounded.
pub(super) fn is_sane(secret: &SecretString) -> bool {
    is_refresh_token(secret) && !secret.expose_secret().contains(' ')
}

/// Whether a secret can be a refresh token, which goes into forms only: spaces too (RFC 6749
/// Appendix A.17).
pub(super) fn is_refresh_token(secret: &SecretString) -> bool {
    let secret = secret.expose_secret();
    !secret.is_empty()
        && secret.len() <= 64 * 1024
        && secret.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}
