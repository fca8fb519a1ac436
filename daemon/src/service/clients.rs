//! Which client an account signs in with: the configured one, or one that is registered at first
//! use, kept before it is used, and never twice for the same purpose.

use crate::{
    account::{
        ClientOwner, ClientPolicy, ClientRecord, IssuerProfile, ScopeSet,
        ports::{LockOn, Registration, Revision},
    },
    audit,
    login::Failure,
};

use super::Service;

/// A client and what the issuer left out when it was registered just now.
pub(super) struct Provided {
    pub(super) client: ClientRecord,
    pub(super) left_out: ScopeSet,
}

impl Service {
    /// The profile with a name for a new client that tells the issuer's people whose it is: the
    /// issuer file's, else iamd and the site.
    fn named(&self, profile: &IssuerProfile) -> IssuerProfile {
        let mut profile = profile.clone();
        if profile.client_name.is_empty() {
            let config = self.config();
            let site = config.site_name.as_deref().unwrap_or(&self.node);
            // The portable subset; some issuers refuse more (requirement 24).
            let fits = |c: &char| c.is_ascii_alphanumeric() || *c == ' ' || *c == '-';
            profile.client_name = format!("iamd {site}").chars().filter(fits).take(100).collect();
        }
        profile
    }

    /// Whose client an issuer's accounts use.
    pub(super) fn client_owner(profile: &IssuerProfile, uid: u32) -> ClientOwner {
        match profile.client {
            ClientPolicy::PerSite => ClientOwner::Site,
            ClientPolicy::PerUser => ClientOwner::User(uid),
            ClientPolicy::Fixed(_) => ClientOwner::Fixed,
        }
    }

    /// The client for this uid at this issuer, registered now if there is none. `rejected` is a
    /// client that the issuer does not accept: another one takes its place.
    pub(super) async fn client(
        &self,
        profile: &IssuerProfile,
        uid: u32,
        rejected: Option<&str>,
    ) -> Result<Provided, Failure> {
        let owner = Self::client_owner(profile, uid);
        if owner == ClientOwner::Fixed {
            let client = self.issuers.fixed_client(profile).await?;
            return Ok(Provided { client, left_out: ScopeSet::default() });
        }
        let issuer = profile.url.as_str();
        let usable = |client: &ClientRecord| {
            let alive = client.client_secret_expires_at.is_none_or(|end| end > self.clock.wall());
            alive && rejected != Some(client.client_id.as_str())
        };
        let known = self.vault.client(&owner, issuer).await.map_err(vault)?;
        if let Some(known) = known.filter(|known| usable(&known.value)) {
            return Ok(Provided { client: known.value, left_out: ScopeSet::default() });
        }
        let on = LockOn::Client(owner.clone(), issuer.to_owned());
        let _lock = self.vault.lock(on).await.map_err(vault)?;
        let known = self.vault.client(&owner, issuer).await.map_err(vault)?;
        let revision = match known {
            Some(known) if usable(&known.value) => {
                return Ok(Provided { client: known.value, left_out: ScopeSet::default() });
            }
            Some(known) => known.revision,
            None => Revision::ABSENT,
        };
        let Registration { client, left_out } =
            self.issuers.register(&self.named(profile), owner.clone()).await?;
        if let Err(error) = self.vault.save_client(&client, revision).await {
            // Nobody would ever use it: do not leave it behind at the issuer.
            if let Err(failure) = self.issuers.deregister(profile, &client).await {
                tracing::warn!(issuer = %profile.name, error = %failure, "a client that could not be kept stays registered: {failure}");
            }
            return Err(vault(error));
        }
        self.audit.record(
            audit::Kind::Registration,
            &audit::Event {
                uid,
                issuer,
                client: &client.client_id,
                scopes: client.scopes.to_string(),
                result: "ok",
                ..audit::Event::default()
            },
        );
        Ok(Provided { client, left_out })
    }
}

fn vault(error: crate::account::ports::VaultError) -> Failure {
    super::ServiceError::from(error).into()
}
