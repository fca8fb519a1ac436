//! The client configuration endpoint (RFC 7592): a registration is read, changed and deleted with
//! the token that its own answers carry, and any answer may bring a new one.

use bytes::Bytes;
use reqwest::{Method, header::HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use url::Url;

use super::{
    IssuerClient,
    error::ErrorReply,
    form::bearer,
    http::{Ask, Reply},
    lane::Lane,
    redact::{LONGEST_NAME, Redactor},
    registration::{left_out, words},
    reply,
};
use crate::account::{
    ClientRecord, IssuerProfile, ScopeSet, UnixTime,
    ports::{ClientChange, ClientMetadata, Deregistered, IssuerError, LeftOut, Managed},
};

/// What the issuer sets and a client must not send back (RFC 7592 §2.2); `created_at` is INDIGO
/// IAM's.
const MANAGED_BY_ISSUER: [&str; 5] = [
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
    "created_at",
];

impl IssuerClient {
    pub(super) async fn read_registration(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
    ) -> Result<Managed<ClientMetadata>, IssuerError> {
        let (url, authorization) = way(profile, client)?;
        let ask = Ask { authorization, ..Ask::get(&url) };
        let reply = self.ask(profile, ask, Lane::of_users_client(client)).await?;
        Ok(taken(profile, client, &reply, |now, json| {
            let json = json.unwrap_or_default();
            take_metadata(client, now, &json);
            ClientMetadata(json)
        }))
    }

    pub(super) async fn change_registration(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
        registered: &ClientMetadata,
        change: &ClientChange,
    ) -> Result<Managed<LeftOut>, IssuerError> {
        let (url, authorization) = way(profile, client)?;
        let wish = wish(client, registered, change);
        let body = serde_json::to_vec(&wish).map_err(|error| malformed(error.to_string()))?;
        let ask = Ask {
            method: Method::PUT,
            authorization,
            body: Some(("application/json", Bytes::from_owner(zeroize::Zeroizing::new(body)))),
            ..Ask::get(&url)
        };
        let reply = self.ask(profile, ask, Some(Lane::of_client(client))).await?;
        let before = client.scopes.clone();
        Ok(taken(profile, client, &reply, |now, json| {
            // What the answer does not name is as it was asked for.
            take_metadata(client, now, &wish);
            json.iter().for_each(|json| take_metadata(client, now, json));
            let grants = wish.get("grant_types").and_then(list).unwrap_or_default();
            // What it had may be taken away with a change of something else.
            left_out(change.scopes.as_ref().unwrap_or(&before), &words(&grants), now)
        }))
    }

    pub(super) async fn delete_client(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
    ) -> Result<Deregistered, IssuerError> {
        let (url, authorization) = way(profile, client)?;
        let ask = Ask { method: Method::DELETE, authorization, ..Ask::get(&url) };
        let reply = self.ask(profile, ask, Lane::of_users_client(client)).await?;
        let error = match reply.status {
            200..=204 => return Ok(Deregistered::Deleted),
            404 | 410 => return Ok(Deregistered::Gone),
            // RFC 7592 §2.3: of a client that is not there, and of a token that was replaced.
            401 => return Ok(Deregistered::Unconfirmed),
            _ => refusal(profile, client, &reply),
        };
        // The same at INDIGO IAM.
        if is_unknown_token(&error) {
            return Ok(Deregistered::Unconfirmed);
        }
        Err(error.into_error())
    }
}

/// Where the registration is, and the proof that it is ours.
fn way(
    profile: &IssuerProfile,
    client: &ClientRecord,
) -> Result<(Url, Option<HeaderValue>), IssuerError> {
    let (Some(token), Some(uri)) =
        (&client.registration_access_token, &client.registration_client_uri)
    else {
        let text = format!("{} gave no way to change or delete the client", profile.title);
        return Err(IssuerError::Unsupported { text });
    };
    match Url::parse(uri) {
        Ok(url) => Ok((url, bearer(token))),
        Err(_) => Err(malformed(format!("{}: registration_client_uri is no URL", profile.title))),
    }
}

/// The whole registration, changed, without what the issuer manages (requirement 21).
fn wish(
    client: &ClientRecord,
    registered: &ClientMetadata,
    change: &ClientChange,
) -> Map<String, Value> {
    let mut wish = registered.0.clone();
    MANAGED_BY_ISSUER.iter().for_each(|key| drop(wish.remove(*key)));
    wish.insert("client_id".into(), client.client_id.clone().into());
    // An issuer that keeps only a hash does not show it; RFC 7592 §2.2 wants the one we hold.
    match &client.client_secret {
        Some(secret) => wish.insert("client_secret".into(), secret.expose_secret().into()),
        None => wish.remove("client_secret"),
    };
    if let Some(scopes) = &change.scopes {
        wish.insert("scope".into(), scopes.to_string().into());
    }
    if let Some(name) = &change.name {
        wish.insert("client_name".into(), name.clone().into());
    }
    wish
}

/// The client and the rest of an answer. The credentials come first, and whatever the status:
/// the old ones may have ended with it (requirement 20).
fn taken<T>(
    profile: &IssuerProfile,
    before: &ClientRecord,
    reply: &Reply,
    read: impl FnOnce(&mut ClientRecord, Option<Map<String, Value>>) -> T,
) -> Managed<T> {
    let json = serde_json::from_slice::<Map<String, Value>>(&reply.body).ok();
    let mut client = before.clone();
    json.iter().for_each(|json| take_credentials(&mut client, json));
    let named = json.as_ref().and_then(|json| json.get("client_id")).and_then(Value::as_str);
    let answer = match (reply.status, named) {
        (200 | 201, Some(id)) if id == before.client_id => Ok(read(&mut client, json)),
        (204, None) => Ok(read(&mut client, None)),
        (200..=299, Some(_)) => {
            Err(malformed(format!("{} answered for another client", profile.title)))
        }
        (200..=299, None) => {
            Err(malformed(format!("{} answered without naming the client", profile.title)))
        }
        _ => {
            let error = refusal(profile, before, reply);
            if matches!(reply.status, 401 | 404 | 410) || is_unknown_token(&error) {
                Err(IssuerError::ClientRejected { text: error.text })
            } else {
                Err(error.into_error())
            }
        }
    };
    let changed = !same(before, &client);
    Managed { client, changed, answer }
}

fn take_credentials(client: &mut ClientRecord, json: &Map<String, Value>) {
    let secret = |key: &str| {
        let text = json.get(key)?.as_str()?;
        Some(SecretString::from(text.to_owned())).filter(reply::is_sane)
    };
    if let Some(token) = secret("registration_access_token") {
        client.registration_access_token = Some(token);
    }
    if let Some(secret) = secret("client_secret").filter(|_| client.client_secret.is_some()) {
        client.client_secret = Some(secret);
        let end = json.get("client_secret_expires_at").and_then(reply::number);
        client.client_secret_expires_at = match end {
            Some(0) => None,
            Some(end) => Some(UnixTime(end)),
            None => client.client_secret_expires_at,
        };
    }
    if let Some(uri) = json.get("registration_client_uri").and_then(Value::as_str)
        && Url::parse(uri).is_ok()
    {
        client.registration_client_uri = Some(uri.to_owned());
    }
}

fn take_metadata(before: &ClientRecord, client: &mut ClientRecord, json: &Map<String, Value>) {
    if let Some(scope) = json.get("scope").and_then(list) {
        client.scopes = ScopeSet::from_reply(&scope);
    }
    if let Some(grants) = json.get("grant_types").and_then(list).filter(|list| !list.is_empty()) {
        client.grant_types = words(&grants);
    }
    if let Some(name) = json.get("client_name").and_then(Value::as_str) {
        let known = secrets_of(before).chain(secrets_of(client));
        client.client_name = Some(Redactor::new(known).name(name, LONGEST_NAME));
    }
}

fn list(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(words) => {
            Some(words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "))
        }
        _ => None,
    }
}

fn same(a: &ClientRecord, b: &ClientRecord) -> bool {
    let exposed = |secret: &Option<SecretString>| {
        secret.as_ref().map(|secret| secret.expose_secret().to_owned())
    };
    let parts = |client: &ClientRecord| {
        (client.scopes.clone(), client.grant_types.clone(), client.client_name.clone())
    };
    exposed(&a.client_secret) == exposed(&b.client_secret)
        && exposed(&a.registration_access_token) == exposed(&b.registration_access_token)
        && a.registration_client_uri == b.registration_client_uri
        && a.client_secret_expires_at == b.client_secret_expires_at
        && parts(a) == parts(b)
}

fn refusal(profile: &IssuerProfile, client: &ClientRecord, reply: &Reply) -> ErrorReply {
    ErrorReply::read(profile, reply, &Redactor::new(secrets_of(client)))
}

fn secrets_of(client: &ClientRecord) -> impl Iterator<Item = &SecretString> {
    client.registration_access_token.iter().chain(&client.client_secret)
}

fn is_unknown_token(error: &ErrorReply) -> bool {
    error.status == 400 && error.words.contains("invalid registration access token")
}

fn malformed(text: String) -> IssuerError {
    IssuerError::Malformed { text }
}
