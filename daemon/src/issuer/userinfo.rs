//! The userinfo endpoint (OpenID Connect Core 1.0 §5.3): asked only where a site requires a claim
//! that the ID token does not have. TLS vouches for the reply, and that it is about the person the
//! access token is for.

use secrecy::SecretString;

use super::{
    IssuerClient, error::ErrorReply, form::bearer, http::Ask, identity::Claims, lane::Lane,
    metadata::Metadata, redact::Redactor,
};
use crate::account::{IssuerProfile, ports::IssuerError};

impl IssuerClient {
    /// What the issuer says of the person that an access token is for; `None` where there is no
    /// such endpoint, or this token does not open it.
    ///
    /// # Errors
    /// It could not be asked, or its answer cannot be read: it may be signed or encrypted, which
    /// nobody asked for.
    pub(super) async fn userinfo(
        &self,
        profile: &IssuerProfile,
        metadata: &Metadata,
        access_token: &SecretString,
    ) -> Result<Option<Claims>, IssuerError> {
        let url = match &metadata.userinfo {
            None => return Ok(None),
            Some(url) => url.as_ref().map_err(Clone::clone)?,
        };
        let ask = Ask { authorization: bearer(access_token), ..Ask::get(url) };
        // It is about one person: what goes wrong says little of the issuer.
        let reply = self.ask(profile, ask, Some(Lane::of_secret(access_token))).await?;
        match reply.status {
            200 => serde_json::from_slice(&reply.body).map(Some).map_err(|_| {
                let text = format!("{}: the userinfo reply is not JSON", profile.title);
                IssuerError::Malformed { text }
            }),
            400 | 401 | 403 | 404 => Ok(None),
            _ => {
                let error = ErrorReply::read(profile, &reply, &Redactor::new([access_token]));
                Err(error.into_error())
            }
        }
    }
}
