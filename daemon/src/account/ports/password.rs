//! The password flow (RFC 6749 §4.3): what the site allowed, what an issuer makes of a password,
//! and what an administrator of an issuer can do about it.

use async_trait::async_trait;
use secrecy::SecretString;

use super::{IssuerError, Revision, Stored, Tokens, VaultError};
use crate::account::{AudienceSet, ClientRecord, IssuerProfile, PasswordFlow, ScopeSet};

/// One sign-in by password. No `Debug`: the password is in it.
pub struct PasswordSignIn<'a> {
    /// The name at the issuer.
    pub user_name: &'a str,
    /// Taken, and wiped after the one request.
    pub password: SecretString,
    /// Which scopes.
    pub scopes: &'a ScopeSet,
    /// For which audiences.
    pub audiences: &'a AudienceSet,
}

/// Why a password gave no tokens. No text has a word of the issuer's: some repeat what was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Another user name or another password.
    #[error("{text}")]
    Wrong {
        /// Who says so.
        text: String,
    },
    /// The client does not have the grant at the issuer.
    #[error("{text}")]
    GrantMissing {
        /// Who says so.
        text: String,
    },
    /// The user needs more than a password there.
    #[error("{text}")]
    SecondFactor {
        /// Who says so.
        text: String,
    },
    /// The user has to act at the issuer first, as by signing its acceptable use policy.
    #[error("{text}")]
    ActionNeeded {
        /// What to do.
        text: String,
    },
    /// Anything else.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
}

/// What became of the grant of a client at its issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantChange {
    /// It was changed, and all else is as it was.
    Changed,
    /// It was so before.
    AlreadySo,
}

/// Why a client's grant is not as it was to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantFailure {
    /// Nothing was changed.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// More would have been changed; all is as it was.
    #[error("{0}")]
    PutBack(String),
    /// More was changed, or may have been, and what is there is told: for an administrator to mend.
    #[error("{0}")]
    NotPutBack(String),
}

/// The part of the issuers that is about passwords.
#[async_trait]
pub trait PasswordGrants: Send + Sync + 'static {
    /// Uses a password once. Never tries again: issuers bar accounts for that.
    ///
    /// # Errors
    /// [`PasswordError`]. A refresh token that comes with an answer that fails is revoked.
    async fn sign_in_with_password(
        &self,
        issuer: &IssuerProfile,
        client: &ClientRecord,
        sign_in: PasswordSignIn<'_>,
    ) -> Result<Tokens, PasswordError>;

    /// Whether [`Self::change_password_grant`] can do anything at this issuer, asked before
    /// anybody's token is taken for it.
    ///
    /// # Errors
    /// [`IssuerError::Unsupported`] with whom to ask instead; the issuer cannot be asked.
    async fn can_change_password_grant(
        &self,
        issuer: &IssuerProfile,
        client_id: &str,
        allowed: bool,
    ) -> Result<(), IssuerError>;

    /// Gives a client the grant `password`, or takes it away, as an administrator of the issuer;
    /// what else is different afterwards is put back.
    ///
    /// # Errors
    /// The text says whether the client may be another one now.
    async fn change_password_grant(
        &self,
        issuer: &IssuerProfile,
        administrator: &SecretString,
        client_id: &str,
        allowed: bool,
    ) -> Result<GrantChange, GrantFailure>;
}

/// The part of the vault that is about passwords: which clients the site allowed the flow for.
#[async_trait]
pub trait PasswordFlows: Send + Sync + 'static {
    /// All of them; those that do not open are there with their error.
    async fn password_flows(&self) -> Result<Vec<Result<PasswordFlow, VaultError>>, VaultError>;

    /// That of one client.
    async fn password_flow(
        &self,
        issuer: &str,
        client_id: &str,
    ) -> Result<Option<Stored<PasswordFlow>>, VaultError>;

    /// Writes one if it still is at `expected`.
    async fn save_password_flow(
        &self,
        flow: &PasswordFlow,
        expected: Revision,
    ) -> Result<Revision, VaultError>;

    /// Removes that of one client, readable or not; whether there was one.
    async fn remove_password_flow(&self, issuer: &str, client_id: &str)
    -> Result<bool, VaultError>;
}
