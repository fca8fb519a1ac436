//! Which client an account signs in with: the configured one, or one that is registered at first
//! use, kept before it is used, and never twice for the same purpose.

use iamd_protocol::error::Kind;
use secrecy::SecretString;

use crate::{
    account::{
        ClientOwner, ClientPolicy, ClientRecord, IssuerProfile, Owner, Record, ScopeSet,
        ports::{IssuerError, LeftOut, LockOn, Registration, Revision},
    },
    audit,
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
            ClientPolicy::Fixed(_) => ClientOwner::Fixed,
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
        let no_longer = |whose: &str| {
            let text = format!("{} does not accept the client {whose}", profile.title);
            Failure::new(Kind::ClientBroken, text)
        };
        match owner {
            ClientOwner::Fixed if rejected.is_some() => {
                return Err(no_longer(
                    "that the site configured; administrators: see its issuer file",
                ));
            }
            ClientOwner::Public if rejected.is_some() => {
                return Err(no_longer(
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
                let known = known.ok_or_else(|| no_longer("that you gave to this account; to give another, remove the account and add it again"))?;
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
        let provided = self.register(&profile, owner, user, wish.initial_access_token).await?;
        let client = &provided.client;
        if let Err(error) = self.vault.save_client(client, revision).await {
            // Nobody would ever use it: do not leave it behind at the issuer.
            self.give_up(&profile, client).await;
            return Err(vault(error));
        }
        Ok(provided)
    }

    /// Registers a client, which nobody keeps yet.
    pub(super) async fn register(
        &self,
        profile: &IssuerProfile,
        owner: &ClientOwner,
        user: &Owner,
        initial_access_token: Option<&SecretString>,
    ) -> Result<Provided, Failure> {
        // The site's client is registered once for all.
        let counts = *owner != ClientOwner::Site;
        if counts {
            let (most, now) = (self.config().limits.registrations, self.clock.monotonic());
            self.registrations.count(user.uid, most, now).map_err(ServiceError::from)?;
        }
        let registered = self.issuers.register(profile, owner.clone(), initial_access_token).await;
        // What never reached the issuer's registration costs nobody anything.
        if counts
            && let Err(
                IssuerError::CircuitOpen { .. }
                | IssuerError::AddressNotPublic { .. }
                | IssuerError::Unsupported { .. }
                | IssuerError::Local { .. },
            ) = registered
        {
            self.registrations.take_back(user.uid);
        }
        let Registration { mut client, left_out } = registered?;
        client.user = counts.then(|| user.user.clone());
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
        Ok(Provided { client, left_out })
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
                    client.user.as_deref().unwrap_or_default(),
                    user.user
                ),
                ..audit::Event::default()
            },
        );
    }

    /// Deletes a client at the issuer that nobody keeps any more.
    pub(super) async fn give_up(&self, profile: &IssuerProfile, client: &ClientRecord) {
        if matches!(client.owner, ClientOwner::Given(..)) {
            return;
        }
        if let Err(error) = self.issuers.deregister(profile, client).await {
            tracing::warn!(issuer = %profile.name, client = client.client_id, %error, "a client that is not needed stays registered: {error}");
        }
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
                Some(client) if client.value.is_for(&record.owner.user) => client.value,
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

fn vault(error: crate::account::ports::VaultError) -> Failure {
    ServiceError::from(error).into()
}
