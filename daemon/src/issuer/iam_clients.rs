//! INDIGO IAM's API for administrators, where it changes one thing of a client: the grant
//! `password`.
//!
//! There is no change of one thing: a PUT replaces the whole client. What it leaves out is lost (a
//! boolean becomes false, which turns rotation on; a secret becomes nobody's). So the client is
//! read, sent back whole with the one change, read again and compared, and put back as it was
//! where anything else is different.

use std::collections::BTreeSet;

use bytes::Bytes;
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Map, Value};
use url::Url;
use zeroize::Zeroizing;

use super::{
    IssuerClient, error::ErrorReply, form::bearer, http::Ask, lane::Lane, redact::Redactor,
};
use crate::account::{
    Dialect, IssuerProfile, PASSWORD_GRANT,
    ports::{GrantChange, IssuerError},
};

/// A client as INDIGO IAM has it, its secret included.
type Object = Map<String, Value>;

const GRANTS: &str = "grant_types";
const SECRET: &str = "client_secret";
/// What the issuer keeps up to date by itself.
const MOVING: [&str; 4] = ["last_used", "status_changed_on", "status_changed_by", "updated_at"];

/// How the administrator comes to the issuer, and to which client.
struct Way<'a> {
    profile: &'a IssuerProfile,
    administrator: &'a SecretString,
    client_id: &'a str,
    url: Url,
}

impl IssuerClient {
    /// Whether this issuer has the interface.
    pub(super) async fn has_client_interface(
        &self,
        profile: &IssuerProfile,
        client_id: &str,
        allowed: bool,
    ) -> Result<(), IssuerError> {
        if self.metadata(profile).await?.dialect == Dialect::IndigoIam {
            return Ok(());
        }
        Err(IssuerError::Unsupported {
            text: format!(
                "{} cannot be changed from here: ask the administrator of {} to {} grant type \
                 password for client {client_id}",
                profile.title,
                profile.url,
                if allowed { "allow" } else { "take away" }
            ),
        })
    }

    pub(super) async fn set_password_grant(
        &self,
        profile: &IssuerProfile,
        administrator: &SecretString,
        client_id: &str,
        allowed: bool,
    ) -> Result<GrantChange, IssuerError> {
        self.has_client_interface(profile, client_id, allowed).await?;
        let url = address(profile, client_id)?;
        let way = Way { profile, administrator, client_id, url };
        let before = self.managed_client(&way).await?;
        if has_grant(&before) == allowed {
            return Ok(GrantChange::AlreadySo);
        }
        way.may_be_sent_back(&before)?;
        let wanted = with_grant(&before, allowed);
        match self.replace(&way, &wanted).await {
            Ok(()) => {}
            // The answer is lost, perhaps not the request: what became of it is seen below.
            Err(IssuerError::Unreachable { maybe_processed: true, .. }) => {}
            Err(error) => return Err(error),
        }
        let after = self.managed_client(&way).await.map_err(|error| IssuerError::Refused {
            code: "unconfirmed".into(),
            text: format!(
                "whether the client {client_id} was changed at {} is not known: {error}; look at \
                 it in the dashboard there",
                profile.title
            ),
        })?;
        let differs = differences(&wanted, &after);
        if differs.is_empty() {
            return Ok(GrantChange::Changed);
        }
        if differences(&before, &after).is_empty() {
            let text = format!("{} left the client {client_id} as it was", profile.title);
            return Err(IssuerError::Refused { code: "unchanged".into(), text });
        }
        self.put_back(&way, &before, &differs).await
    }

    /// The client as it was; the error says whether that worked.
    async fn put_back(
        &self,
        way: &Way<'_>,
        before: &Object,
        differs: &BTreeSet<String>,
    ) -> Result<GrantChange, IssuerError> {
        let (title, id) = (&way.profile.title, way.client_id);
        let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
        let restored = match self.replace(way, before).await {
            Ok(()) => self.managed_client(way).await.map(|now| differences(before, &now)),
            Err(error) => Err(error),
        };
        let (code, text) = match restored {
            Ok(left) if left.is_empty() => (
                "put_back",
                format!(
                    "{title} changed more of the client {id} than the grant ({}), so that it was \
                     put back as it was; change it in the dashboard there",
                    names(differs)
                ),
            ),
            Ok(left) => (
                "not_put_back",
                format!(
                    "{title} changed more of the client {id} than the grant, and could not be \
                     brought to put it back: look at {} in the dashboard there",
                    names(&left)
                ),
            ),
            Err(error) => (
                "not_put_back",
                format!(
                    "{title} changed more of the client {id} than the grant ({}), and it could not \
                     be put back: {error}; look at it in the dashboard there",
                    names(differs)
                ),
            ),
        };
        tracing::error!(issuer = %way.profile.name, client = id, "{text}");
        Err(IssuerError::Refused { code: code.into(), text })
    }

    async fn managed_client(&self, way: &Way<'_>) -> Result<Object, IssuerError> {
        let ask = Ask { authorization: bearer(way.administrator), ..Ask::get(&way.url) };
        let reply = self.ask(way.profile, ask, Some(Lane::of_secret(way.administrator))).await?;
        let client = serde_json::from_slice::<Object>(&reply.body).ok();
        let named = client.as_ref().and_then(|client| client.get("client_id"));
        match (reply.status, client.as_ref(), named.and_then(Value::as_str)) {
            (200, Some(client), Some(id)) if id == way.client_id => Ok(client.clone()),
            (200, ..) => {
                let text =
                    format!("{} answered with something else than the client", way.profile.title);
                Err(IssuerError::Malformed { text })
            }
            _ => Err(way.refusal(&reply, None)),
        }
    }

    async fn replace(&self, way: &Way<'_>, client: &Object) -> Result<(), IssuerError> {
        let body = serde_json::to_vec(client)
            .map_err(|error| IssuerError::Local { text: error.to_string() })?;
        let ask = Ask {
            method: Method::PUT,
            authorization: bearer(way.administrator),
            body: Some(("application/json", Bytes::from_owner(Zeroizing::new(body)))),
            ..Ask::get(&way.url)
        };
        let reply = self.ask(way.profile, ask, Some(Lane::of_secret(way.administrator))).await?;
        match reply.status {
            200..=204 => Ok(()),
            _ => Err(way.refusal(&reply, secret_of(client).as_ref())),
        }
    }
}

impl Way<'_> {
    /// A client whose secret is not shown loses it by being sent back.
    fn may_be_sent_back(&self, client: &Object) -> Result<(), IssuerError> {
        let is_public =
            client.get("token_endpoint_auth_method").and_then(Value::as_str) == Some("none");
        if is_public || secret_of(client).is_some() {
            return Ok(());
        }
        let (title, id) = (&self.profile.title, self.client_id);
        Err(IssuerError::Refused {
            code: "secret_not_shown".into(),
            text: format!(
                "{title} does not show the secret of the client {id}, and a change from here would \
                 take it away from who uses it. In the dashboard of {}: Clients, {id}, Grant types, \
                 password, Save; then repeat this without --at-issuer",
                self.profile.url
            ),
        })
    }

    fn refusal(&self, reply: &super::Reply, secret: Option<&SecretString>) -> IssuerError {
        let redactor = Redactor::new(secret.into_iter().chain([self.administrator]));
        let error = ErrorReply::read(self.profile, reply, &redactor);
        let (title, id) = (&self.profile.title, self.client_id);
        match reply.status {
            401 | 403 => IssuerError::Refused {
                code: error.code(),
                text: format!(
                    "{}: you are no administrator there, or your account has not the scopes \
                     iam:admin.read and iam:admin.write",
                    error.text
                ),
            },
            404 => IssuerError::Refused {
                code: error.code(),
                text: format!("{title} has no client {id}"),
            },
            _ => error.into_error(),
        }
    }
}

/// `iam/api/clients/ID` below the issuer.
fn address(profile: &IssuerProfile, client_id: &str) -> Result<Url, IssuerError> {
    let mut url = profile.url.clone();
    let is_one = !client_id.is_empty() && client_id != "." && client_id != "..";
    match url.path_segments_mut() {
        Ok(mut path) if is_one => {
            path.pop_if_empty().extend(["iam", "api", "clients", client_id]);
        }
        _ => {
            let text = format!("{client_id:?} is no client that could be asked for");
            return Err(IssuerError::Refused { code: "no_client".into(), text });
        }
    }
    Ok(url)
}

fn has_grant(client: &Object) -> bool {
    let grants = client.get(GRANTS).and_then(Value::as_array);
    grants.is_some_and(|grants| grants.iter().any(|grant| grant == PASSWORD_GRANT))
}

fn with_grant(client: &Object, allowed: bool) -> Object {
    let mut client = client.clone();
    let mut grants: Vec<Value> =
        client.get(GRANTS).and_then(Value::as_array).cloned().unwrap_or_default();
    grants.retain(|grant| grant != PASSWORD_GRANT);
    if allowed {
        grants.push(PASSWORD_GRANT.into());
    }
    client.insert(GRANTS.into(), grants.into());
    client
}

fn secret_of(client: &Object) -> Option<SecretString> {
    let secret = client.get(SECRET).and_then(Value::as_str).filter(|secret| !secret.is_empty())?;
    Some(secret.to_owned().into())
}

/// The names of what is not the same. INDIGO IAM keeps lists and scopes as sets and leaves out what
/// is empty.
fn differences(one: &Object, other: &Object) -> BTreeSet<String> {
    let names = one.keys().chain(other.keys()).filter(|name| !MOVING.contains(&name.as_str()));
    let differs = names.filter(|name| {
        let plain = |object: &Object| object.get(*name).and_then(|value| plain(name, value));
        plain(one) != plain(other)
    });
    // Of a client's own making, perhaps: shown to an administrator.
    differs.map(|name| super::redact::printable(name, 60)).collect()
}

/// A value without what makes no difference.
fn plain(name: &str, value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) if name == "scope" => {
            let words: BTreeSet<&str> = text.split_whitespace().collect();
            Some(words.into_iter().collect::<Vec<_>>().join(" ").into())
        }
        Value::Array(values) if values.is_empty() => None,
        Value::Array(values) => {
            let mut texts: Vec<String> = values.iter().map(Value::to_string).collect();
            texts.sort();
            Some(texts.join(" ").into())
        }
        value => Some(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn lists_are_sets_and_what_is_empty_is_not_there() {
        let one = object(json!({
            "grant_types": ["a", "b"], "scope": "x  y", "redirect_uris": [], "contacts": null,
            "last_used": 1, "client_secret": "s",
        }));
        let same = object(json!({
            "grant_types": ["b", "a"], "scope": "y x", "client_description": "", "last_used": 2,
            "client_secret": "s",
        }));
        assert_eq!(differences(&one, &same), BTreeSet::new());
        let other = object(json!({
            "grant_types": ["b", "a", "c"], "scope": "y", "reuse_refresh_token": false,
            "client_secret": "t",
        }));
        let names = ["client_secret", "grant_types", "reuse_refresh_token", "scope"];
        assert_eq!(differences(&one, &other), names.map(str::to_owned).into());
    }

    #[test]
    fn a_client_is_one_segment_of_the_path_whatever_it_is_called() {
        let mut profile = crate::testing::profile();
        let of = |profile: &IssuerProfile, id| address(profile, id).map(String::from);
        assert_eq!(of(&profile, "a b").unwrap(), "https://issuer.test/iam/api/clients/a%20b");
        assert_eq!(
            of(&profile, "../x?y#z").unwrap(),
            "https://issuer.test/iam/api/clients/..%2Fx%3Fy%23z"
        );
        profile.url = "https://issuer.test/realm".parse().unwrap();
        assert_eq!(of(&profile, "c").unwrap(), "https://issuer.test/realm/iam/api/clients/c");
        for bad in ["", ".", ".."] {
            assert!(of(&profile, bad).is_err(), "{bad}");
        }
    }
}
