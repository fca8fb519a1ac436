//! Asking for a device code (RFC 8628 §3.1, §3.2). What comes back is shown on terminals and in
//! login notices: it is checked character by character.

use std::time::Duration;

use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::{
    IssuerClient, address::is_loopback, classify, error::ErrorReply, form::Form, http::Ask,
    lane::Lane, metadata::need, redact::Redactor, reply, token,
};
use crate::account::{
    AudienceSet, ClientAuth, ClientRecord, IssuerProfile, ScopeSet,
    ports::{DeviceAuthorization, IssuerError},
};

/// `expires_in` is required, but INDIGO IAM leaves it out for some clients.
const DEFAULT_EXPIRES_IN: Duration = Duration::from_secs(600);
/// RFC 8628 §3.2.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
const LONGEST_INTERVAL: Duration = Duration::from_secs(300);
/// Nobody stays at a login for longer.
const LONGEST_EXPIRES_IN: Duration = Duration::from_secs(24 * 3600);

#[derive(Deserialize)]
struct DeviceReply {
    device_code: Option<SecretString>,
    #[serde(default, deserialize_with = "reply::text")]
    user_code: Option<String>,
    #[serde(default, deserialize_with = "reply::text")]
    verification_uri: Option<String>,
    /// The name in early drafts, which some still use.
    #[serde(default, deserialize_with = "reply::text")]
    verification_url: Option<String>,
    #[serde(default, deserialize_with = "reply::text")]
    verification_uri_complete: Option<String>,
    #[serde(default, deserialize_with = "reply::seconds")]
    expires_in: Option<Duration>,
    #[serde(default, deserialize_with = "reply::seconds")]
    interval: Option<Duration>,
}

impl IssuerClient {
    pub(super) async fn device_code(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
        uid: u32,
        scopes: &ScopeSet,
        audiences: &AudienceSet,
    ) -> Result<DeviceAuthorization, IssuerError> {
        let metadata = self.metadata(profile).await?;
        let endpoint = &metadata.device_authorization;
        let endpoint = need(profile, endpoint, "device authorization", "device_authorization")?;
        if let Err(text) = token::check_audiences(metadata.audience_parameter, audiences) {
            return Err(IssuerError::Refused { code: "invalid_target".to_owned(), text });
        }
        if profile.identity.is_some() {
            // Nobody is sent to approve a sign-in that could not be checked.
            self.required_keys(profile, &metadata).await?;
        }
        let mut form = Form::new(None);
        let authorization = form.authenticate(client);
        if client.auth == ClientAuth::ClientSecretBasic && client.client_secret.is_some() {
            // INDIGO IAM wants it in the body, whatever the header says (requirement 9).
            form.add("client_id", &client.client_id);
        }
        if !scopes.is_empty() {
            form.add("scope", &scopes.to_string());
        }
        form.add_audiences(metadata.audience_parameter, audiences);
        let ask = Ask {
            method: Method::POST,
            authorization,
            body: Some(form.into_body()),
            ..Ask::get(endpoint)
        };
        let lane = if client.owner.is_of_one_account() {
            Lane::of_client(client).codes_of(uid)
        } else {
            Lane::of_codes_for(uid, client)
        };
        let reply = self.ask(profile, ask, Some(lane)).await?;
        if reply.status == 200
            && let Ok(mut device) = serde_json::from_slice::<DeviceReply>(&reply.body)
            && let Some(device_code) = device.device_code.take().filter(reply::is_sane)
        {
            return checked(profile, device_code, device);
        }
        let redactor = Redactor::new(client.client_secret.as_ref()).of_client(&client.client_id);
        let error = ErrorReply::read(profile, &reply, &redactor);
        if reply.status == 200 && error.passing().is_none() && error.code.is_empty() {
            let text = format!("{} gave no device code", profile.title);
            return Err(IssuerError::Malformed { text });
        }
        Err(classify::device(error, metadata.dialect))
    }
}

fn checked(
    profile: &IssuerProfile,
    device_code: SecretString,
    device: DeviceReply,
) -> Result<DeviceAuthorization, IssuerError> {
    let malformed = |what: &str| IssuerError::Malformed {
        text: format!("{}: the device code reply has {what}", profile.title),
    };
    let user_code = device.user_code.as_deref().map(str::trim).filter(|code| !code.is_empty());
    let user_code = user_code.ok_or_else(|| malformed("no user_code"))?;
    if user_code.len() > 64 || !user_code.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(malformed("a user_code that cannot be shown"));
    }
    let uri = device.verification_uri.or(device.verification_url);
    let uri = uri.ok_or_else(|| malformed("no verification_uri"))?;
    let url = shown_url(profile, &uri).ok_or_else(|| {
        malformed("a verification_uri that cannot be shown: https, visible ASCII")
    })?;
    // Scanned without being read: it may not lead elsewhere than the one that is.
    let complete = device.verification_uri_complete.filter(|complete| {
        shown_url(profile, complete).is_some_and(|complete| complete.origin() == url.origin())
    });
    let positive = |duration: &Duration| !duration.is_zero();
    Ok(DeviceAuthorization {
        device_code,
        user_code: user_code.to_owned(),
        verification_uri: uri,
        verification_uri_complete: complete,
        expires_in: device
            .expires_in
            .filter(positive)
            .map_or(DEFAULT_EXPIRES_IN, |expires_in| expires_in.min(LONGEST_EXPIRES_IN)),
        interval: device
            .interval
            .filter(positive)
            .map_or(DEFAULT_INTERVAL, |interval| interval.min(LONGEST_INTERVAL)),
    })
}

/// The URL, if people may be sent there: https (or the test issuer on this machine), nothing that
/// a terminal acts on, and no user name, which makes one host look like another.
fn shown_url(profile: &IssuerProfile, text: &str) -> Option<Url> {
    if text.len() > 2048 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let local = profile.listed
        && profile.url.scheme() == "http"
        && url.scheme() == "http"
        && url.host().is_some_and(|host| is_loopback(&host));
    let plain = url.username().is_empty() && url.password().is_none();
    (plain && (url.scheme() == "https" || local)).then_some(url)
}
