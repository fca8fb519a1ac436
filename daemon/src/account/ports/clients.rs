//! What an issuer says of a client: at its registration (RFC 7591) and when that is read or changed
//! (RFC 7592).

use serde::{Deserialize, Serialize};

use super::IssuerError;
use crate::account::{ClientRecord, ScopeSet, UnixTime};

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

/// What the journal is told of a client, before anything else is done with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ClientStep {
    /// A registration is about to be asked for. The client has no identifier yet.
    Asked(ClientRecord),
    /// What its owner has at its issuer from now on.
    Newest {
        /// The client, with the credentials that its issuer gave last.
        client: ClientRecord,
        /// The identifier of the one whose place it takes; its own, where only its credentials
        /// changed; `None`: its owner had none.
        over: Option<String>,
    },
    /// Registered, and its owner's only if the account signs in with it; else it is to be deleted.
    Aside(ClientRecord),
}

impl ClientStep {
    /// The client that it is about.
    pub const fn client(&self) -> &ClientRecord {
        match self {
            Self::Asked(client) | Self::Aside(client) | Self::Newest { client, .. } => client,
        }
    }

    /// The client that takes the place of `now`, if it does: nobody has written since.
    pub fn newest(&self, now: Option<&ClientRecord>) -> Option<&ClientRecord> {
        let Self::Newest { client, over } = self else { return None };
        let takes = match now {
            Some(now) if now.client_id == client.client_id => client.generation >= now.generation,
            Some(now) => over.as_ref() == Some(&now.client_id),
            None => over.is_none(),
        };
        takes.then_some(client)
    }
}

/// A client that nobody uses any more and that its issuer has not deleted yet. One without an
/// identifier was about to be registered when the daemon ended: nobody can say whether it was.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Leftover {
    /// The client.
    pub client: ClientRecord,
    /// Since when nobody uses it.
    pub since: UnixTime,
    /// How often the issuer was asked to delete it.
    pub tries: u32,
    /// When it was asked last.
    pub tried_at: UnixTime,
}

impl Leftover {
    /// The most that are kept of one user, or of the site.
    pub const MOST: usize = 32;

    /// A client that is not needed from now on.
    pub const fn new(client: ClientRecord, since: UnixTime) -> Self {
        Self { client, since, tries: 0, tried_at: since }
    }
}
