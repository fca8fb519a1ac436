//! Revoking a token (RFC 7009).

use reqwest::Method;
use secrecy::SecretString;

use super::{
    IssuerClient, error::ErrorReply, form::Form, http::Ask, lane::Lane, metadata::need,
    redact::Redactor,
};
use crate::account::{ClientRecord, Dialect, IssuerProfile, ports::IssuerError};

impl IssuerClient {
    pub(super) async fn revoke_token(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
        token: &SecretString,
        hint: &str,
    ) -> Result<(), IssuerError> {
        let metadata = self.metadata(profile).await?;
        let endpoint = need(profile, &metadata.revocation, "revocation", "revocation")?;
        let mut form = Form::new(None);
        form.add_secret("token", token);
        form.add("token_type_hint", hint);
        let authorization = form.authenticate(client);
        let ask = Ask {
            method: Method::POST,
            authorization,
            body: Some(form.into_body()),
            ..Ask::get(endpoint)
        };
        let lane = if client.owner.is_of_one_account() {
            Some(Lane::of_client(client))
        } else {
            profile.user.map(|uid| Lane::of_revocations_for(uid, client))
        };
        let reply = self.ask(profile, ask, lane).await?;
        let secrets = client.client_secret.iter().chain([token]);
        match (reply.status, metadata.dialect) {
            (200..=299, _) => Ok(()),
            // The token is not this client's any more, or never was: nothing left to do.
            (403, Dialect::IndigoIam) => Ok(()),
            _ => {
                let error = ErrorReply::read(
                    profile,
                    &reply,
                    &Redactor::new(secrets).of_client(&client.client_id),
                );
                // Unknown to it, though RFC 7009 §2.2 wants 200 for that.
                if matches!(error.code.as_str(), "invalid_token" | "invalid_grant") {
                    return Ok(());
                }
                Err(error.into_error())
            }
        }
    }
}
