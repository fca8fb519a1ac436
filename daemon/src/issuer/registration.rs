//! Registering a client (RFC 7591). Issuers differ most here: in what they insist on, in what they
//! leave out of the answer, and in how they say no.

use bytes::Bytes;
use reqwest::Method;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::{
    IssuerClient,
    error::ErrorReply,
    form::bearer,
    http::Ask,
    lane::Lane,
    metadata::{Metadata, need},
    redact::{LONGEST_NAME, Redactor},
    reply, secret_file,
};
use crate::account::{
    ClientAuth, ClientOwner, ClientRecord, IssuerProfile, ScopeSet, UnixTime,
    ports::{IssuerError, LeftOut, Registration},
};

/// The grants that a client of ours needs.
pub(super) const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
pub(super) const REFRESH_GRANT: &str = "refresh_token";
/// Where no browser is ever sent; for issuers that insist on a redirect URI.
const LOOPBACK: &str = "http://127.0.0.1/";

/// Client metadata (RFC 7591 §2), only what is needed: each more is a reason to refuse.
#[derive(Serialize)]
struct Wish<'a> {
    client_name: &'a str,
    grant_types: [&'a str; 2],
    /// Empty: the default would be `code`, which needs another grant.
    response_types: [&'a str; 0],
    token_endpoint_auth_method: ClientAuth,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_uris: Option<[&'a str; 1]>,
}

/// Client information (RFC 7591 §3.2.1). Only `client_id` is always there: INDIGO IAM leaves out
/// `client_secret_expires_at`, and empty lists.
#[derive(Deserialize)]
struct Granted {
    client_id: Option<String>,
    client_secret: Option<SecretString>,
    #[serde(default, deserialize_with = "reply::instant")]
    client_secret_expires_at: Option<UnixTime>,
    registration_access_token: Option<SecretString>,
    #[serde(default, deserialize_with = "reply::text")]
    registration_client_uri: Option<String>,
    #[serde(default, deserialize_with = "reply::list")]
    grant_types: Option<String>,
    #[serde(default, deserialize_with = "reply::list")]
    scope: Option<String>,
    #[serde(default, deserialize_with = "reply::text")]
    client_name: Option<String>,
    #[serde(default, deserialize_with = "reply::text")]
    token_endpoint_auth_method: Option<String>,
}

impl IssuerClient {
    pub(super) async fn register_client(
        &self,
        profile: &IssuerProfile,
        owner: ClientOwner,
        initial_access_token: Option<&SecretString>,
    ) -> Result<Registration, IssuerError> {
        let metadata = self.metadata(profile).await?;
        let endpoint = need(profile, &metadata.registration, "registration", "registration")?;
        let initial = match (initial_access_token, &profile.initial_access_token_file) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(file)) => Some(secret_file::read(file)?),
            (None, None) => None,
        };
        let portable = portable(&profile.client_name);
        let mut name = match profile.client_name.chars().count() {
            4..=256 => profile.client_name.as_str(),
            _ => portable.as_str(),
        };
        let mut redirect = None;
        loop {
            let wish = Wish {
                client_name: name,
                grant_types: [DEVICE_GRANT, REFRESH_GRANT],
                response_types: [],
                token_endpoint_auth_method: auth_method(&metadata),
                scope: profile.scopes.to_string(),
                redirect_uris: redirect,
            };
            let refusal =
                match self.wish(profile, &owner, endpoint, &wish, initial.as_ref()).await? {
                    Ok(granted) => {
                        let initial = initial.as_ref();
                        return self.registered(profile, owner, &wish, granted, initial).await;
                    }
                    Err(refusal) => refusal,
                };
            let words = Zeroizing::new(format!("{} {}", refusal.code, *refusal.words));
            // At most two more: each cure is tried once.
            if redirect.is_none() && words.contains("redirect") {
                redirect = Some([LOOPBACK]);
            } else if name != portable && is_about_name(&words) {
                name = &portable;
            } else {
                return Err(refusal.into_error());
            }
        }
    }

    /// One registration request; the inner error is a refusal that may have a cure.
    async fn wish(
        &self,
        profile: &IssuerProfile,
        owner: &ClientOwner,
        endpoint: &Url,
        wish: &Wish<'_>,
        initial: Option<&SecretString>,
    ) -> Result<Result<Granted, ErrorReply>, IssuerError> {
        let body = serde_json::to_vec(wish).map_err(|error| malformed(error.to_string()))?;
        let ask = Ask {
            method: Method::POST,
            authorization: initial.and_then(bearer),
            body: Some(("application/json", Bytes::from(body))),
            ..Ask::get(endpoint)
        };
        let reply = self.ask(profile, ask, Lane::of_owner(owner)).await?;
        // 201 is the standard's, 200 some issuers' (requirement 17).
        if matches!(reply.status, 200 | 201)
            && let Ok(granted) = serde_json::from_slice::<Granted>(&reply.body)
            && granted.client_id.is_some()
        {
            return Ok(Ok(granted));
        }
        let error = ErrorReply::read(profile, &reply, &Redactor::new(initial));
        if matches!(reply.status, 200..=299) {
            let title = &profile.title;
            return Err(malformed(format!("{title} registered a client but names none")));
        }
        match error.passing() {
            Some(error) => Err(error),
            None => Ok(Err(error)),
        }
    }

    async fn registered(
        &self,
        profile: &IssuerProfile,
        owner: ClientOwner,
        wish: &Wish<'_>,
        granted: Granted,
        initial: Option<&SecretString>,
    ) -> Result<Registration, IssuerError> {
        let grant_types = granted.grant_types.as_deref().map(words).unwrap_or_default();
        let scopes = match &granted.scope {
            Some(scope) => ScopeSet::from_reply(scope),
            None => profile.scopes.clone(),
        };
        let secret = granted.client_secret.filter(reply::is_sane);
        let method = granted.token_endpoint_auth_method.as_deref();
        let auth = granted_auth(profile, method, wish.token_endpoint_auth_method, secret.is_some());
        let token = granted.registration_access_token.filter(reply::is_sane);
        let known = Redactor::new(initial.into_iter().chain(&secret).chain(&token));
        let name =
            known.name(granted.client_name.as_deref().unwrap_or(wish.client_name), LONGEST_NAME);
        let client = ClientRecord {
            owner,
            issuer: profile.url.as_str().to_owned(),
            user: None,
            generation: 0,
            client_id: granted.client_id.unwrap_or_default(),
            client_name: Some(name),
            // 0 is the standard's "never", absent is INDIGO IAM's.
            client_secret_expires_at: granted.client_secret_expires_at.filter(|at| at.0 != 0),
            client_secret: secret,
            auth: auth.clone().unwrap_or(ClientAuth::None),
            registration_access_token: token,
            registration_client_uri: granted.registration_client_uri,
            scopes,
            registered_at: self.clock.wall(),
            grant_types: match grant_types.as_slice() {
                [] => wish.grant_types.map(str::to_owned).to_vec(),
                _ => grant_types,
            },
        };
        let usable = auth.and_then(|_| self.check_client(profile, &client));
        if let Err(error) = usable {
            // Nobody would know of it: take it back, if that can be done.
            let _ = self.delete_client(profile, &client).await;
            return Err(error);
        }
        let grants = wish.grant_types.map(str::to_owned);
        let left_out = left_out(&profile.scopes, &grants, &client);
        Ok(Registration { client, left_out })
    }

    fn check_client(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
    ) -> Result<(), IssuerError> {
        let title = &profile.title;
        let id = &client.client_id;
        if id.is_empty() || id.len() > 1024 || !id.bytes().all(|b| matches!(b, b' '..=b'~')) {
            return Err(malformed(format!("{title} gave a client_id that cannot be used")));
        }
        if client.grant_types.iter().any(|grant| grant == DEVICE_GRANT) {
            return Ok(());
        }
        Err(IssuerError::Unsupported {
            text: format!(
                "{title} registers clients, but not for device logins; ask it for a client and set fixed_client.id"
            ),
        })
    }
}

/// Basic, unless the issuer says that it only takes the secret in the body.
fn auth_method(metadata: &Metadata) -> ClientAuth {
    let takes = |method: &str| metadata.auth_methods.iter().any(|m| m == method);
    if !takes("client_secret_basic") && takes("client_secret_post") {
        ClientAuth::ClientSecretPost
    } else {
        ClientAuth::ClientSecretBasic
    }
}

fn granted_auth(
    profile: &IssuerProfile,
    method: Option<&str>,
    asked: ClientAuth,
    has_secret: bool,
) -> Result<ClientAuth, IssuerError> {
    match (method, has_secret) {
        (_, false) | (Some("none"), _) => Ok(ClientAuth::None),
        (Some("client_secret_basic"), true) => Ok(ClientAuth::ClientSecretBasic),
        (Some("client_secret_post"), true) => Ok(ClientAuth::ClientSecretPost),
        (None, true) => Ok(asked),
        (Some(_), true) => Err(IssuerError::Unsupported {
            text: format!("{} wants clients to authenticate in a way iamd cannot", profile.title),
        }),
    }
}

/// The name in the characters that every issuer takes (requirement 24), 4 to 256 of them.
fn portable(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == ' ' || c == '-';
    let name: String = name.chars().map(|c| if fits(c) { c } else { '-' }).take(256).collect();
    match name.trim() {
        "" => "iamd".to_owned(),
        short if short.len() < 4 => format!("iamd {short}"),
        name => name.to_owned(),
    }
}

fn is_about_name(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    ["client_name", "client name", "clientname", "invalid_client_metadata"]
        .iter()
        .any(|word| words.contains(word))
}

/// What was asked for and is not at the client (requirement 18).
pub(super) fn left_out(scopes: &ScopeSet, grants: &[String], client: &ClientRecord) -> LeftOut {
    let grants = grants.iter().filter(|grant| !client.grant_types.contains(grant));
    LeftOut {
        scopes: scopes.filtered(|scope| !client.scopes.contains(scope)),
        grants: grants.cloned().collect(),
    }
}

pub(super) fn words(list: &str) -> Vec<String> {
    list.split(' ').filter(|word| !word.is_empty()).take(32).map(str::to_owned).collect()
}

fn malformed(text: String) -> IssuerError {
    IssuerError::Malformed { text }
}
