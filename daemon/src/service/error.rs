//! One error type at the door: a kind for programs, a sentence for people.

use iamd_protocol::error::Kind;

use crate::{
    account::{
        NameError, PassphraseError, ScopeError,
        ports::{GrantFailure, IssuerError, RefreshError, VaultError, upkeep::UpkeepError},
    },
    login::Failure,
    policy::{IssuerRefusal, TooManyRequests, TooOften},
    token::TokenError,
};

/// Why a use case failed. The message is bounded, printable and free of secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceError {
    /// For programs.
    pub kind: Kind,
    /// For people.
    pub message: String,
    /// The lines of the configuration that decided, for administrators only: nothing that is shown
    /// to the caller has them.
    pub decided_by: Option<String>,
}

impl ServiceError {
    /// An error.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), decided_by: None }
    }
}

impl std::fmt::Display for ServiceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ServiceError {}

impl From<TokenError> for ServiceError {
    fn from(error: TokenError) -> Self {
        let kind = match &error {
            TokenError::NoSuchAccount(_) => Kind::NoSuchAccount,
            // A sign-in takes the client that there is now.
            TokenError::LoginRequired { .. }
            | TokenError::ClientGone
            | TokenError::Refresh(RefreshError::Dead { .. }) => Kind::LoginRequired,
            TokenError::Locked { .. } => Kind::AccountLocked,
            TokenError::IdentityMismatch { .. } => Kind::IdentityMismatch,
            TokenError::Validity { .. } => Kind::ValidityUnavailable,
            TokenError::Superseded | TokenError::LockLost => Kind::StoreUnavailable,
            TokenError::Refresh(RefreshError::ActionNeeded { .. }) => Kind::ActionNeeded,
            TokenError::Refresh(RefreshError::Scope { .. }) => Kind::ScopeUnavailable,
            TokenError::Refresh(RefreshError::Audience { .. }) => Kind::AudienceUnavailable,
            TokenError::Refresh(RefreshError::Issuer(error)) => return error.clone().into(),
            TokenError::Vault(error) => return error.clone().into(),
        };
        Self::new(kind, error.to_string())
    }
}

impl From<IssuerError> for ServiceError {
    fn from(error: IssuerError) -> Self {
        Failure::from(error).into()
    }
}

impl From<GrantFailure> for ServiceError {
    fn from(failure: GrantFailure) -> Self {
        match failure {
            GrantFailure::Issuer(error) => error.into(),
            GrantFailure::PutBack(text) | GrantFailure::NotPutBack(text) => {
                Self::new(Kind::IssuerRefused, text)
            }
        }
    }
}

impl From<Failure> for ServiceError {
    fn from(failure: Failure) -> Self {
        Self::new(failure.kind, failure.message)
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        Self::new(error.kind, error.message)
    }
}

impl From<VaultError> for ServiceError {
    fn from(error: VaultError) -> Self {
        let kind = match &error {
            VaultError::Conflict | VaultError::Unavailable { .. } => Kind::StoreUnavailable,
            VaultError::Unreadable { .. } => Kind::AccountUnreadable,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<UpkeepError> for ServiceError {
    fn from(error: UpkeepError) -> Self {
        let kind = match &error {
            UpkeepError::FromCredential { .. } => Kind::KeyFromCredential,
            UpkeepError::Keyring { .. } => Kind::KeyringUnusable,
            UpkeepError::Invalid { .. } => Kind::BackupInvalid,
            UpkeepError::Transfer { .. } => Kind::InvalidArgument,
            UpkeepError::NotEmpty { .. } => Kind::StoreNotEmpty,
            UpkeepError::Damaged { .. } => Kind::StoreUnavailable,
            UpkeepError::Vault(error) => return error.clone().into(),
        };
        Self::new(kind, error.to_string())
    }
}

impl From<PassphraseError> for ServiceError {
    fn from(error: PassphraseError) -> Self {
        match error {
            PassphraseError::Wrong => Self::new(Kind::WrongPassphrase, error.to_string()),
            PassphraseError::Vault(error) => error.into(),
        }
    }
}

impl From<IssuerRefusal> for ServiceError {
    fn from(refusal: IssuerRefusal) -> Self {
        let kind = match &refusal {
            IssuerRefusal::Unknown(_) | IssuerRefusal::NoDefault => Kind::NoSuchIssuer,
            IssuerRefusal::NotAllowed(_) => Kind::IssuerNotAllowed,
            IssuerRefusal::Malformed(..) => Kind::InvalidArgument,
        };
        Self::new(kind, refusal.to_string())
    }
}

impl From<TooManyRequests> for ServiceError {
    fn from(_: TooManyRequests) -> Self {
        Self::new(Kind::TooManyRequests, "too many requests of yours are running at once")
    }
}

impl ServiceError {
    /// For an edge that has as many peers of one user as it takes.
    pub fn too_many_requests() -> Self {
        TooManyRequests.into()
    }

    /// Clients of a user's, in an hour.
    pub(super) fn too_many_registrations(TooOften(wait): TooOften) -> Self {
        let minutes = wait.as_secs().div_ceil(60);
        let text = format!(
            "as many clients were registered for you as this site allows in an hour (limits.registrations); the next one is possible in {minutes} min"
        );
        Self::new(Kind::TooManyRegistrations, text)
    }

    /// Logins of a user that were begun in a minute.
    pub(super) fn too_many_login_starts(TooOften(wait): TooOften) -> Self {
        let seconds = wait.as_secs().max(1);
        let text = format!(
            "you have begun as many logins as this site allows in a minute (limits.login_starts); the next one is possible in {seconds} s"
        );
        Self::new(Kind::TooManyLoginStarts, text)
    }

    /// No issuer is asked for this user now: it was for as many tokens as it may be in a minute.
    pub(super) fn asks_too_often(most: u32, TooOften(wait): TooOften) -> Self {
        let seconds = wait.as_secs().max(1);
        let text = format!(
            "as many tokens were asked of issuers for you as this site allows in a minute (limits.tokens_per_minute: {most}); the next is possible in {seconds} s"
        );
        Self::new(Kind::TooManyAttempts, text)
    }
}

impl From<NameError> for ServiceError {
    fn from(error: NameError) -> Self {
        Self::new(Kind::InvalidArgument, error.to_string())
    }
}

impl From<ScopeError> for ServiceError {
    fn from(error: ScopeError) -> Self {
        Self::new(Kind::InvalidArgument, error.to_string())
    }
}
