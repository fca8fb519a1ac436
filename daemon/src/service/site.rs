//! What the site and its issuers are like, and what the caller decided for themself.

use iamd_protocol::bus::{IssuerInfo, StatusReply};

use crate::{
    account::{
        ClientPolicy, Dialect, IdentityRule, IssuerProfile, Settings,
        ports::{Health, IssuerError, VaultError},
    },
    config::Config,
    policy,
};

use super::{About, Caller, Service, ServiceError};

impl Service {
    /// The caller's sessions and settings.
    ///
    /// # Errors
    /// Too many requests.
    pub async fn status(&self, caller: &Caller) -> Result<StatusReply, ServiceError> {
        let _guard = self.enter(caller)?;
        let uid = caller.owner.uid;
        let notice_off = self.vault.settings(uid).await?.value.notice_off;
        let config = self.config();
        Ok(StatusReply {
            version: env!("CARGO_PKG_VERSION").into(),
            node: self.node.clone(),
            sessions: self.presence.sessions_of(uid),
            files_until: self.presence.files_until(uid).map(|at| at.0),
            notice: !notice_off,
            default_issuer: config.default_issuer.clone(),
            announce_ahead_seconds: config.tokens.announce_ahead.as_secs(),
            draining: self.draining(),
            logins: Some(self.running_logins(uid)),
            agent_socket: self.agent_socket(),
        })
    }

    /// Switches the notice at login on or off for the caller.
    ///
    /// # Errors
    /// The store.
    pub async fn set_notice(&self, caller: &Caller, on: bool) -> Result<(), ServiceError> {
        let _guard = self.enter(caller)?;
        let uid = caller.owner.uid;
        loop {
            let stored = self.vault.settings(uid).await?;
            let settings = Settings { notice_off: !on, ..stored.value };
            match self.vault.save_settings(uid, &settings, stored.revision).await {
                // Somebody else wrote meanwhile, such as a change of keys.
                Err(VaultError::Conflict) => {}
                saved => return Ok(saved.map(drop)?),
            }
        }
    }

    /// The issuers that the site lists and the caller may use.
    ///
    /// # Errors
    /// Too many requests.
    pub async fn issuers(&self, caller: &Caller) -> Result<Vec<IssuerInfo>, ServiceError> {
        let _guard = self.enter(caller)?;
        let who = self.who(&caller.owner.user).await;
        let config = self.config();
        let mine = policy::issuers(&config, &who);
        let mine = config.issuers.values().filter(|profile| mine.contains(&profile.name.as_str()));
        Ok(mine.map(|profile| self.issuer_info(&config, profile)).collect())
    }

    /// One issuer, by short name or URL, asked now which scopes it offers.
    ///
    /// # Errors
    /// The site does not know or allow it, or its address is not public. That it does not answer
    /// is in the reply.
    pub async fn issuer(&self, caller: &Caller, named: &str) -> Result<IssuerInfo, ServiceError> {
        let _guard = self.enter(caller)?;
        let result = self.ask_issuer(caller, named).await;
        if let Err(error) = &result {
            let about = About::default().at(&self.config(), Some(named));
            self.note_denial(caller, &about, error);
        }
        result
    }

    async fn ask_issuer(&self, caller: &Caller, named: &str) -> Result<IssuerInfo, ServiceError> {
        let who = self.who(&caller.owner.user).await;
        let config = self.config();
        let profile = policy::issuer(&config, Some(named), Some(caller.owner.uid))?;
        self.permit_issuer(&who, &profile)?;
        let offered = match self.issuers.scopes_offered(&profile).await {
            Ok(scopes) => Some(scopes.to_vec()),
            Err(IssuerError::Unreachable { .. } | IssuerError::CircuitOpen { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        // After asking: that is what it says of its health.
        let info = self.issuer_info(&config, &profile);
        let health = if offered.is_some() { info.health } else { "unreachable".into() };
        Ok(IssuerInfo { scopes_offered: offered, health, ..info })
    }

    fn issuer_info(&self, config: &Config, profile: &IssuerProfile) -> IssuerInfo {
        IssuerInfo {
            name: profile.name.clone(),
            title: profile.title.clone(),
            url: profile.url.to_string(),
            is_default: config.default_issuer.as_ref() == Some(&profile.name),
            dialect: match profile.dialect {
                Some(Dialect::IndigoIam) => "indigo-iam",
                Some(Dialect::Rfc) => "rfc",
                None => "auto",
            }
            .into(),
            scopes: profile.scopes.to_vec(),
            client: match profile.client {
                ClientPolicy::PerSite => "per-site",
                ClientPolicy::PerUser => "per-user",
                ClientPolicy::Fixed(_) => "fixed",
                ClientPolicy::Missing => "missing",
            }
            .into(),
            public_client: Some(profile.public_client.is_some()),
            identity: profile.identity.as_ref().map(IdentityRule::told),
            scopes_offered: None,
            health: match self.issuers.health(profile) {
                Health::Unknown => "unknown",
                Health::Answering => "ok",
                Health::Failing | Health::Open(_) => "unreachable",
            }
            .into(),
        }
    }
}
