//! What an error reply means for a poll, a refresh and a device authorization: requirements 2–5,
//! 29 and 30, and how INDIGO IAM departs from the RFCs. Pure.

use super::error::{ErrorReply, Shape};
use crate::account::{
    Dialect,
    ports::{IssuerError, PollAnswer, RefreshError},
};

/// A poll with a device code (RFC 8628 §3.5). What is unknown ends the login, with its code.
pub(super) fn poll(error: ErrorReply) -> PollAnswer {
    match error.code.as_str() {
        "authorization_pending" => return PollAnswer::Pending,
        "slow_down" => return PollAnswer::SlowDown,
        _ => {}
    }
    if let Some(error) = error.passing() {
        return PollAnswer::Transient { error };
    }
    if error.asks_user() {
        return PollAnswer::Failed(IssuerError::ActionNeeded { text: error.text });
    }
    match error.code.as_str() {
        "access_denied" => PollAnswer::Denied,
        "expired_token" => PollAnswer::Expired,
        // INDIGO IAM, once its clean-up has removed the expired code; others after a redeem.
        "invalid_grant" => PollAnswer::Expired,
        // Something in front of the issuer: no code, nothing said.
        "" if error.shape == Shape::Empty => {
            PollAnswer::Transient { error: error.unreachable(false) }
        }
        _ => PollAnswer::Failed(error.into_error()),
    }
}

/// A refresh (RFC 6749 §6). Only `invalid_grant` and `invalid_token` end a refresh token; what is
/// not OAuth's may pass, such as a 401 `JwtToken` for one that is not valid yet.
pub(super) fn refresh(error: ErrorReply) -> RefreshError {
    if let Some(error) = error.passing() {
        return error.into();
    }
    if error.asks_user() {
        return RefreshError::ActionNeeded { text: error.text };
    }
    if error.rejects_client() {
        return IssuerError::ClientRejected { text: error.text }.into();
    }
    match error.code.as_str() {
        "invalid_grant" | "invalid_token" => RefreshError::Dead { text: error.text },
        "invalid_scope" | "insufficient_scope" => RefreshError::Scope { text: error.text },
        "invalid_target" | "invalid_resource" => RefreshError::Audience { text: error.text },
        "invalid_request" | "unsupported_grant_type" | "access_denied" => {
            IssuerError::Refused { code: error.code(), text: error.text }.into()
        }
        _ => error.unreachable(false).into(),
    }
}

/// A device authorization (RFC 8628 §3.1).
pub(super) fn device(error: ErrorReply, dialect: Dialect) -> IssuerError {
    match (error.status, error.shape, dialect) {
        // INDIGO IAM's answer to a client it does not know.
        (404, Shape::Empty, Dialect::IndigoIam) => IssuerError::ClientRejected {
            text: format!("{}: it does not know our client", error.text),
        },
        (404 | 405, Shape::Empty | Shape::Text, _) => IssuerError::Unsupported {
            text: format!(
                "{}: no device login there; the site sets endpoints.device_authorization",
                error.text
            ),
        },
        _ => error.into_error(),
    }
}
