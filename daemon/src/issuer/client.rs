//! The end of a registration (RFC 7592 §2.3), and the client that a site configured.

use reqwest::Method;
use url::Url;

use super::{
    IssuerClient,
    error::ErrorReply,
    form::bearer,
    http::Ask,
    redact::Redactor,
    registration::{DEVICE_GRANT, REFRESH_GRANT},
    secret_file,
};
use crate::account::{
    ClientAuth, ClientOwner, ClientPolicy, ClientRecord, IssuerProfile, ports::IssuerError,
};

impl IssuerClient {
    pub(super) async fn delete_client(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
    ) -> Result<(), IssuerError> {
        let (Some(token), Some(uri)) =
            (&client.registration_access_token, &client.registration_client_uri)
        else {
            return Err(IssuerError::Unsupported {
                text: format!("{} gave no way to delete the client", profile.title),
            });
        };
        let Ok(url) = Url::parse(uri) else {
            let title = &profile.title;
            let text = format!("{title}: registration_client_uri is no URL");
            return Err(IssuerError::Malformed { text });
        };
        let ask = Ask { method: Method::DELETE, authorization: bearer(token), ..Ask::get(&url) };
        let reply = self.ask(profile, ask, false).await?;
        let error = match reply.status {
            // Gone, or gone before (requirement 22).
            200..=204 | 401 | 404 | 410 => return Ok(()),
            _ => ErrorReply::read(profile, &reply, &Redactor::new([token])),
        };
        // INDIGO IAM: the client, and so its token, is not there any more.
        if error.status == 400 && error.words.contains("invalid registration access token") {
            return Ok(());
        }
        Err(error.into_error())
    }

    pub(super) fn site_client(&self, profile: &IssuerProfile) -> Result<ClientRecord, IssuerError> {
        let ClientPolicy::Fixed(fixed) = &profile.client else {
            let title = &profile.title;
            return Err(IssuerError::Local { text: format!("no client is set for {title}") });
        };
        let secret = fixed.secret_file.as_deref().map(secret_file::read).transpose()?;
        if secret.is_none() && fixed.auth != ClientAuth::None {
            let title = &profile.title;
            let text = format!("the client for {title} has no secret_file; set it, or auth = none");
            return Err(IssuerError::Local { text });
        }
        Ok(ClientRecord {
            owner: ClientOwner::Fixed,
            issuer: profile.url.as_str().to_owned(),
            generation: 0,
            client_id: fixed.id.clone(),
            client_secret: secret,
            client_secret_expires_at: None,
            auth: fixed.auth,
            registration_access_token: None,
            registration_client_uri: None,
            scopes: profile.scopes.clone(),
            grant_types: vec![DEVICE_GRANT.to_owned(), REFRESH_GRANT.to_owned()],
            registered_at: self.clock.wall(),
        })
    }
}
