//! Why a login failed, for people and programs.

use iamd_protocol::error::Kind;

use crate::account::ports::IssuerError;

/// Why a login failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// For programs.
    pub kind: Kind,
    /// For people.
    pub message: String,
}

impl Failure {
    /// A failure.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl From<IssuerError> for Failure {
    fn from(error: IssuerError) -> Self {
        let kind = match &error {
            IssuerError::Unreachable { too_slow: true, .. } => Kind::IssuerReplyTooSlow,
            IssuerError::TooLong { .. } => Kind::IssuerReplyTooLong,
            IssuerError::Busy { .. } => Kind::IssuerBusy,
            IssuerError::Unreachable { .. } | IssuerError::CircuitOpen { .. } => {
                Kind::IssuerUnreachable
            }
            IssuerError::AddressNotPublic { .. } => Kind::AddressNotPublic,
            // RFC 8707 §2, and one that is asked for with a parameter that takes only URIs.
            IssuerError::Refused { code, .. } if code == "invalid_target" => {
                Kind::AudienceUnavailable
            }
            IssuerError::Refused { .. } | IssuerError::Unsupported { .. } => Kind::IssuerRefused,
            IssuerError::ActionNeeded { .. } => Kind::ActionNeeded,
            IssuerError::ClientRejected { .. } => Kind::ClientBroken,
            IssuerError::Malformed { .. } | IssuerError::NoMetadata { .. } => Kind::IssuerMalformed,
            IssuerError::Local { .. } => Kind::ConfigurationInvalid,
        };
        Self::new(kind, error.to_string())
    }
}
