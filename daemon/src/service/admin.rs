//! Administration. Whoever calls these was authorised by polkit at the edge.

use std::sync::{Arc, PoisonError};

use iamd_protocol::{
    bus::{SessionInfo, UserInfo, state},
    error::Kind,
};

use crate::{
    audit,
    config::{Config, ConfigError},
};

use super::{About, By, Service, ServiceError};

impl Service {
    /// Reads the configuration again; the one in force stays when the new one has a mistake.
    ///
    /// # Errors
    /// Every mistake, with file, line and key.
    pub async fn reread(&self, by: By) -> Result<(), ServiceError> {
        let (loaded, _alone) = self.on_disk().await;
        self.put_in_force(by, loaded)
    }

    /// The same at once, for tests whose time stands still.
    #[cfg(test)]
    pub fn reload(&self, by: By) -> Result<(), ServiceError> {
        self.put_in_force(by, Config::load(&self.sources))
    }

    fn put_in_force(
        &self,
        by: By,
        loaded: Result<Config, ConfigError>,
    ) -> Result<(), ServiceError> {
        let result = match loaded {
            Ok(config) => {
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                self.reloads.send_replace(());
                Ok(())
            }
            Err(error) => {
                // A message is one line wherever it is shown.
                let text = error.to_string().replace('\n', "; ");
                Err(ServiceError::new(Kind::ConfigurationInvalid, text))
            }
        };
        self.note_administration(by, "reload", result.as_ref().err());
        match &result {
            Ok(()) => tracing::info!("the configuration was read again"),
            Err(error) => tracing::error!(%error, "the configuration was not changed: {error}"),
        }
        result
    }

    /// Everybody who has accounts or sessions here; no tokens.
    ///
    /// # Errors
    /// The store.
    pub async fn users(&self, by: By) -> Result<Vec<UserInfo>, ServiceError> {
        let users = self.all_users().await;
        self.note_administration(by, "users", users.as_ref().err());
        users
    }

    async fn all_users(&self) -> Result<Vec<UserInfo>, ServiceError> {
        let mut users: Vec<UserInfo> = Vec::new();
        for key in self.vault.account_keys().await? {
            if users.last().is_none_or(|user| user.uid != key.uid) {
                users.push(UserInfo { uid: key.uid, ..UserInfo::default() });
            }
        }
        for session in self.presence.sessions.all() {
            if !users.iter().any(|user| user.uid == session.login.uid) {
                let user = session.login.user;
                users.push(UserInfo { uid: session.login.uid, user, ..UserInfo::default() });
            }
        }
        for (key, _) in self.logins.running() {
            if !users.iter().any(|user| user.uid == key.uid) {
                users.push(UserInfo { uid: key.uid, ..UserInfo::default() });
            }
        }
        users.sort_by_key(|user| user.uid);
        users.dedup_by_key(|user| user.uid);
        for user in &mut users {
            let accounts = self.vault.accounts_of(user.uid).await?;
            user.accounts = count(accounts.len());
            for (_, account) in &accounts {
                let word = match account {
                    Ok(account) if account.value.is_locked() => state::LOCKED,
                    Ok(account) => account.value.state.word(),
                    Err(_) => state::UNREADABLE,
                };
                *user.states.entry(word.to_owned()).or_default() += 1;
            }
            for account in accounts.iter().filter_map(|(_, account)| account.as_ref().ok()) {
                user.user.clone_from(&account.value.owner.user);
                user.signed_in += u32::from(account.value.state.may_refresh());
                let at = account.value.refreshed_at.map(|at| at.0);
                user.last_token_at = user.last_token_at.max(at);
            }
            user.logins = count(self.logins.running_of(user.uid).len());
            user.sessions = self.presence.sessions_of(user.uid);
        }
        Ok(users)
    }

    /// Every session on this node.
    pub fn all_sessions(&self, by: By) -> Vec<SessionInfo> {
        self.note_administration(by, "sessions", None);
        let info = |session: crate::session::Session| SessionInfo {
            session: session.id.to_string(),
            uid: session.login.uid,
            user: session.login.user,
            service: session.login.service,
            rhost: session.login.rhost,
            pid: session.pid,
            since: session.opened_at.0,
        };
        self.presence.sessions.all().into_iter().map(info).collect()
    }

    /// Records what was asked for and not begun, by somebody who is no administrator or with arguments
    /// that are of no use: with the issuer and the client that they named.
    pub fn note_refused(
        &self,
        by: By,
        what: &str,
        (issuer, client): (Option<&str>, Option<&str>),
        kind: Kind,
    ) {
        let about = About::of_administration(&self.config(), issuer, client);
        self.audit.record(
            audit::Kind::Administration,
            &audit::Event {
                result: kind.short_name(),
                detail: what.to_owned(),
                ..about.event(by.uid, by.pid)
            },
        );
    }

    /// Records what an administrator did, or was not allowed to do.
    pub fn note_administration(&self, by: By, what: &str, error: Option<&ServiceError>) {
        self.audit.record(
            audit::Kind::Administration,
            &audit::Event {
                uid: by.uid,
                caller_pid: by.pid,
                result: error.map_or("ok", |error| error.kind.short_name()),
                detail: what.to_owned(),
                ..audit::Event::default()
            },
        );
    }
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}
