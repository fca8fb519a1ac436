//! Tokens in what a command printed: each is verified as a server would that gets it, and what it
//! grants is put in its place, so that two of them can be compared and neither is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use iamd_tests::{Error, Issuer, Result};
use serde_json::Value;

/// One who reads what the tokens of an issuer grant.
pub(super) struct Reader<'i> {
    issuer: &'i Issuer,
    keys: Value,
    /// What was read before, by token.
    known: Mutex<BTreeMap<String, String>>,
}

impl<'i> Reader<'i> {
    pub(super) fn new(issuer: &'i Issuer) -> Result<Reader<'i>> {
        Ok(Reader { issuer, keys: issuer.keys()?, known: Mutex::default() })
    }

    /// The text with a description in the place of each token. A token that the issuer's keys did
    /// not sign is an error.
    pub(super) fn read(&self, text: &str) -> Result<String> {
        let mut read = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("eyJ") {
            read += &rest[..at];
            let end = rest[at..].find(|c| !is_of_a_token(c)).map_or(rest.len(), |end| at + end);
            let word = &rest[at..end];
            match word.split('.').count() {
                3 => read += &self.describe(word)?,
                _ => read += word,
            }
            rest = &rest[end..];
        }
        Ok(read + rest)
    }

    fn describe(&self, token: &str) -> Result<String> {
        if token.ends_with('.') {
            // INDIGO IAM's refresh tokens are JWTs that nobody signed.
            return Ok("<refresh token>".into());
        }
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(description) = known().get(token) {
            return Ok(description.clone());
        }
        let claims = self.issuer.verify_by(&self.keys, token)?;
        let description = in_words(&claims)?;
        known().insert(token.to_owned(), description.clone());
        Ok(description)
    }
}

fn is_of_a_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

/// `<token of SUBJECT, ISSUER, for AUDIENCES: SCOPES>`.
fn in_words(claims: &Value) -> Result<String> {
    let text = |name: &str| -> Result<&str> {
        let claim = claims[name].as_str();
        claim.ok_or_else(|| Error::Wrong(format!("a token without {name}: {claims}")))
    };
    let audiences: BTreeSet<_> = match &claims["aud"] {
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let scopes: BTreeSet<_> =
        claims["scope"].as_str().unwrap_or_default().split_whitespace().collect();
    let joined = |words: BTreeSet<&str>| words.into_iter().collect::<Vec<_>>().join(" ");
    let subject = text("sub")?.get(..8).unwrap_or_default();
    let issuer = text("iss")?;
    Ok(format!("<token of {subject}, {issuer}, for {}: {}>", joined(audiences), joined(scopes)))
}
