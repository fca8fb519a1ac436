//! INDIGO IAM's API for administrators, where it changes one thing of a client: the grant
//! `password`.
//!
//! There is no change of one thing: a PUT replaces the whole client. What it leaves out is lost (a
//! boolean becomes false, which turns rotation on; a secret becomes nobody's). So the client is
//! read, sent back whole with the one change, read again and compared, and put back as it was
//! where anything else is different, or where it cannot be seen whether it is; also after an answer
//! that does not say whether the PUT was taken (5xx, 429, 408, a redirect, none). Each step is tried a
//! few times: what is left half done, only an administrator there can mend, and is told by name.

use std::{collections::BTreeSet, time::Duration};

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
    ports::{GrantChange, GrantFailure, IssuerError},
};

/// A client as INDIGO IAM has it, its secret included.
type Object = Map<String, Value>;

const GRANTS: &str = "grant_types";
const SECRET: &str = "client_secret";
/// What the issuer keeps up to date by itself.
const MOVING: [&str; 4] = ["last_used", "status_changed_on", "status_changed_by", "updated_at"];

/// How often the client is read to be compared, and how often it is put back.
const TRIES: u32 = 3;
/// Between two tries; longer each time.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest wait for a circuit that is open: more would be no answer to the administrator.
const CIRCUIT: Duration = Duration::from_secs(20);
/// So many differences are told by name and value.
const TOLD: usize = 12;

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
    ) -> Result<GrantChange, GrantFailure> {
        self.has_client_interface(profile, client_id, allowed).await?;
        let url = address(profile, client_id)?;
        let way = Way { profile, administrator, client_id, url };
        let before = self.managed_client(&way).await?;
        if has_grant(&before) == allowed {
            return Ok(GrantChange::AlreadySo);
        }
        way.may_be_sent_back(&before)?;
        let wanted = with_grant(&before, allowed);
        let unknown = match self.replace(&way, &wanted).await {
            Ok(()) => None,
            // Whatever was answered, or not: what became of it is seen below.
            Err(Put::Unknown(error)) => Some(error),
            Err(Put::Refused(error)) => return Err(error.into()),
        };
        let after = match self.seen(&way).await {
            Ok(after) => after,
            Err(error) => {
                let why = format!(
                    "whether {} changed the client {client_id}, and how, could not be \
                                   seen ({error})",
                    profile.title
                );
                return self.put_back(&way, &before, &wanted, &why).await;
            }
        };
        let differs = differences(&wanted, &after);
        if differs.is_empty() {
            return Ok(GrantChange::Changed);
        }
        if differences(&before, &after).is_empty() {
            if let Some(error) = unknown {
                return Err(error.into());
            }
            let text = format!("{} left the client {client_id} as it was", profile.title);
            return Err(IssuerError::Refused { code: "unchanged".into(), text }.into());
        }
        let why = format!(
            "{} changed more of the client {client_id} than the grant ({})",
            profile.title,
            listed(&differs)
        );
        self.put_back(&way, &before, &after, &why).await
    }

    /// The client as it was; the error says whether that worked, and else what is left there.
    async fn put_back(
        &self,
        way: &Way<'_>,
        before: &Object,
        last_seen: &Object,
        why: &str,
    ) -> Result<GrantChange, GrantFailure> {
        let (mut left, mut failed) = (Left::Likely(last_seen.clone()), None);
        for round in 0..TRIES {
            if round > 0 {
                self.clock.sleep(PAUSE * round).await;
            }
            let mut sent = self.replace(way, before).await;
            if self.waited_out(sent.as_ref().err().map(Put::why)).await {
                sent = self.replace(way, before).await;
            }
            let mut seen = self.managed_client(way).await;
            if self.waited_out(seen.as_ref().err()).await {
                seen = self.managed_client(way).await;
            }
            // Also where the answer was lost or a refusal: what counts is what is there.
            match seen {
                Ok(now) if differences(before, &now).is_empty() => {
                    let text = format!(
                        "{why}, so that it was put back as it was; change it in the dashboard there"
                    );
                    tracing::error!(issuer = %way.profile.name, client = way.client_id, "{text}");
                    return Err(GrantFailure::PutBack(text));
                }
                Ok(now) => left = Left::Seen(now),
                Err(_) if sent.is_ok() => left = Left::Likely(before.clone()),
                Err(error) => failed = Some(error),
            }
            failed = sent.err().map(Put::into_why).or(failed);
        }
        let secrets: Vec<SecretString> =
            [before, last_seen, left.client()].into_iter().filter_map(secret_of).collect();
        let redactor = Redactor::new(secrets.iter().chain([way.administrator]));
        let failed = failed.map_or_else(String::new, |error| format!(" ({error})"));
        let text = format!(
            "{why}, and it could not be put back as it was, in {TRIES} tries{failed}. {}; look at it \
             in the dashboard there",
            left.told(way.client_id, before, &redactor)
        );
        tracing::error!(issuer = %way.profile.name, client = way.client_id, "{text}");
        Err(GrantFailure::NotPutBack(text))
    }

    /// The client as it is now, asked for more than once: an answer that is lost is no reason to
    /// write again.
    async fn seen(&self, way: &Way<'_>) -> Result<Object, IssuerError> {
        let mut round = 0;
        loop {
            let mut seen = self.managed_client(way).await;
            // The PUT may be what closed it.
            if round == 0 && self.waited_out(seen.as_ref().err()).await {
                seen = self.managed_client(way).await;
            }
            match seen {
                Ok(client) => return Ok(client),
                Err(error) if round + 1 >= TRIES => return Err(error),
                Err(_) => round += 1,
            }
            self.clock.sleep(PAUSE * round).await;
        }
    }

    /// Whether a circuit kept us from asking, and is over now.
    async fn waited_out(&self, error: Option<&IssuerError>) -> bool {
        match error {
            Some(IssuerError::CircuitOpen { retry_in, .. }) if *retry_in <= CIRCUIT => {
                self.clock.sleep(*retry_in).await;
                true
            }
            _ => false,
        }
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

    async fn replace(&self, way: &Way<'_>, client: &Object) -> Result<(), Put> {
        let body = serde_json::to_vec(client)
            .map_err(|error| Put::Refused(IssuerError::Local { text: error.to_string() }))?;
        let ask = Ask {
            method: Method::PUT,
            authorization: bearer(way.administrator),
            body: Some(("application/json", Bytes::from_owner(Zeroizing::new(body)))),
            ..Ask::get(&way.url)
        };
        let asked = self.ask(way.profile, ask, Some(Lane::of_secret(way.administrator))).await;
        let reply = match asked {
            Ok(reply) => reply,
            Err(
                error @ (IssuerError::Unreachable { maybe_processed: true, .. }
                | IssuerError::TooLong { .. }
                | IssuerError::Malformed { .. }),
            ) => return Err(Put::Unknown(error)),
            Err(error) => return Err(Put::Refused(error)),
        };
        let refusal = || way.refusal(&reply, secret_of(client).as_ref());
        match reply.status {
            200..=204 => Ok(()),
            // What stands in between may say these, of a request that was passed on.
            408 | 425 | 429 => Err(Put::Unknown(refusal())),
            400..=499 => Err(Put::Refused(refusal())),
            _ => Err(Put::Unknown(refusal())),
        }
    }
}

/// A client that was sent and not taken, as far as the answer says.
enum Put {
    /// It was not sent, or the issuer refused it: all is as it was.
    Refused(IssuerError),
    /// The issuer, or what stands before it, failed or did not answer: it may have been taken.
    Unknown(IssuerError),
}

impl Put {
    fn why(&self) -> &IssuerError {
        match self {
            Self::Refused(error) | Self::Unknown(error) => error,
        }
    }

    fn into_why(self) -> IssuerError {
        match self {
            Self::Refused(error) | Self::Unknown(error) => error,
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

/// What is at the issuer when we have to leave it.
enum Left {
    /// It was read.
    Seen(Object),
    /// It was sent there last, and cannot be read.
    Likely(Object),
}

impl Left {
    fn client(&self) -> &Object {
        match self {
            Self::Seen(client) | Self::Likely(client) => client,
        }
    }

    /// What is different from what was, name by name.
    fn told(&self, id: &str, before: &Object, redactor: &Redactor<'_>) -> String {
        let now = self.client();
        let names = differences(before, now);
        let told = names.iter().take(TOLD).map(|name| match (before.get(name), now.get(name)) {
            (_, None) if name == SECRET => format!("{name} is gone"),
            _ if name == SECRET => format!("{name} is another one"),
            (was, is) => {
                format!("{name} is {} and was {}", shown(is, redactor), shown(was, redactor))
            }
        });
        let more = names.len().checked_sub(TOLD + 1).map(|more| format!("{} more", more + 1));
        let differs: Vec<String> = told.chain(more).collect();
        match (self, differs.is_empty()) {
            (Self::Seen(_), _) => format!("Left there is: {}", differs.join("; ")),
            (Self::Likely(_), true) => {
                format!("The client {id} was sent there as it was, and could not be read again")
            }
            (Self::Likely(_), false) => {
                format!("It could not be read; left there may be: {}", differs.join("; "))
            }
        }
    }
}

/// A value of the client's, for an administrator.
fn shown(value: Option<&Value>, redactor: &Redactor<'_>) -> String {
    let text = match value {
        None | Some(Value::Null) => return "absent".into(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) => {
            let texts = values
                .iter()
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            texts.collect::<Vec<_>>().join(" ")
        }
        Some(value) => value.to_string(),
    };
    format!("\u{201c}{}\u{201d}", redactor.clean(&text))
}

fn listed(names: &BTreeSet<String>) -> String {
    names.iter().cloned().collect::<Vec<_>>().join(", ")
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
