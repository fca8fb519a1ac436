//! What a token says (RFC 7519): its claims, for people and for programs, and never the token.
//!
//! Nothing is verified: that is for the services that take it. Who reads this must not be steered
//! by what an issuer wrote, so every text is cleaned.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use iamd_protocol::error::{Exit, Kind};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::super::ask::Token;
use crate::app::Context;
use crate::failure::Failure;
use crate::output::{text, time};

/// The longest token that is looked into. Services refuse them from 4 to 16 KiB on.
const LONGEST: usize = 64 * 1024;

/// Shows header and claims.
///
/// # Errors
/// [`Kind::TokenOpaque`].
pub(super) fn show(token: &Token, as_json: bool, context: &mut Context) -> Result<Exit, Failure> {
    let Parts { header, claims } = parts(token).map_err(|why| {
        Failure::new(Kind::TokenOpaque, format!("the token cannot be shown: {why}"))
    })?;
    let now = context.now();
    // RFC 7519 §4.1.4: what services go by. An issuer may leave it out.
    let expires_at = claims.get("exp").and_then(seconds).unwrap_or(token.reply.expires_at);
    if as_json {
        context.output.json(&json!({
            "header": header,
            "claims": claims,
            "expires_at": expires_at,
            "expires_in": expires_at.saturating_sub(now),
            "account": token.reply.account,
            "issuer": token.reply.issuer,
            "remarks": token.reply.remarks,
        }));
        return Ok(Exit::Done);
    }
    let claims = serde_json::to_string_pretty(&claims).unwrap_or_default();
    context.output.out.line(&claims);
    let left = time::left(expires_at, now);
    context.output.tell(&format!("iamctl: expires {}, {left}", time::date(expires_at)));
    Ok(Exit::Done)
}

struct Parts {
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

/// The two parts of a signed token that are not its signature.
fn parts(token: &str) -> Result<Parts, &'static str> {
    if token.len() > LONGEST {
        return Err("it is longer than 64 KiB");
    }
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("it is not a JSON Web Token");
    };
    Ok(Parts { header: object(header)?, claims: object(claims)? })
}

fn object(part: &str) -> Result<Map<String, Value>, &'static str> {
    const NOT_JSON: &str = "it looks like a JSON Web Token, and what is in it is not JSON";
    let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).map_err(|_| NOT_JSON)?;
    let bytes = Zeroizing::new(bytes);
    // serde_json goes 128 levels deep and no further.
    let map: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|_| NOT_JSON)?;
    Ok(cleaned(map))
}

fn cleaned(map: Map<String, Value>) -> Map<String, Value> {
    map.into_iter().map(|(name, value)| (text::clean(&name), cleaned_value(value))).collect()
}

fn cleaned_value(value: Value) -> Value {
    match value {
        Value::String(string) => Value::String(text::clean(&string)),
        Value::Array(values) => Value::Array(values.into_iter().map(cleaned_value).collect()),
        Value::Object(map) => Value::Object(cleaned(map)),
        other => other,
    }
}

/// A NumericDate (RFC 7519 §2), which may have a fraction. Bounded: a date that far is none.
fn seconds(value: &Value) -> Option<u64> {
    const YEAR_9999: u64 = 253_402_300_799;
    let seconds = value.as_u64().or_else(|| {
        let float = value.as_f64().filter(|seconds| (0.0..1e12).contains(seconds))?;
        Some(float as u64)
    })?;
    (seconds <= YEAR_9999).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", part(r#"{"alg":"RS256"}"#), part(claims))
    }

    #[test]
    fn header_and_claims_are_read_and_cleaned() {
        let claims = r#"{"sub":"a\u001b[2J","n\u202e":[{"x":"\u009b1m"}],"exp":12}"#;
        let parts = parts(&token(claims)).ok().unwrap();
        assert_eq!(Value::from(parts.header), json!({"alg": "RS256"}));
        let expected = json!({"sub": "a[2J", "n": [{"x": "1m"}], "exp": 12});
        assert_eq!(Value::from(parts.claims), expected);
    }

    #[test]
    fn what_is_not_a_token_that_can_be_read_is_refused() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(1000), "]".repeat(1000));
        for bad in [
            "opaque".to_owned(),
            "a.b".into(),
            "a.b.c.d.e".into(),
            "!.!.!".into(),
            token("[]"),
            token("\u{fffd}{"),
            token(&deep),
            token(&format!("{{\"a\":\"{}\"}}", "x".repeat(LONGEST))),
        ] {
            assert!(parts(&bad).is_err(), "{}", &bad[..bad.len().min(60)]);
        }
    }

    #[test]
    fn a_date_that_is_none_is_not_shown_as_one() {
        assert_eq!(seconds(&json!(1_795_463_220)), Some(1_795_463_220));
        assert_eq!(seconds(&json!(1_795_463_220.7)), Some(1_795_463_220));
        for bad in [json!(-1), json!("1"), json!(1e300), json!(u64::MAX), json!(null)] {
            assert_eq!(seconds(&bad), None, "{bad}");
        }
    }
}
