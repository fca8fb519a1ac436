//! The clients that are not registered by iamd: the site's, and the public one of the issuer's file.

use super::{
    IssuerClient,
    registration::{DEVICE_GRANT, REFRESH_GRANT},
    secret_file,
};
use crate::account::{
    ClientAuth, ClientOwner, ClientPolicy, ClientRecord, IssuerProfile, ports::IssuerError,
};

impl IssuerClient {
    pub(super) fn site_client(&self, profile: &IssuerProfile) -> Result<ClientRecord, IssuerError> {
        let ClientPolicy::Fixed(fixed) = &profile.client else {
            let title = &profile.title;
            let text = format!(
                "this site has no client at {title} yet; administrators: see its file in issuers.d"
            );
            return Err(IssuerError::Local { text });
        };
        let secret = fixed.secret_file.as_deref().map(secret_file::read).transpose()?;
        if secret.is_none() && fixed.auth != ClientAuth::None {
            let title = &profile.title;
            let text = format!("the client for {title} has no secret_file; set it, or auth = none");
            return Err(IssuerError::Local { text });
        }
        let mut client = self.bare(profile, ClientOwner::Fixed, fixed.id.clone());
        client.client_secret = secret;
        client.auth = fixed.auth;
        Ok(client)
    }

    pub(super) fn named_public_client(
        &self,
        profile: &IssuerProfile,
    ) -> Result<ClientRecord, IssuerError> {
        let Some(id) = &profile.public_client else {
            let title = &profile.title;
            let text = format!("the site's issuer file for {title} names no public client");
            return Err(IssuerError::Unsupported { text });
        };
        Ok(self.bare(profile, ClientOwner::Public, id.clone()))
    }

    fn bare(&self, profile: &IssuerProfile, owner: ClientOwner, client_id: String) -> ClientRecord {
        ClientRecord {
            owner,
            issuer: profile.url.as_str().to_owned(),
            user: None,
            generation: 0,
            client_id,
            client_name: None,
            client_secret: None,
            client_secret_expires_at: None,
            auth: ClientAuth::None,
            registration_access_token: None,
            registration_client_uri: None,
            scopes: profile.scopes.clone(),
            grant_types: vec![DEVICE_GRANT.to_owned(), REFRESH_GRANT.to_owned()],
            registered_at: self.clock.wall(),
        }
    }
}
