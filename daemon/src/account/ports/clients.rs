//! What an issuer says of a client: at its registration (RFC 7591) and when that is read or changed
//! (RFC 7592).

use super::IssuerError;
use crate::account::{ClientRecord, ScopeSet};

/// What a registration gave.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The client, to be kept before it is used (requirement 19).
    pub client: ClientRecord,
    /// What the issuer left out without a word.
    pub left_out: LeftOut,
}

/// What was asked for a client and is not in the answer (requirement 18).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Scopes.
    pub scopes: ScopeSet,
    /// Grants.
    pub grants: Vec<String>,
}

/// An answer of the client configuration endpoint (RFC 7592 §3).
#[derive(Debug, Clone)]
pub struct Managed<T> {
    /// The client with the credentials of the answer; to be kept before anything else, whatever
    /// the rest says (requirement 20).
    pub client: ClientRecord,
    /// Whether the answer changed the client.
    pub changed: bool,
    /// What else the answer was.
    pub answer: Result<T, IssuerError>,
}

/// A registration as the issuer has it (RFC 7592 §3), whole, so that an update can send back what
/// it does not change (requirement 21). May hold the secret: prints nothing.
#[derive(Clone, Default)]
pub struct ClientMetadata(pub serde_json::Map<String, serde_json::Value>);

impl std::fmt::Debug for ClientMetadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientMetadata")
    }
}

/// What became of a client that was to be deleted (RFC 7592 §2.3). Whatever it is, there is nothing
/// more to do about it from here (requirement 22).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deregistered {
    /// The issuer deleted it.
    Deleted,
    /// The issuer says that there is none.
    Gone,
    /// The issuer does not accept its registration access token: it is gone, or stays.
    Unconfirmed,
}

/// What is to be different at a registration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientChange {
    /// All scopes, instead of those it has.
    pub scopes: Option<ScopeSet>,
    /// `client_name`.
    pub name: Option<String>,
}
