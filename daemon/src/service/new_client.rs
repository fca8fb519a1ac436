//! A login that brings another client with it. The account gets one of its own, which nobody else
//! uses, and until the sign-in has come nothing that is there changes: a login that is cancelled
//! costs nobody theirs.

use std::sync::Arc;

use iamd_protocol::error::Kind;
use tokio::sync::Mutex;

use super::{Service, ServiceError, clients::Provided, plan::Plan, sign_in::SignedIn};
use crate::{
    account::{
        AccountKey, ClientOwner, ClientRecord, IssuerProfile, Owner, State,
        ports::{ClientStep, LockOn, Revision, Tokens, VaultError},
    },
    login::{Failure, Request},
    policy::Question,
};

/// Which client a login brings.
pub(super) enum NewClient {
    /// One of the account's own; it has this one until then.
    Own(Option<Box<ClientRecord>>),
    /// One for all who have this one, which the issuer refuses.
    InPlaceOf(String),
}

/// A client that is kept aside until the sign-in has come. Locked while it is registered.
#[derive(Clone, Default)]
pub(super) struct Fresh(Arc<Mutex<Option<ClientRecord>>>);

impl Fresh {
    /// One that was registered before a restart.
    pub(super) fn of(client: ClientRecord) -> Self {
        Self(Arc::new(Mutex::new(Some(client))))
    }
}

impl Service {
    /// What a login with a new client brings, where this account may have one.
    pub(super) async fn new_client(
        &self,
        user: &str,
        plan: &Plan,
    ) -> Result<NewClient, ServiceError> {
        let record = plan.record.as_ref();
        let broken = record.filter(|record| matches!(record.state, State::ClientBroken { .. }));
        let refused = broken.and_then(|record| record.client_id.clone());
        let who = self.who_now(user);
        let own_clients = self.permit(&who, Question::OwnClient);
        let new = match (&plan.client_owner, refused) {
            (ClientOwner::Site | ClientOwner::User(_), Some(id)) => NewClient::InPlaceOf(id),
            (ClientOwner::User(_), None) if own_clients.is_err() => {
                return own_clients.map(|()| NewClient::Own(None));
            }
            (ClientOwner::User(_) | ClientOwner::Own(..), _) => {
                let before = match record {
                    Some(record) => self.client_of(record, &plan.profile).await?,
                    None => None,
                };
                NewClient::Own(before.map(Box::new))
            }
            (ClientOwner::Fixed | ClientOwner::Public, _) => {
                let text = "the client at this issuer is configured by the site; administrators: correct it in its issuer file";
                return Err(ServiceError::new(Kind::DeniedByPolicy, text));
            }
            (ClientOwner::Given(..), _) => {
                let text = "you gave this account its client; to give it another one, remove the account and add it again";
                return Err(ServiceError::new(Kind::InvalidArgument, text));
            }
            (ClientOwner::Site, None) => {
                let text = "the client at this issuer is the site's; only the issuer's refusal of it makes a new one";
                return Err(ServiceError::new(Kind::DeniedByPolicy, text));
            }
        };
        // One that is joined would have the client that it has.
        self.no_login(&plan.key)?;
        Ok(new)
    }

    /// What it is to a user that the issuer refuses their client: each kind has its own way out, and
    /// `--new-client` is named to nobody whom [`Self::new_client`] would refuse it. `broken` is an
    /// account that knows of the refusal.
    pub(super) fn refusal_of(&self, owner: &ClientOwner, user: &str, broken: bool) -> Kind {
        let own_clients = || self.permit(&self.who_now(user), Question::OwnClient).is_ok();
        match owner {
            ClientOwner::Own(..) => Kind::ClientBroken,
            ClientOwner::Site if broken => Kind::ClientBroken,
            ClientOwner::User(_) if broken || own_clients() => Kind::ClientBroken,
            ClientOwner::Site | ClientOwner::User(_) => Kind::ClientRefused,
            ClientOwner::Fixed | ClientOwner::Public => Kind::ClientRefused,
            ClientOwner::Given(..) => Kind::GivenClientRefused,
        }
    }

    /// The same for an account as it is kept now.
    pub(super) async fn refusal_now(
        &self,
        key: &AccountKey,
        owner: &ClientOwner,
        user: &str,
    ) -> Kind {
        let record = self.vault.account(key).await.ok().flatten();
        let broken =
            record.is_some_and(|record| matches!(record.value.state, State::ClientBroken { .. }));
        self.refusal_of(owner, user, broken)
    }

    /// Registers the client that a login brings. It is known to the login from the moment that the
    /// issuer has it, also when the login is cancelled meanwhile.
    pub(super) async fn register_fresh(
        self: &Arc<Self>,
        owner: &Owner,
        request: &Request,
        fresh: &Fresh,
    ) -> Result<Provided, Failure> {
        let mut profile = self.named(&request.profile);
        profile.scopes = request.scopes.clone();
        if let Some(name) = request.replaces.as_ref().and_then(|client| client.client_name.clone())
        {
            profile.client_name = name;
        }
        let own = ClientOwner::Own(owner.uid, request.key.name.clone());
        let (service, owner) = (Arc::clone(self), owner.clone());
        let mut kept = Arc::clone(&fresh.0).lock_owned().await;
        let registered = tokio::spawn(async move {
            let aside = ClientStep::Aside;
            let (provided, _) = service.register(&profile, &own, &owner, None, aside).await?;
            *kept = Some(provided.client.clone());
            Ok(provided)
        });
        registered.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a registration ended early: {error}");
            Err(Failure::new(Kind::Internal, "the client could not be registered"))
        })
    }

    /// Keeps the tokens of a sign-in and the client that came with it, both or none.
    pub(super) async fn keep_with_fresh(
        self: &Arc<Self>,
        owner: &Owner,
        request: &Request,
        fresh: &Fresh,
        client: &ClientRecord,
        tokens: Tokens,
    ) -> Result<SignedIn, Failure> {
        let on = LockOn::Client(client.owner.clone(), client.issuer.clone());
        let placed = async {
            let lock = self.vault.lock(on).await?;
            let before = self.vault.client(&client.owner, &client.issuer).await?;
            if let Some(before) = &before {
                // A kill before the account has signed in gives it back what it had.
                self.vault.journal_client(&ClientStep::Aside(before.value.clone())).await?;
            }
            let revision = before.as_ref().map_or(Revision::ABSENT, |before| before.revision);
            let mine = self.vault.save_client(client, revision).await?;
            Ok::<_, VaultError>((lock, before.map(|before| before.value), mine))
        };
        let (_lock, before, mine) = match placed.await {
            Ok(placed) => placed,
            Err(error) => {
                self.revoke_unkept(&request.profile, client, tokens.refresh_token.as_ref()).await;
                return Err(ServiceError::from(error).into());
            }
        };
        let mut request = request.clone();
        if let (Some(replaces), Some(before)) = (&mut request.replaces, &before)
            && replaces.client_id == before.client_id
        {
            // With the credentials that it has by now.
            *replaces = before.clone();
        }
        let signed_in = self.keep_sign_in(owner, &request, client, tokens).await;
        if signed_in.is_ok() {
            fresh.0.lock().await.take();
            self.settled(client).await;
            return signed_in;
        }
        // The account has the client that it had.
        let restored = match before {
            Some(before) => match self.vault.save_client(&before, mine).await {
                Ok(_) => self.vault.settle_client(&before).await,
                Err(error) => Err(error),
            },
            None => self.vault.remove_client(&client.owner, &client.issuer).await,
        };
        if let Err(error) = restored {
            tracing::warn!(uid = owner.uid, %error, "the client of an account could not be put back: {error}");
        }
        signed_in
    }

    /// Deletes the client of a login that came to nothing, behind the scenes.
    pub(super) fn give_up_fresh(self: &Arc<Self>, profile: &IssuerProfile, fresh: &Fresh) {
        let (service, profile, fresh) = (Arc::clone(self), profile.clone(), fresh.clone());
        tokio::spawn(async move {
            let left = fresh.0.lock().await.take();
            if let Some(client) = left {
                service.give_up(&profile, &client).await;
            }
        });
    }
}
