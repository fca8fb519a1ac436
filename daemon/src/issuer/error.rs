//! An issuer's error replies, in all their shapes, read into one value before anything is decided:
//! OAuth JSON (RFC 6749 §5.2), INDIGO IAM's `{"error": "free text"}`, a framework's
//! `{"status": 400, "error": "Bad Request"}`, `{"error": {…}}`, HTML, nothing at all.

use std::time::Duration;

use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    http::Reply,
    redact::{Redactor, printable},
};
use crate::account::{
    IssuerProfile,
    ports::{Cause, IssuerError},
};

/// How an error reply was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// JSON with an `error` that is a code.
    Code,
    /// JSON without one.
    Text,
    /// Nothing.
    Empty,
    /// Something else, such as a page.
    Foreign,
}

/// An error reply. No `Debug`: `words` may hold a secret.
pub(super) struct ErrorReply {
    pub(super) status: u16,
    pub(super) shape: Shape,
    /// `error`, printable and bounded, where it is a code.
    pub(super) code: String,
    /// What the issuer said, in lower case, as it came: to look for words in, never to be shown.
    pub(super) words: Zeroizing<String>,
    /// For people: who said what.
    pub(super) text: String,
    pub(super) retry_after: Option<Duration>,
}

impl ErrorReply {
    /// Reads a reply that is not what was asked for.
    pub(super) fn read(profile: &IssuerProfile, reply: &Reply, redactor: &Redactor<'_>) -> Self {
        let (status, title) = (reply.status, &profile.title);
        let (shape, code, words) = match serde_json::from_slice::<Value>(&reply.body) {
            Ok(json) => read_json(&json, redactor),
            Err(_) if reply.body.iter().all(u8::is_ascii_whitespace) => {
                (Shape::Empty, String::new(), Zeroizing::default())
            }
            Err(_) => (Shape::Foreign, String::new(), Zeroizing::default()),
        };
        let said = redactor.clean(&words);
        let text = match shape {
            _ if (300..400).contains(&status) => {
                format!("{title} redirects ({status}), which is not followed")
            }
            Shape::Code if said.is_empty() => format!("{title} answered {code} ({status})"),
            Shape::Code => format!("{title}: {said} ({code})"),
            Shape::Text if said.is_empty() => format!("{title} answered {status} without a reason"),
            Shape::Text => format!("{title}: {said} ({status})"),
            Shape::Empty => format!("{title} answered {status} with nothing"),
            Shape::Foreign => format!("{title} answered {status} with a page instead of JSON"),
        };
        let words = Zeroizing::new(words.to_ascii_lowercase());
        Self { status, shape, code, words, text, retry_after: reply.retry_after }
    }

    /// That it failed, without what it says: that may be about whoever asked.
    pub(super) fn unread(profile: &IssuerProfile, reply: &Reply) -> IssuerError {
        IssuerError::Unreachable {
            text: format!("{} answered {}", profile.title, reply.status),
            retry_after: reply.retry_after,
            maybe_processed: false,
            reply_lost: false,
            too_slow: false,
            cause: Cause::Status(reply.status),
        }
    }

    /// The code as the ports carry it; `http_404` where there was none.
    pub(super) fn code(&self) -> String {
        match self.code.as_str() {
            "" => format!("http_{}", self.status),
            code => code.to_owned(),
        }
    }

    /// The error, if it may pass: overload, failure, maintenance page, redirect, or an answer that
    /// is not the protocol's. A redirect and a page may come from something in between, and then
    /// nobody knows whether the issuer was asked.
    pub(super) fn passing(&self) -> Option<IssuerError> {
        let maybe_processed = match (self.status, self.shape) {
            (429 | 503, _) | (408 | 425, _) => false,
            (500.., _) => true,
            (200..=299, Shape::Foreign | Shape::Empty) => true,
            (300..=399, _) => false,
            (_, Shape::Foreign) => false,
            _ if matches!(
                self.code.as_str(),
                "temporarily_unavailable" | "server_error" | "slow_down"
            ) =>
            {
                false
            }
            _ => return None,
        };
        Some(self.unreachable(maybe_processed))
    }

    /// What kept it from being an answer.
    pub(super) const fn cause(&self) -> Cause {
        match (self.status, self.shape) {
            (200..=299, Shape::Foreign | Shape::Empty) => Cause::NotJson,
            (status, _) => Cause::Status(status),
        }
    }

    /// The error as one that may pass.
    pub(super) fn unreachable(&self, maybe_processed: bool) -> IssuerError {
        let (text, retry_after) = (self.text.clone(), self.retry_after);
        IssuerError::Unreachable {
            text,
            retry_after,
            maybe_processed,
            reply_lost: false,
            too_slow: false,
            cause: self.cause(),
        }
    }

    /// Whether the issuer rejects our client: RFC 6749 §5.2, and INDIGO IAM's 401 `unauthorized`
    /// "Bad credentials" for a wrong secret or an unknown client. Its `unauthorized` "User … is not
    /// active" is about the user.
    pub(super) fn rejects_client(&self) -> bool {
        match self.code.as_str() {
            "invalid_client" | "unauthorized_client" => true,
            "unauthorized" => !self.is_about_user(),
            _ => false,
        }
    }

    /// Whether the user has to do something at the issuer: sign its acceptable use policy, or have
    /// the membership restored. INDIGO IAM says so with `invalid_grant` and `unauthorized`.
    pub(super) fn asks_user(&self) -> bool {
        let words = &self.words;
        let aup = words.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "aup")
            || words.contains("acceptable use policy")
            || words.contains("acceptable usage policy")
            || words.contains("terms of use");
        let of_grant =
            matches!(self.code.as_str(), "invalid_grant" | "unauthorized" | "access_denied");
        (of_grant && aup) || (self.code == "unauthorized" && self.is_about_user())
    }

    fn is_about_user(&self) -> bool {
        self.words.starts_with("user ")
    }

    /// The error where nothing special is to be made of it.
    pub(super) fn into_error(self) -> IssuerError {
        if let Some(error) = self.passing() {
            return error;
        }
        if self.rejects_client() {
            return IssuerError::ClientRejected { text: self.text };
        }
        IssuerError::Refused { code: self.code(), text: self.text }
    }
}

/// The shape, the code and the description of a JSON reply.
fn read_json(json: &Value, redactor: &Redactor<'_>) -> (Shape, String, Zeroizing<String>) {
    let text = |value: &Value, key: &str| {
        value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let error = text(json, "error");
    let described = text(json, "error_description")
        .or_else(|| text(json, "message"))
        .or_else(|| json.get("error").and_then(|error| text(error, "message")))
        .or_else(|| text(json, "detail"));
    match error {
        Some(error) if is_code(&error) && redactor.clean(&error) == error => {
            (Shape::Code, error, Zeroizing::new(described.unwrap_or_default()))
        }
        error => {
            let said = match (error, described) {
                (Some(error), Some(described)) => format!("{error}: {described}"),
                (error, described) => error.or(described).unwrap_or_default(),
            };
            (Shape::Text, String::new(), Zeroizing::new(said))
        }
    }
}

/// Codes have no space (RFC 6749 §5.2 would allow it; nobody does it, and free text has them).
fn is_code(error: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte);
    error.len() <= 64 && error.bytes().all(fits) && printable(error, 64) == error
}
