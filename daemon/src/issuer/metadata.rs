//! What an issuer's metadata says, read with care. Pure; [`discovery`](super::discovery) fetches.
//!
//! `scopes_supported` is for people to choose from and nothing is ever measured by it: INDIGO IAM
//! lists only some of its scopes there, and a client that drops the others silently is broken.

use serde_json::{Map, Value};
use url::Url;

use super::{address, redact::printable};
use crate::account::{
    AudienceParameter, Dialect, IssuerProfile, ScopeSet,
    ports::{Cause, IssuerError},
};

/// A metadata document (OpenID Connect Discovery 1.0 §3, RFC 8414 §2), as it came.
pub(super) type Document = Map<String, Value>;

/// An endpoint: not named, named, or named in a way that cannot be used.
pub(super) type Endpoint = Option<Result<Url, IssuerError>>;

/// What is known of an issuer.
#[derive(Debug, Clone)]
pub(super) struct Metadata {
    /// Where it was found; nowhere, where the site says all of it.
    pub(super) found_at: Option<Url>,
    /// `issuer`, as it spells itself.
    pub(super) issuer: String,
    pub(super) token: Endpoint,
    pub(super) device_authorization: Endpoint,
    pub(super) registration: Endpoint,
    pub(super) revocation: Endpoint,
    pub(super) introspection: Endpoint,
    pub(super) jwks: Endpoint,
    pub(super) userinfo: Endpoint,
    /// `token_endpoint_auth_methods_supported`; empty when not said.
    pub(super) auth_methods: Vec<String>,
    /// `scopes_supported`; empty when not said.
    pub(super) scopes_supported: ScopeSet,
    pub(super) dialect: Dialect,
    pub(super) audience_parameter: AudienceParameter,
}

impl Metadata {
    /// What the site configured and what the issuer says, in this order of precedence.
    pub(super) fn new(profile: &IssuerProfile, document: &Document) -> Self {
        let by_hand = &profile.endpoints;
        let endpoint = |site: &Option<Url>, key| match site {
            Some(url) => Some(address::check_url(profile, url).map(|()| url.clone())),
            None => named(profile, document, key),
        };
        // Only INDIGO IAM has this one.
        let looks_like_iam = text(document, "scim_endpoint").is_some();
        let found = if looks_like_iam { Dialect::IndigoIam } else { Dialect::Rfc };
        let dialect = profile.dialect.unwrap_or(found);
        let by_dialect = match dialect {
            Dialect::IndigoIam => AudienceParameter::Audience,
            Dialect::Rfc => AudienceParameter::Resource,
        };
        Self {
            found_at: None,
            issuer: text(document, "issuer").unwrap_or(profile.url.as_str()).to_owned(),
            token: endpoint(&by_hand.token, "token_endpoint"),
            device_authorization: endpoint(
                &by_hand.device_authorization,
                "device_authorization_endpoint",
            ),
            registration: endpoint(&by_hand.registration, "registration_endpoint"),
            revocation: endpoint(&by_hand.revocation, "revocation_endpoint"),
            introspection: endpoint(&by_hand.introspection, "introspection_endpoint"),
            jwks: endpoint(&by_hand.jwks, "jwks_uri"),
            userinfo: endpoint(&by_hand.userinfo, "userinfo_endpoint"),
            auth_methods: texts(document, "token_endpoint_auth_methods_supported"),
            scopes_supported: ScopeSet::from_reply(&texts(document, "scopes_supported").join(" ")),
            dialect,
            audience_parameter: profile.audience_parameter.unwrap_or(by_dialect),
        }
    }

    /// The same, found there.
    pub(super) fn at(self, place: &Url) -> Self {
        Self { found_at: Some(place.clone()), ..self }
    }

    /// What was found, for a diagnosis.
    pub(super) fn summary(&self) -> String {
        let endpoints = [
            ("token", &self.token),
            ("device login", &self.device_authorization),
            ("registration", &self.registration),
            ("revocation", &self.revocation),
            ("keys", &self.jwks),
        ];
        let usable = |endpoint: &&Endpoint| matches!(endpoint, Some(Ok(_)));
        let list = |want: bool| -> Vec<&str> {
            let some = endpoints.iter().filter(|(_, endpoint)| usable(endpoint) == want);
            some.map(|(name, _)| *name).collect()
        };
        let dialect = match self.dialect {
            Dialect::IndigoIam => "INDIGO IAM",
            Dialect::Rfc => "standard",
        };
        let audience = match self.audience_parameter {
            AudienceParameter::Audience => "audience",
            AudienceParameter::Resource => "resource",
        };
        let (has, lacks) = (list(true), list(false));
        let lacks = match lacks.as_slice() {
            [] => String::new(),
            lacks => format!("; not for: {}", lacks.join(", ")),
        };
        let has = has.join(", ");
        format!("dialect {dialect}, audiences by `{audience}`; endpoints for: {has}{lacks}")
    }
}

/// The endpoint, or what is missing and how a site supplies it (requirement 14).
pub(super) fn need<'a>(
    profile: &IssuerProfile,
    endpoint: &'a Endpoint,
    what: &str,
    key: &str,
) -> Result<&'a Url, IssuerError> {
    match endpoint {
        Some(found) => found.as_ref().map_err(Clone::clone),
        None => Err(IssuerError::Unsupported {
            text: format!(
                "{} names no {what} endpoint; where it has one, the site sets endpoints.{key}",
                profile.title
            ),
        }),
    }
}

/// Whether the document is the configured issuer's (requirement 12).
///
/// # Errors
/// [`IssuerError::NoMetadata`] naming both.
pub(super) fn check_issuer(
    profile: &IssuerProfile,
    document: &Document,
) -> Result<(), IssuerError> {
    let configured = profile.url.as_str();
    match text(document, "issuer") {
        Some(says) if same_issuer(says, configured) => Ok(()),
        Some(says) => {
            let says = printable(says, 120);
            Err(other(format!("the issuer at {configured} says that it is {says}")))
        }
        None => Err(other(format!("the metadata at {configured} names no issuer"))),
    }
}

/// Equal but for one trailing slash: INDIGO IAM's metadata always has one, its tokens perhaps not.
pub(super) fn same_issuer(a: &str, b: &str) -> bool {
    a == b || a.strip_suffix('/') == Some(b) || b.strip_suffix('/') == Some(a)
}

/// Puts into `document` what only `other` has.
pub(super) fn complete(document: &mut Document, other: Document) {
    for (key, value) in other {
        document.entry(key).or_insert(value);
    }
}

fn named(profile: &IssuerProfile, document: &Document, key: &'static str) -> Endpoint {
    let value = text(document, key)?;
    let Ok(url) = Url::parse(value) else {
        let value = printable(value, 120);
        return Some(Err(malformed(format!("{}: {key} is no URL: {value}", profile.title))));
    };
    Some(address::check_url(profile, &url).map(|()| url))
}

fn text<'a>(document: &'a Document, key: &str) -> Option<&'a str> {
    document.get(key)?.as_str().filter(|text| !text.is_empty())
}

fn texts(document: &Document, key: &str) -> Vec<String> {
    let list = document.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn other(text: String) -> IssuerError {
    IssuerError::NoMetadata { text, cause: Cause::OtherIssuer }
}

fn malformed(text: String) -> IssuerError {
    IssuerError::Malformed { text }
}
