//! Which client an account signs in with: the configured one, or one that is registered at first
//! use, kept before it is used, and never twice for the same purpose.

use iamd_protocol::error::Kind;
use secrecy::SecretString;

use crate::{
    account::{
        ClientAuth, ClientOwner, ClientPolicy, ClientRecord, IssuerProfile, Owner, Record,
        ScopeSet,
        ports::{ClientStep, IssuerError, LeftOut, LockOn, Registration, Revision, VaultError},
    },
    audit,
    config::policy::Key,
    login::Failure,
};

use super::{Service, ServiceError};

/// What a client of an account's own is registered for.
pub(super) struct Wish<'a> {
    pub(super) scopes: &'a ScopeSet,
    /// The name at the issuer; absent: the one it had, else the site's choice.
    pub(super) name: Option<&'a str>,
    /// Used for this one registration, of whatever client.
    pub(super) initial_access_token: Option<&'a SecretString>,
}

/// A client and what the issuer left out when it was registered just now.
pub(super) struct Provided {
    pub(super) client: ClientRecord,
    pub(super) left_out: LeftOut,
}

impl Service {
    /// The profile with a name for a new client that tells the issuer's people whose it is: the
    /// issuer file's, else iamd and the site.
    pub(super) fn named(&self, profile: &IssuerProfile) -> IssuerProfile {
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
            ClientPolicy::Fixed(_) | ClientPolicy::Missing => ClientOwner::Fixed,
        }
    }

    /// Whose client an account uses: its own or the public one where it was made so, else as the
    /// site decides now.
    pub(super) fn owner_for(
        record: Option<&Record>,
        profile: &IssuerProfile,
        uid: u32,
    ) -> ClientOwner {
        match record.map(|record| &record.client_owner) {
            Some(owner @ (ClientOwner::Own(..) | ClientOwner::Given(..) | ClientOwner::Public)) => {
                owner.clone()
            }
            _ => Self::client_owner(profile, uid),
        }
    }

    /// The client to sign in with, registered now if there is none and that is for us to do;
    /// `wish` is what one of an account's own is registered for. `rejected` is a client that the
    /// issuer does not accept: another one takes its place.
    pub(super) async fn client(
        &self,
        profile: &IssuerProfile,
        owner: &ClientOwner,
        user: &Owner,
        wish: &Wish<'_>,
        rejected: Option<&str>,
    ) -> Result<Provided, Failure> {
        let issuer = profile.url.as_str();
        let no_longer = |kind: Kind, whose: &str| {
            let text = format!("{} does not accept the client {whose}", profile.title);
            Failure::new(kind, text)
        };
        match owner {
            ClientOwner::Fixed if rejected.is_some() => {
                return Err(no_longer(
                    Kind::ClientRefused,
                    "that the site configured; administrators: see its issuer file",
                ));
            }
            ClientOwner::Public if rejected.is_some() => {
                return Err(no_longer(
                    Kind::ClientRefused,
                    "that its file at this site names; administrators: see that file",
                ));
            }
            ClientOwner::Fixed => {
                return Ok(Provided::known(self.issuers.fixed_client(profile).await?));
            }
            ClientOwner::Public => {
                return Ok(Provided::known(self.issuers.public_client(profile)?));
            }
            ClientOwner::Given(..) => {
                let known = self.vault.client(owner, issuer).await.map_err(vault)?;
                let known = known.filter(|known| {
                    let rejected = rejected == Some(known.value.client_id.as_str());
                    !rejected && known.value.is_for(&user.user)
                });
                let known = known.ok_or_else(|| no_longer(Kind::GivenClientRefused, "that you gave to this account; to give another, remove the account and add it again"))?;
                return Ok(Provided::known(known.value));
            }
            ClientOwner::Site | ClientOwner::User(_) | ClientOwner::Own(..) => {}
        }
        let usable = |client: &ClientRecord| {
            let alive = client.client_secret_expires_at.is_none_or(|end| end > self.clock.wall());
            let rejected = rejected == Some(client.client_id.as_str());
            alive && !rejected && client.is_for(&user.user)
        };
        let known = self.vault.client(owner, issuer).await.map_err(vault)?;
        if let Some(known) = known.filter(|known| usable(&known.value)) {
            return Ok(Provided::known(known.value));
        }
        let on = LockOn::Client(owner.clone(), issuer.to_owned());
        let _lock = self.vault.lock(on).await.map_err(vault)?;
        let known = self.vault.client(owner, issuer).await.map_err(vault)?;
        let over = known.as_ref().map(|known| known.value.client_id.clone());
        let (revision, name) = match known {
            Some(known) if usable(&known.value) => return Ok(Provided::known(known.value)),
            Some(known) if !known.value.is_for(&user.user) => {
                self.note_reused(user, &known.value);
                (known.revision, None)
            }
            Some(known) => (known.revision, known.value.client_name),
            None => (Revision::ABSENT, None),
        };
        let mut profile = self.named(profile);
        if matches!(owner, ClientOwner::Own(..)) {
            profile.scopes = wish.scopes.clone();
            profile.client_name =
                wish.name.map(str::to_owned).or(name).unwrap_or(profile.client_name);
        }
        // The end of the daemon waits until it is known and kept: nobody else could delete it.
        let _underway = self.logins.underway().await;
        let token = wish.initial_access_token;
        let newest = |client| ClientStep::Newest { client, over };
        let (provided, journalled) = self.register(&profile, owner, user, token, newest).await?;
        let client = &provided.client;
        let saved = self.vault.save_client(client, revision).await;
        crate::fault_point!("registration.stored", profile.name, user.user);
        match saved {
            Ok(_) => {}
            Err(error @ VaultError::Unavailable { .. }) if journalled => {
                tracing::warn!(client = client.client_id, %error, "a new client is in the journal only for now: {error}");
            }
            Err(error) => {
                // Nobody would ever use it: do not leave it behind at the issuer.
                self.give_up(&profile, client).await;
                return Err(vault(error));
            }
        }
        Ok(provided)
    }

    /// Registers a client; whether it is in the journal. A kill at any moment leaves none at the
    /// issuer that is not known here, but the one that was just asked for, and that is said.
    pub(super) async fn register(
        &self,
        profile: &IssuerProfile,
        owner: &ClientOwner,
        user: &Owner,
        initial_access_token: Option<&SecretString>,
        step: impl FnOnce(ClientRecord) -> ClientStep,
    ) -> Result<(Provided, bool), Failure> {
        // The site's client is registered once for all.
        let counts = *owner != ClientOwner::Site;
        if counts {
            let (most, now) = (self.most(&user.user, Key::Registrations), self.clock.monotonic());
            let counted = self.registrations.count(user.uid, most, now);
            counted.map_err(ServiceError::too_many_registrations)?;
        }
        let asked = self.asked(profile, owner, user);
        let intent = match self.vault.journal_client(&ClientStep::Asked(asked)).await {
            Ok(intent) => intent,
            Err(error) => {
                if counts {
                    self.registrations.take_back(user.uid);
                }
                return Err(vault(error));
            }
        };
        crate::fault_point!("registration.asked", profile.name, user.user);
        let registered = self.issuers.register(profile, owner.clone(), initial_access_token).await;
        crate::fault_point!("registration.replied", profile.name, user.user);
        // What came of it is on disk before anything else, also before what was asked is settled.
        let registered = registered.map(|Registration { mut client, left_out }| {
            client.user = counts.then(|| user.user.clone());
            Registration { client, left_out }
        });
        let journalled = match &registered {
            Ok(registration) => {
                let step = step(registration.client.clone());
                let journalled = self.vault.journal_client(&step).await;
                journalled
                    .inspect_err(|error| {
                        tracing::warn!(%error, "a new client is not in the journal: {error}");
                    })
                    .is_ok()
            }
            Err(_) => false,
        };
        crate::fault_point!("registration.journalled", profile.name, user.user);
        if let Err(error) = self.vault.settle(intent).await {
            tracing::warn!(%error, "a journal entry could not be settled: {error}");
        }
        crate::fault_point!("registration.settled", profile.name, user.user);
        // What never reached the issuer's registration costs nobody anything.
        if counts
            && let Err(
                IssuerError::CircuitOpen { .. }
                | IssuerError::Busy { .. }
                | IssuerError::AddressNotPublic { .. }
                | IssuerError::Unsupported { .. }
                | IssuerError::Local { .. },
            ) = registered
        {
            self.registrations.take_back(user.uid);
        }
        if let Err(error @ IssuerError::Unreachable { maybe_processed: true, .. }) = &registered {
            // Only its people can tell, and delete it.
            self.audit.record(
                audit::Kind::Registration,
                &audit::Event {
                    uid: user.uid,
                    issuer: profile.url.as_str(),
                    result: "lost",
                    detail: format!(
                        "the issuer may have registered it, as \u{201c}{}\u{201d}: {error}",
                        profile.client_name
                    ),
                    ..audit::Event::default()
                },
            );
        }
        let Registration { client, left_out } = registered?;
        self.audit.record(
            audit::Kind::Registration,
            &audit::Event {
                uid: user.uid,
                issuer: &client.issuer,
                client: &client.client_id,
                scopes: client.scopes.to_string(),
                result: "ok",
                ..audit::Event::default()
            },
        );
        Ok((Provided { client, left_out }, journalled))
    }

    /// What is known of a client before it is registered.
    fn asked(&self, profile: &IssuerProfile, owner: &ClientOwner, user: &Owner) -> ClientRecord {
        ClientRecord {
            owner: owner.clone(),
            user: (*owner != ClientOwner::Site).then(|| user.user.clone()),
            issuer: profile.url.to_string(),
            generation: 0,
            client_id: String::new(),
            client_name: Some(profile.client_name.clone()),
            client_secret: None,
            client_secret_expires_at: None,
            auth: ClientAuth::None,
            registration_access_token: None,
            registration_client_uri: None,
            scopes: profile.scopes.clone(),
            grant_types: Vec::new(),
            registered_at: self.clock.wall(),
        }
    }

    /// A client of an earlier user of this uid is as good as none.
    fn note_reused(&self, user: &Owner, client: &ClientRecord) {
        self.audit.record(
            audit::Kind::UidReused,
            &audit::Event {
                uid: user.uid,
                issuer: &client.issuer,
                client: &client.client_id,
                result: "ignored",
                detail: format!(
                    "registered for {}, the uid now belongs to {}",
                    client.user.as_deref().unwrap_or("a user that it does not name"),
                    user.user
                ),
                ..audit::Event::default()
            },
        );
    }

    /// The client that an account's sign-in belongs to, as it is kept; `None` when it is gone.
    pub(super) async fn client_of(
        &self,
        record: &Record,
        profile: &IssuerProfile,
    ) -> Result<Option<ClientRecord>, ServiceError> {
        let client = match &record.client_owner {
            ClientOwner::Fixed => self.issuers.fixed_client(profile).await?,
            ClientOwner::Public => self.issuers.public_client(profile)?,
            owner => match self.vault.client(owner, &record.issuer).await? {
                Some(client) if client.value.is_of(record) => client.value,
                _ => return Ok(None),
            },
        };
        Ok((record.client_id.as_ref() == Some(&client.client_id)).then_some(client))
    }
}

impl Provided {
    fn known(client: ClientRecord) -> Self {
        Self { client, left_out: LeftOut::default() }
    }
}

/// What the issuer left out, for people (requirement 18).
pub(super) fn told(left_out: &LeftOut) -> Vec<String> {
    let mut remarks = Vec::new();
    if !left_out.scopes.is_empty() {
        remarks.push(format!("the issuer did not register the client for: {}", left_out.scopes));
    }
    if !left_out.grants.is_empty() {
        let grants = left_out.grants.join(" ");
        remarks.push(format!("the issuer did not register the client for the grants: {grants}"));
    }
    remarks
}

fn vault(error: VaultError) -> Failure {
    ServiceError::from(error).into()
}
