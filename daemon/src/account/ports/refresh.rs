//! How a refresh fails. It may have rotated the refresh token all the same, and whoever handles the
//! failure has to see that token.

use secrecy::SecretString;

use super::IssuerError;
use crate::account::UnixTime;

/// Why a refresh gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// The refresh token is expired, revoked or unknown: sign in again (requirement 30).
    #[error("{text}")]
    Dead {
        /// What the issuer said.
        text: String,
    },
    /// The user has to act at the issuer; the refresh token lives.
    #[error("{text}")]
    ActionNeeded {
        /// What the issuer said.
        text: String,
    },
    /// The issuer does not grant the scopes.
    #[error("{text}")]
    Scope {
        /// What it said.
        text: String,
    },
    /// The issuer does not grant the audience (`invalid_target`).
    #[error("{text}")]
    Audience {
        /// What it said.
        text: String,
    },
    /// Anything else; `Unreachable` may pass, `ClientRejected` keeps the refresh token.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
}

/// A refresh that gave no access token.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct RefreshFailure {
    /// Why.
    pub error: RefreshError,
    /// The refresh token that came all the same. The one that was used may be good for nothing any
    /// more, so this one is kept before anybody is told of the failure.
    pub rotated: Option<Rotated>,
}

/// A refresh token that takes the place of the one that was used.
#[derive(Debug)]
pub struct Rotated {
    /// `refresh_token`.
    pub token: SecretString,
    /// When it expires, where it tells.
    pub expires_at: Option<UnixTime>,
}

impl From<RefreshError> for RefreshFailure {
    fn from(error: RefreshError) -> Self {
        Self { error, rotated: None }
    }
}

impl From<IssuerError> for RefreshFailure {
    fn from(error: IssuerError) -> Self {
        RefreshError::Issuer(error).into()
    }
}
