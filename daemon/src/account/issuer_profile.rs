//! What the site says of an issuer. The configuration makes these; the issuer room reads them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{AudienceSet, IdentityRule, ScopeSet};

/// An issuer as the site wants it used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerProfile {
    /// The short name at this site; for an issuer the site did not list, its host name.
    pub name: String,
    /// The name for people.
    pub title: String,
    /// The issuer identifier (OpenID Connect Discovery 1.0 §3).
    pub url: Url,
    /// Whether the site lists it. One that it does not list must be https at a public address.
    pub listed: bool,
    /// How it departs from the RFCs; `None`: find out from its metadata.
    pub dialect: Option<Dialect>,
    /// What a sign-in asks for.
    pub scopes: ScopeSet,
    /// The audiences of tokens, unless the account says otherwise.
    pub audiences: AudienceSet,
    /// How an audience is asked for; `None`: as the dialect does.
    pub audience_parameter: Option<AudienceParameter>,
    /// Whose client is used.
    pub client: ClientPolicy,
    /// The public client that users may choose (`client_id`).
    pub public_client: Option<String>,
    /// The name a new client gets (RFC 7591 §2).
    pub client_name: String,
    /// A file with an initial access token for registration (RFC 7591 §1.2), root's.
    pub initial_access_token_file: Option<PathBuf>,
    /// Certificates to trust beside the system's: a PEM file or a directory of them.
    pub ca: Option<PathBuf>,
    /// Endpoints that replace or complete the issuer's metadata.
    pub endpoints: Overrides,
    /// What is required of who signs in.
    pub identity: Option<IdentityRule>,
    /// For whom it is asked; `None`: for the node. What the issuer's time is shared by, and whose an
    /// issuer is that the site does not list.
    pub user: Option<u32>,
}

/// How an issuer departs from the RFCs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// INDIGO IAM.
    IndigoIam,
    /// As written.
    Rfc,
}

/// The request parameter that carries an audience. Never both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AudienceParameter {
    /// `audience`, one parameter, space separated.
    Audience,
    /// `resource`, repeated (RFC 8707 §2): absolute URIs without a fragment.
    Resource,
}

/// Whose client an account uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientPolicy {
    /// One client for all users of the site, registered at first use.
    PerSite,
    /// One client per user, registered at first use.
    PerUser,
    /// The client the site configured.
    Fixed(FixedClient),
    /// One that the site has to register by hand, and has not configured yet.
    Missing,
}

/// A client that was registered by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedClient {
    /// `client_id`.
    pub id: String,
    /// A file with the secret, root's; none for a public client.
    pub secret_file: Option<PathBuf>,
    /// How it authenticates.
    pub auth: super::ClientAuth,
}

/// Endpoints by hand (requirement 14).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The discovery document itself.
    pub configuration: Option<Url>,
    /// Token endpoint.
    pub token: Option<Url>,
    /// Device authorization endpoint (RFC 8628 §3.1).
    pub device_authorization: Option<Url>,
    /// Registration endpoint (RFC 7591 §3).
    pub registration: Option<Url>,
    /// Revocation endpoint (RFC 7009).
    pub revocation: Option<Url>,
    /// Introspection endpoint (RFC 7662).
    pub introspection: Option<Url>,
    /// Key set (RFC 7517).
    pub jwks: Option<Url>,
    /// Userinfo endpoint.
    pub userinfo: Option<Url>,
}

impl IssuerProfile {
    /// The profile of an issuer that this user named and the site did not list.
    pub fn unlisted(url: Url, user: Option<u32>) -> Self {
        let host = url.host_str().unwrap_or_default().to_owned();
        let scopes = ["openid", "offline_access"];
        Self {
            name: host.clone(),
            title: host,
            url,
            listed: false,
            dialect: None,
            scopes: ScopeSet::parse(scopes).unwrap_or_default(),
            audiences: AudienceSet::default(),
            audience_parameter: None,
            // Never share a client between users at an issuer the site knows nothing of.
            client: ClientPolicy::PerUser,
            public_client: None,
            client_name: String::new(),
            initial_access_token_file: None,
            ca: None,
            endpoints: Overrides::default(),
            identity: None,
            user,
        }
    }

    /// The same, asked for this user.
    #[must_use]
    pub fn asked_by(self, uid: u32) -> Self {
        Self { user: Some(uid), ..self }
    }

    /// These scopes, and those without which the site could not tell who signs in.
    #[must_use]
    pub fn with_required(&self, scopes: ScopeSet) -> ScopeSet {
        match &self.identity {
            Some(rule) => scopes.union(&rule.scopes),
            None => scopes,
        }
    }
}
