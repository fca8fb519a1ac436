//! What a diagnosis asks an issuer: nothing that changes or uses up anything there.

use std::sync::PoisonError;

use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{
    IssuerClient, Peer,
    error::ErrorReply,
    form::Form,
    http::{Ask, Reply},
    identity::Moment,
    lane::Lane,
    redact::Redactor,
    token::Use,
};
use crate::account::{
    ClientAuth, ClientRecord, IssuerProfile, UnixTime,
    ports::{Checkup, IssuerError, RefreshError, Wanted},
};

/// It says to the issuer's people what it is.
const NO_TOKEN: &str = "no-token-iamctl-doctor-asks-for-the-client";

/// What the last answers of an issuer told beside their content.
#[derive(Default)]
pub(super) struct Seen {
    clock_ahead: Option<i64>,
    certificate: Option<Vec<u8>>,
}

/// A reply to introspection (RFC 7662 §2.2), as far as it matters.
#[derive(Deserialize)]
struct Inspected {
    active: bool,
}

impl Peer {
    /// Remembers what an answer tells of the issuer's clock and certificate.
    pub(super) fn note(&self, reply: &Reply, now: UnixTime) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(date) = reply.date {
            seen.clock_ahead = i64::try_from(i128::from(date.0) - i128::from(now.0)).ok();
        }
        if let Some(certificate) = &reply.certificate {
            seen.certificate = Some(certificate.clone());
        }
    }
}

impl IssuerClient {
    /// Reads the metadata anew, and says what answers told of clock and certificate.
    pub(super) async fn look_at(&self, profile: &IssuerProfile) -> Result<Checkup, IssuerError> {
        let metadata = self.metadata_of_now(profile).await?;
        let needed = [("token", &metadata.token), ("device login", &metadata.device_authorization)];
        let lacks = needed.iter().filter(|(_, endpoint)| !matches!(endpoint, Some(Ok(_))));
        let peer = self.peer(profile);
        let seen = peer.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Checkup {
            summary: metadata.summary(),
            lacks: lacks.map(|(name, _)| *name).collect(),
            clock_ahead: seen.clock_ahead,
            certificate_ends: seen.certificate.as_deref().and_then(end_of),
        })
    }

    /// Introspection of the refresh token: it stays as it is, also where each use replaces it.
    pub(super) async fn introspect(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
        refresh_token: &SecretString,
    ) -> Result<Option<bool>, IssuerError> {
        let metadata = self.metadata(profile).await?;
        let may = client.auth != ClientAuth::None && client.client_secret.is_some();
        let (Some(Ok(endpoint)), true) = (&metadata.introspection, may) else {
            return Ok(None);
        };
        let mut form = Form::new(None);
        form.add_secret("token", refresh_token);
        form.add("token_type_hint", "refresh_token");
        let authorization = form.authenticate(client);
        let ask = Ask {
            method: Method::POST,
            authorization,
            body: Some(form.into_body()),
            ..Ask::get(endpoint)
        };
        let reply = self.ask(profile, ask, Some(Lane::of_secret(refresh_token))).await?;
        if reply.status == 200
            && let Ok(Inspected { active }) = serde_json::from_slice(&reply.body)
        {
            return Ok(Some(active));
        }
        let secrets = client.client_secret.iter().chain([refresh_token]);
        Err(ErrorReply::read(profile, &reply, &Redactor::new(secrets).of_client(&client.client_id))
            .into_error())
    }
}

impl IssuerClient {
    /// The client at the token endpoint, with a refresh token that never was one. An issuer looks at
    /// the client first (RFC 6749 §3.2.1), public ones too: what it then says of the token is that
    /// it knows the client.
    pub(super) async fn try_client(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
    ) -> Result<bool, IssuerError> {
        let token = SecretString::from(NO_TOKEN);
        let wanted = Wanted::default();
        let usage = Use { lane: Some(Lane::of_client(client)), moment: Moment::Refresh };
        let asked = self.use_refresh_token(profile, client, &token, &wanted, usage).await;
        match asked.map_err(|failure| failure.error) {
            Err(RefreshError::Issuer(IssuerError::ClientRejected { .. })) => Ok(false),
            Err(RefreshError::Issuer(error)) => Err(error),
            Ok(_)
            | Err(
                RefreshError::Dead { .. }
                | RefreshError::ActionNeeded { .. }
                | RefreshError::Scope { .. }
                | RefreshError::Audience { .. },
            ) => Ok(true),
        }
    }
}

/// When a certificate ends (RFC 5280 §4.1.2.5).
fn end_of(der: &[u8]) -> Option<UnixTime> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    u64::try_from(certificate.validity().not_after.timestamp()).ok().map(UnixTime)
}
