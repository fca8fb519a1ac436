//! Request bodies and client authentication (RFC 6749 §2.3.1), in memory that is wiped.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use crate::account::{AudienceParameter, AudienceSet, ClientAuth, ClientRecord};

/// The content type of [`Form`].
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// A form (`application/x-www-form-urlencoded`).
pub(super) struct Form(Zeroizing<String>);

impl Form {
    /// A form for this grant; empty without one.
    pub(super) fn new(grant_type: Option<&str>) -> Self {
        let mut form = Self(Zeroizing::new(String::with_capacity(1024)));
        if let Some(grant_type) = grant_type {
            form.add("grant_type", grant_type);
        }
        form
    }

    pub(super) fn add(&mut self, name: &str, value: &str) {
        // Made large enough beforehand: a string that grows leaves its old self in memory.
        let most = self.0.len() + 3 * (name.len() + value.len()) + 2;
        if most > self.0.capacity() {
            let mut larger = Zeroizing::new(String::with_capacity(2 * most));
            larger.push_str(&self.0);
            self.0 = larger;
        }
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.extend(byte_serialize(name.as_bytes()));
        self.0.push('=');
        self.0.extend(byte_serialize(value.as_bytes()));
    }

    pub(super) fn add_secret(&mut self, name: &str, value: &SecretString) {
        self.add(name, value.expose_secret());
    }

    /// The audiences, as this issuer takes them.
    pub(super) fn add_audiences(&mut self, parameter: AudienceParameter, audiences: &AudienceSet) {
        match parameter {
            _ if audiences.is_empty() => {}
            AudienceParameter::Audience => self.add("audience", &audiences.to_string()),
            AudienceParameter::Resource => audiences.iter().for_each(|a| self.add("resource", a)),
        }
    }

    /// Authenticates the client; gives the header where it goes into one.
    pub(super) fn authenticate(&mut self, client: &ClientRecord) -> Option<HeaderValue> {
        match (client.auth, &client.client_secret) {
            (ClientAuth::ClientSecretBasic, Some(secret)) => Some(basic(&client.client_id, secret)),
            (ClientAuth::ClientSecretPost, Some(secret)) => {
                self.add("client_id", &client.client_id);
                self.add_secret("client_secret", secret);
                None
            }
            (ClientAuth::None, _) | (_, None) => {
                self.add("client_id", &client.client_id);
                None
            }
        }
    }

    /// The body; wiped when the client is done with it.
    pub(super) fn into_body(self) -> (&'static str, Bytes) {
        (FORM, Bytes::from_owner(self.0))
    }
}

/// `Authorization: Basic`, both parts form-encoded first: there are client ids with `$` and `:`.
fn basic(client_id: &str, secret: &SecretString) -> HeaderValue {
    let mut pair = Form::new(None);
    pair.0.extend(byte_serialize(client_id.as_bytes()));
    pair.0.push(':');
    let encoded: Zeroizing<String> =
        Zeroizing::new(byte_serialize(secret.expose_secret().as_bytes()).collect());
    pair.0.push_str(&encoded);
    let mut value = Zeroizing::new(String::with_capacity(8 + pair.0.len() * 4 / 3 + 4));
    value.push_str("Basic ");
    BASE64_STANDARD.encode_string(pair.0.as_bytes(), &mut value);
    sensitive(value)
}

/// `Authorization: Bearer`.
pub(super) fn bearer(token: &SecretString) -> Option<HeaderValue> {
    let token = token.expose_secret();
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let mut value = Zeroizing::new(String::with_capacity(7 + token.len()));
    value.push_str("Bearer ");
    value.push_str(token);
    Some(sensitive(value))
}

/// Base64 and printable ASCII are always header values.
fn sensitive(value: Zeroizing<String>) -> HeaderValue {
    let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(value))
        .unwrap_or_else(|_| HeaderValue::from_static(""));
    header.set_sensitive(true);
    header
}
