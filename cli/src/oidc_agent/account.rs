//! What stands in an opened account file: JSON, whose members differ a little between versions 2 to
//! 4 and 5. Only what an account here is made of is taken.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

/// An account that can be taken over.
#[derive(Debug)]
pub(crate) struct Account {
    /// Its short name, where the file says it.
    pub(crate) name: Option<String>,
    /// The issuer's URL.
    pub(crate) issuer: String,
    /// The client that the refresh token belongs to.
    pub(crate) client_id: Option<String>,
    /// Its secret; a public client has none.
    pub(crate) client_secret: Option<SecretString>,
    /// What is taken over.
    pub(crate) refresh_token: SecretString,
    /// The scopes it signed in with.
    pub(crate) scopes: Vec<String>,
    /// The audiences of its tokens.
    pub(crate) audiences: Vec<String>,
    /// Whether its client is the public one that oidc-agent has for the issuer.
    pub(crate) has_public_client: bool,
    /// Whether the file has what its client at the issuer can be deleted with.
    pub(crate) can_delete_client: bool,
    /// What of the file is not taken, for people.
    pub(crate) remarks: Vec<String>,
}

/// Why a file holds no account that can be taken over.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// Not the JSON of an account. Not even what is wrong with it: that would quote it.
    #[error("this is not an account of oidc-agent")]
    Foreign,
    /// It has no refresh token, but a mytoken.
    #[error("its token is a mytoken, which only the mytoken server that made it can use")]
    Mytoken(Option<String>),
    /// It was never signed in.
    #[error("there is no refresh token in it")]
    NoRefreshToken(Option<String>),
}

impl Unfit {
    /// The issuer, where the file says it: a sign-in there is the way out.
    pub(crate) fn issuer(&self) -> Option<&str> {
        match self {
            Self::Foreign => None,
            Self::Mytoken(issuer) | Self::NoRefreshToken(issuer) => issuer.as_deref(),
        }
    }
}

/// The members, of all versions. 4.x also writes the whole answer of a registration.
#[derive(Deserialize)]
struct Members {
    name: Option<String>,
    issuer_url: Option<String>,
    issuer: Option<String>,
    client_id: Option<String>,
    client_secret: Option<SecretString>,
    refresh_token: Option<SecretString>,
    /// Up to 4.x.
    scope: Option<String>,
    /// Since 5.0.
    auth_scope: Option<String>,
    audience: Option<String>,
    mytoken_url: Option<String>,
    mytoken_profile: Option<Value>,
    cert_path: Option<String>,
    #[serde(rename = "daeSetByUser")]
    has_own_device_endpoint: Option<Value>,
    registration_access_token: Option<SecretString>,
    /// Since 5.0.
    uses_pub_client: Option<Value>,
    password: Option<SecretString>,
}

impl Account {
    /// Reads an opened file.
    ///
    /// # Errors
    /// [`Unfit`].
    pub(crate) fn of(plaintext: &[u8]) -> Result<Self, Unfit> {
        let members: Members = serde_json::from_slice(plaintext).map_err(|_| Unfit::Foreign)?;
        let issuer = filled(members.issuer_url).or(filled(members.issuer));
        let profile = members.mytoken_profile.as_ref();
        if filled(members.mytoken_url).is_some() || profile.is_some_and(is_set) {
            return Err(Unfit::Mytoken(issuer));
        }
        let has_public_client = members.uses_pub_client.as_ref().is_some_and(is_set);
        let client_id = filled(members.client_id);
        let Some(issuer) = issuer.filter(|_| client_id.is_some() || has_public_client) else {
            return Err(Unfit::Foreign);
        };
        let Some(refresh_token) = given(members.refresh_token) else {
            return Err(Unfit::NoRefreshToken(Some(issuer)));
        };
        let words = |text: Option<String>| {
            filled(text).map_or_else(Vec::new, |text| {
                text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
            })
        };
        let mut remarks = Vec::new();
        if let Some(path) = filled(members.cert_path).filter(|path| !is_of_the_system(path)) {
            remarks.push(format!(
                "its certificates ({path}) are not taken: iamd trusts those of the node, and those \
                 that the site names for an issuer"
            ));
        }
        if members.has_own_device_endpoint.as_ref().is_some_and(is_set) {
            remarks.push(
                "its own device authorization endpoint is not taken: the site can name one for an \
                 issuer"
                    .to_owned(),
            );
        }
        let can_delete_client = given(members.registration_access_token).is_some();
        if can_delete_client {
            remarks.push(
                "the file has what its client at the issuer can be deleted with, which is not \
                 taken: without the file that client stays"
                    .to_owned(),
            );
        }
        if given(members.password).is_some() {
            remarks.push("your password in it is not taken".to_owned());
        }
        Ok(Self {
            name: filled(members.name),
            issuer,
            client_id,
            client_secret: given(members.client_secret),
            refresh_token,
            scopes: words(filled(members.auth_scope).or(members.scope)),
            audiences: words(members.audience),
            has_public_client,
            can_delete_client,
            remarks,
        })
    }
}

/// The text, unless there is nothing in it; and nothing that no message could carry.
fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty() && !text.contains('\0'))
}

fn given(secret: Option<SecretString>) -> Option<SecretString> {
    secret.filter(|secret| !secret.expose_secret().trim().is_empty())
}

/// Of flags that some versions write as numbers, and of objects that may be empty.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(on) => *on,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty() && text != "0",
        Value::Array(values) => !values.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

/// oidc-agent writes the bundle of the distribution into each file.
fn is_of_the_system(path: &str) -> bool {
    ["/etc/ssl/", "/etc/pki/"].iter().any(|place| path.starts_with(place))
}
