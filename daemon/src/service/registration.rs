//! Reading and changing a registration at its issuer (RFC 7592). Whatever an answer carries of new
//! credentials is kept before anything else is looked at: in the journal, then in the store.

use std::time::Duration;

use iamd_protocol::error::Kind;

use super::{Service, ServiceError};
use crate::{
    account::{
        ClientOwner, ClientRecord, IssuerProfile, ScopeSet,
        ports::{
            ClientChange, ClientMetadata, ClientStep, IssuerError, LeftOut, LockOn, Managed,
            Stored, VaultError,
        },
    },
    audit,
};

/// How often new credentials are tried to be kept, and how long after each other.
const TRIES: u32 = 5;
const AGAIN: Duration = Duration::from_millis(250);

/// Why a registration was not read or changed.
pub(super) enum Unread {
    /// The issuer's matter.
    Issuer(IssuerError),
    /// This node's, or there is none.
    Here(ServiceError),
}

impl From<IssuerError> for Unread {
    fn from(error: IssuerError) -> Self {
        Self::Issuer(error)
    }
}

impl From<ServiceError> for Unread {
    fn from(error: ServiceError) -> Self {
        Self::Here(error)
    }
}

impl From<VaultError> for Unread {
    fn from(error: VaultError) -> Self {
        Self::Here(error.into())
    }
}

impl From<Unread> for ServiceError {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Issuer(error) => error.into(),
            Unread::Here(error) => error,
        }
    }
}

impl Service {
    /// The client as the issuer has it now.
    pub(super) async fn read_registration(
        &self,
        profile: &IssuerProfile,
        owner: &ClientOwner,
    ) -> Result<ClientRecord, ServiceError> {
        Ok(self.look_at_registration(profile, owner).await?)
    }

    /// The same, for who wants to know whose matter a failure is.
    pub(super) async fn look_at_registration(
        &self,
        profile: &IssuerProfile,
        owner: &ClientOwner,
    ) -> Result<ClientRecord, Unread> {
        let on = LockOn::Client(owner.clone(), profile.url.to_string());
        let _lock = self.vault.lock(on).await?;
        // The end of the daemon waits for new credentials to be kept.
        let _underway = self.logins.underway().await;
        Ok(self.read_kept(profile, owner).await?.0)
    }

    /// Changes the client at the issuer; what the issuer left out.
    pub(super) async fn change_registration(
        &self,
        profile: &IssuerProfile,
        owner: &ClientOwner,
        change: ClientChange,
    ) -> Result<LeftOut, ServiceError> {
        let on = LockOn::Client(owner.clone(), profile.url.to_string());
        let _lock = self.vault.lock(on).await?;
        let _underway = self.logins.underway().await;
        let (client, registered) = self.read_kept(profile, owner).await?;
        // Only more: other sign-ins may use what it has.
        let scopes = change.scopes.map(|scopes| scopes.union(&client.scopes));
        let change = ClientChange { scopes, ..change };
        Ok(self.put_registration(profile, &client, &registered, &change).await?.1)
    }

    /// Takes from a client that one account alone uses what the account does not need; what the
    /// issuer left with it all the same.
    pub(super) async fn narrow_registration(
        &self,
        profile: &IssuerProfile,
        owner: &ClientOwner,
        needed: &ScopeSet,
    ) -> Result<ScopeSet, ServiceError> {
        let on = LockOn::Client(owner.clone(), profile.url.to_string());
        let _lock = self.vault.lock(on).await?;
        let _underway = self.logins.underway().await;
        let (client, registered) = self.read_kept(profile, owner).await?;
        let spare = client.scopes.spare_for(needed);
        if spare.is_empty() {
            return Ok(spare);
        }
        let scopes = Some(client.scopes.filtered(|scope| !spare.contains(scope)));
        let change = ClientChange { scopes, name: None };
        let (client, _) = self.put_registration(profile, &client, &registered, &change).await?;
        Ok(spare.filtered(|scope| client.scopes.contains(scope)))
    }

    /// With the lock of the client, which was read just now.
    async fn put_registration(
        &self,
        profile: &IssuerProfile,
        client: &ClientRecord,
        registered: &ClientMetadata,
        change: &ClientChange,
    ) -> Result<(ClientRecord, LeftOut), ServiceError> {
        // The answer may carry credentials that replace those that are kept.
        self.vault.make_room().await?;
        crate::fault_point!("edit.asked", client.client_id);
        let managed = self.issuers.update_client(profile, client, registered, change).await;
        crate::fault_point!("edit.replied", client.client_id);
        let kept = match managed {
            Ok(managed) => self.kept(managed).await,
            Err(error) => Err(error.into()),
        };
        let (client, left_out) = kept.inspect_err(|_| {
            crate::fault_point!("edit.failed", client.client_id);
        })?;
        self.audit.record(
            audit::Kind::Registration,
            &audit::Event {
                // The site's is nobody's.
                uid: client.owner.uid().unwrap_or_default(),
                issuer: &client.issuer,
                client: &client.client_id,
                scopes: client.scopes.to_string(),
                result: "changed",
                ..audit::Event::default()
            },
        );
        Ok((client, left_out))
    }

    /// With the lock of the client.
    async fn read_kept(
        &self,
        profile: &IssuerProfile,
        owner: &ClientOwner,
    ) -> Result<(ClientRecord, ClientMetadata), Unread> {
        let Some(stored) = self.vault.client(owner, profile.url.as_str()).await? else {
            let text = "the client of this account is not registered any more";
            return Err(ServiceError::new(Kind::ClientBroken, text).into());
        };
        let managed = self.issuers.read_client(profile, &stored.value).await?;
        self.kept(managed).await
    }

    /// Keeps what an answer made of the client, then gives the rest of the answer.
    async fn kept<T>(&self, managed: Managed<T>) -> Result<(ClientRecord, T), Unread> {
        let Managed { client, changed, answer } = managed;
        if changed {
            self.keep_client(&client).await.inspect_err(|error| {
                tracing::error!(client = client.client_id, %error, "new credentials of a client could not be kept: {error}");
            })?;
        }
        Ok((client, answer?))
    }

    /// The issuer has forgotten the old ones. What the journal has is kept, also where the store
    /// does not take it now; without the journal the store is tried again for a second.
    async fn keep_client(&self, client: &ClientRecord) -> Result<(), ServiceError> {
        let over = Some(client.client_id.clone());
        let step = ClientStep::Newest { client: client.clone(), over };
        let journalled = self.vault.journal_client(&step).await;
        if let Err(error) = &journalled {
            tracing::warn!(client = client.client_id, %error, "new credentials of a client are not in the journal: {error}");
        }
        crate::fault_point!("edit.journalled", client.client_id);
        let mut tries = if journalled.is_ok() { 1 } else { TRIES };
        loop {
            tries -= 1;
            match self.keep_once(client).await {
                Err(error) if error.kind == Kind::StoreUnavailable && tries > 0 => {
                    self.clock.sleep(AGAIN).await;
                }
                Err(error) if error.kind == Kind::StoreUnavailable && journalled.is_ok() => {
                    tracing::warn!(client = client.client_id, %error, "new credentials of a client are in the journal only for now: {error}");
                    return Ok(());
                }
                done => return done,
            }
        }
    }

    async fn keep_once(&self, client: &ClientRecord) -> Result<(), ServiceError> {
        loop {
            let Some(Stored { value, revision }) =
                self.vault.client(&client.owner, &client.issuer).await?
            else {
                return Ok(());
            };
            if value.client_id != client.client_id {
                // Another one took its place meanwhile.
                return Ok(());
            }
            match self.vault.save_client(client, revision).await {
                Ok(_) => {
                    crate::fault_point!("edit.stored", client.client_id);
                    return Ok(());
                }
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
