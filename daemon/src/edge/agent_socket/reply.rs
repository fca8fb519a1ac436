//! What a client is answered, as JSON. `status` is for people: clients look for `error`.

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use zeroize::Zeroizing;

/// Room for all but the longest field.
const AROUND: usize = 1024;

/// A reply.
pub(super) struct Reply(Zeroizing<Vec<u8>>);

#[derive(Serialize)]
struct Success<T> {
    status: &'static str,
    #[serde(flatten)]
    fields: T,
}

#[derive(Serialize)]
struct Failure<'a> {
    status: &'static str,
    error: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    info: &'a str,
}

#[derive(Serialize)]
struct Info<T> {
    info: T,
}

#[derive(Serialize)]
struct AccessToken<'a> {
    access_token: &'a str,
    issuer: &'a str,
    expires_at: u64,
}

#[derive(Serialize)]
struct IdToken<'a> {
    id_token: &'a str,
    issuer: &'a str,
}

#[derive(Serialize)]
struct Nothing {}

impl Reply {
    /// It is done.
    pub(super) fn done() -> Self {
        Self::success(Nothing {}, 0)
    }

    /// An access token.
    pub(super) fn access_token(token: &SecretString, issuer: &str, expires_at: u64) -> Self {
        let access_token = token.expose_secret();
        Self::success(AccessToken { access_token, issuer, expires_at }, access_token.len())
    }

    /// An ID token.
    pub(super) fn id_token(token: &SecretString, issuer: &str) -> Self {
        let id_token = token.expose_secret();
        Self::success(IdToken { id_token, issuer }, id_token.len())
    }

    /// What was asked, in `info`.
    pub(super) fn info(info: impl Serialize) -> Self {
        Self::success(Info { info }, 0)
    }

    /// Why not, and what to do; an empty `info` is left out. Clients print it as it is, so that a
    /// shell's prompt would stand behind it without its line break.
    pub(super) fn failure(error: &str, info: &str) -> Self {
        let info = if info.is_empty() { String::new() } else { format!("{info}\n") };
        Self::write(&Failure { status: "failure", error, info: &info }, 0)
    }

    /// The text, which must be wiped after use.
    pub(super) fn into_json(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    fn success(fields: impl Serialize, longest: usize) -> Self {
        Self::write(&Success { status: "success", fields }, longest)
    }

    /// `longest`: of a secret, so that the text never moves and leaves a copy behind.
    fn write(value: &impl Serialize, longest: usize) -> Self {
        let mut text = Zeroizing::new(Vec::with_capacity(2 * longest + AROUND));
        if serde_json::to_writer(&mut *text, value).is_err() {
            // Texts and numbers can all be written.
            text.clear();
        }
        Self(text)
    }
}
